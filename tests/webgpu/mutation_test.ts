/** The suite must fail when a shader is wrong: a flipped sign in each of these makes it fail. */
import assert from "node:assert/strict";
import { shaders } from "../../src/backends/webgpu/shaders.gen.ts";
import { gpuTest, mutationVariable } from "../conformance/gpu.ts";

const root = new URL("../../", import.meta.url);

/** Kernel's test file, tests to run in it, shared part or kernel, text, and what it becomes. */
const mutations: [string, string, string, string, string][] = [
  ["pair_energies", "beutler.*webgpu\\)", "pair_energies", "-12.0 * qr2", "12.0 * qr2"],
  ["pair_energies", "well, n = 2.*webgpu\\)", "pair_energies", "4.0 * PAIR.w", "-4.0 * PAIR.w"],
  ["threefry", "webgpu\\)", "threefry", "(x << r) |", "(x << r) &"],
  ["orbit_vmf", "N=4, sharp.*webgpu\\)", "orbit_integral", "by_m.y - by_p.y", "by_m.y + by_p.y"],
  ["pvmf", "N=4, 24.*webgpu\\)", "pvmf", "* (mixed - (own", "* (mixed + (own"],
  [
    "orbit_gaussian",
    "N=4, one.*webgpu\\)",
    "orbit_gaussian",
    "xyz - orbit_right",
    "xyz + orbit_right",
  ],
  ["matrix_exponential", "webgpu\\)", "matrix_exponential", "m[q] = tau *", "m[q] = -tau *"],
  ["molecule_energies", "aldp.*webgpu\\)", "molecule_geometry", "+ 1u, gi + mid", "+ 1u, gi - mid"],
  ["molecule_energies", "aldp.*webgpu\\)", "generalised_born", "-0.25 * log", "0.25 * log"],
  [
    "molecule_energies",
    "soft core: aldp.*webgpu\\)",
    "molecule_energies",
    "* inverse / r,",
    "* -inverse / r,",
  ],
  [
    "controlled_diffusion",
    "log-weights.*targetForce.*webgpu\\)",
    "controlled_diffusion",
    "fma(z - r",
    "fma(r - z",
  ],
  ["adam", "adam.*webgpu\\)", "adam", "p -= step", "p += step"],
  ["log_variance", "every.*webgpu\\)", "log_variance", "= 2.0 * weight", "= -2.0 * weight"],
  ["level_energy", "N = 13.*webgpu\\)", "soft_lennard_jones", "-12.0 * depth", "12.0 * depth"],
  ["pair_flow", "webgpu\\)", "pair_flow", ", -0.5 * shift", ", 0.5 * shift"],
  ["hmc", "dw4.*webgpu\\)", "hmc", "+ (start - kin", "- (start - kin"],
  ["path", "^under.*lj13: forw.*webgpu\\)", "path", "return -group_sum", "return group_sum"],
];

for (const [file, filter, part, from, to] of mutations) {
  gpuTest(`mutated shader: ${file} with "${to}" fails its conformance test`, async () => {
    const text = shaders[`common/${part}`] ?? shaders[part];
    assert.ok(text.includes(from), `"${from}" is in the shader`);
    const run = async (mutation: string) => {
      const { code, stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "test",
          "-A",
          "--no-check",
          `tests/conformance/${file}_test.ts`,
          "--filter",
          `/${filter}/`,
        ],
        cwd: root,
        env: { [mutationVariable]: mutation, NO_COLOR: "1" },
        stderr: "null",
      }).output();
      return { code, text: new TextDecoder().decode(stdout) };
    };
    const wrong = await run(JSON.stringify([from, to]));
    assert.equal(wrong.code, 1);
    // It ran, and the comparison failed: not the compiler.
    assert.match(wrong.text, /AssertionError/);
    assert.doesNotMatch(wrong.text, /GpuError/);
  });
}

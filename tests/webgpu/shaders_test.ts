/** The WGSL itself: what the compiler says of it, and that every field of a structure is explained. */
import assert from "node:assert/strict";
import { composeShader, kernelNames, partsOf } from "../../src/backends/webgpu/shader.ts";
import { shaders } from "../../src/backends/webgpu/shaders.gen.ts";
import { priorParts } from "../../src/backends/webgpu/mint_prior.ts";
import { packMoleculeTables } from "../../src/backends/webgpu/molecule.ts";
import {
  lossConstants,
  normConstants,
  plainConstants,
  problemConstants,
  type Purpose,
} from "../../src/backends/webgpu/constants.ts";
import { loadConfig } from "../../src/config/load.ts";
import { preset } from "../../src/config/presets.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { gpuTest } from "../conformance/gpu.ts";
import { forceField } from "../molecule/data.ts";

/** Constants of two problems that differ in every switch. */
function problems() {
  return ["dw4", "lj13"].map((name) => {
    const config = preset(name);
    config.mint.components = name === "dw4" ? 3 : 0;
    config.mint.starts = 4;
    config.julep.network.enabled = name === "dw4";
    config.julep.gauge = name === "dw4" ? "anchor" : "centre_of_mass";
    const system = createSystem(config.system);
    const mint = initialiseMint(system, config.mint, 1);
    const julep = initialiseJulep(system, config.julep, 1);
    const path = {
      mixture: name === "dw4",
      saturates: name === "lj13",
      twoFloats: name === "lj13",
      adjusted: name === "dw4",
      forward: name === "lj13",
      moves: name === "lj13",
      flow: name === "dw4" ? null : { cells: 100, width: 0.1 },
    };
    return (purpose: Purpose) =>
      problemConstants(
        purpose === "path"
          ? { system, mint, julep: null, purpose, path }
          : { system, mint, julep, purpose },
      ).text;
  });
}

/** Constants of a comparator whose gradient goes through the path. */
function comparator(purpose: Purpose): string {
  const config = loadConfig("dw4", [], "pis");
  const system = createSystem(config.system);
  const mint = initialiseMint(system, config.mint, 1);
  const julep = initialiseJulep(system, config.julep, 1);
  const inputGradient = purpose === "gradient";
  return problemConstants({ system, mint, julep, purpose, inputGradient }).text;
}

/** Kernels of other problems than those. */
const special: Record<string, () => string> = {
  log_variance: () => lossConstants(100).text,
  reverse_divergence: () => lossConstants(100).text,
  controlled_diffusion: () => comparator("trajectories"),
  controlled_diffusion_gradient: () => comparator("gradient"),
  gradient_norm: () => normConstants(100).text,
  molecule_energies: () => packMoleculeTables(forceField("aldp"), "obc2").constants.text,
};

gpuTest("WGSL lint: the compiler has no error and no warning, for every kernel", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice({ label: "lint" });
  for (const constants of problems()) {
    for (const name of kernelNames) {
      const path = partsOf(name).some((part) => part === "level_energy" || part === "pair_flow") &&
        !partsOf(name).includes("pair_path");
      const ownConstants = special[name];
      const plain = partsOf(name).every((part) => part !== "group");
      const backward = /backward|gradient|exponential/.test(name);
      const purpose = path ? "path" : backward ? "gradient" : "trajectories";
      const text = ownConstants ? ownConstants() : plain ? plainConstants : constants(purpose);
      for (const scratch of ["workgroup", "buffer"] as const) {
        const { code } = composeShader(name, text, scratch);
        device.pushErrorScope("validation");
        const module = device.createShaderModule({ label: name, code });
        const { messages } = await module.getCompilationInfo();
        const lines = code.split("\n");
        const said = messages.map((m) =>
          `${name}: ${m.type}: ${m.message}\n${lines[m.lineNum - 1]}`
        );
        assert.deepEqual(said, []);
        const error = await device.popErrorScope();
        assert.equal(error, null, `${name}: ${error?.message}`);
      }
    }
  }
  device.destroy();
});

Deno.test("every kernel and every shared part is used and begins with what it is", () => {
  // What a prior's family is made of, the constants name.
  const families = ["orbit_vmf", "pvmf", "orbit_gaussian"] as const;
  const used = new Set([
    ...kernelNames.flatMap(partsOf),
    ...priorParts(null),
    ...families.flatMap((family) => priorParts({ family, components: 1 })),
  ]);
  for (const [name, text] of Object.entries(shaders)) {
    assert.match(text, /^\/\/ /, `${name} begins with a comment`);
    if (name.startsWith("common/")) assert.ok(used.has(name.slice("common/".length)), name);
  }
});

Deno.test("every field of a structure has a comment", () => {
  for (const [name, text] of Object.entries(shaders)) {
    for (const [, body] of text.matchAll(/\bstruct \w+ \{\n(.*?)\n\}/gs)) {
      let before = "";
      for (const line of body.split("\n")) {
        const field = /^\s*(\w+):/.exec(line)?.[1];
        if (field) assert.match(before, /\*\/\s*$/, `shaders/${name}.wgsl: ${field}`);
        before = line;
      }
    }
  }
});

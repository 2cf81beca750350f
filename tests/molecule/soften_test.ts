/** The soft core of molecules: closed forms and derivatives. The kernels: tests/conformance/molecule_energies_test.ts. */
import assert from "node:assert/strict";
import { validateConfig } from "../../src/config/schema.ts";
import type { MoleculeConfig, MoleculeSoftCore } from "../../src/config/config.ts";
import { preset } from "../../src/config/presets.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { createSystem } from "../../src/systems/create.ts";
import { softening, softPair } from "../../src/systems/molecule/soften.ts";
import { forceField, frames } from "./data.ts";

const cores: MoleculeSoftCore[] = [
  { kind: "beutler", alpha: 0.5, bonded: 0.2 },
  { kind: "shifted", alpha: 0.5, bonded: 1 },
];

Deno.test("a soft pair by hand: eq. 26 keeps its minimum, beutler's hill is (1/α² − 1/α)·B²/A", () => {
  // Depth ε at r_min: A = ε r_min¹², B = 2 ε r_min⁶.
  const epsilon = 0.7, least = 0.35;
  const a = epsilon * least ** 12, b = 2 * epsilon * least ** 6;
  const out = new Float64Array(2);
  for (const t of [0, 0.3, 0.9]) {
    const shifted = softening({ kind: "shifted", alpha: 1, bonded: 1 }, t)!;
    for (const r of [0.1, 0.3, 0.35, 0.6]) {
      softPair(shifted, 2, a, b, r * r, out);
      const s = (r / least + 1 - t) ** -6, c = (2 - t) ** -6;
      const expected = epsilon * (s * s - 2 * s * c) + t * 2 / (r + least * (1 - t));
      assert.ok(Math.abs(out[0] - expected) < 1e-12 * (1 + Math.abs(expected)), `${t}, ${r}`);
    }
    softPair(shifted, 0, a, b, least ** 2, out);
    assert.ok(Math.abs(out[1]) < 1e-9, "force at the minimum");
    const beutler = softening({ kind: "beutler", alpha: 0.5, bonded: 1 }, t)!;
    softPair(beutler, 0, a, b, 0, out);
    const soft = 0.5 * (1 - t) ** 2;
    const hill = b * b / a * (1 / soft ** 2 - 1 / soft);
    assert.ok(Math.abs(out[0] - hill) < 1e-12 * Math.abs(hill), `${out[0]}, ${hill}`);
    assert.ok(out[1] === 0);
  }
  assert.equal(softening(cores[0], 1), null);
  assert.equal(softening(null, 0.5), null);
});

function molecule(solvent: "none" | "obc1" | "obc2", softCore: MoleculeSoftCore | null) {
  const config: MoleculeConfig = {
    kind: "molecule",
    temperature: 300,
    solvent,
    forceField: forceField("aldp"),
    softCore,
  };
  return { config, system: createSystem(config) };
}

/** A 300 K frame shaken by `width` nm, float32 values, atom 0 at the origin. */
function shaken(width: number, seed: number): Float64Array {
  const random = new RandomStream(seed, Stream.test, 0);
  const x = Float64Array.from(frames("aldp")[1].positions, (v) => v + width * random.normal());
  const [a, b, c] = x;
  return x.map((v, k) => Math.fround(v - [a, b, c][k % 3]));
}

Deno.test("U_t: gradients are derivatives, t = 1 is the target, collisions are finite before", () => {
  for (const softCore of cores) {
    for (const solvent of ["none", "obc1", "obc2"] as const) {
      const { system } = molecule(solvent, softCore);
      const plain = molecule(solvent, null).system;
      assert.equal(system.hash, plain.hash, "the path is not the target");
      const x = shaken(0.02, 3);
      const gradient = new Float64Array(66);
      for (const t of [0.05, 0.5, 0.95]) {
        system.energyAndGradient(x, gradient, t);
        const scale = Math.hypot(...gradient);
        for (let k = 3; k < 66; k += 7) {
          const h = 1e-6;
          const at = (d: number) => system.energy(x.map((v, a) => a === k ? v + d : v), t);
          const slope = (at(h) - at(-h)) / (2 * h);
          assert.ok(Math.abs(slope - gradient[k]) < 1e-5 * scale, `${t}, ${k}: ${slope}`);
        }
      }
      assert.equal(system.energy(x), plain.energy(x));
      assert.equal(plain.energy(x, 0.3), plain.energy(x), "without a soft core nothing changes");
      // Atom 12 on atom 1, no bond and no exclusion: only at the target is that infinite.
      const collided = x.slice();
      for (let a = 0; a < 3; a++) collided[36 + a] = collided[3 + a] + (a === 0 ? 1e-7 : 0);
      assert.ok(system.energy(collided) > 1e20);
      assert.ok(Math.abs(system.energy(collided, 0.3)) < 1e7);
    }
  }
});

Deno.test("U_0 of a soft core has no charges: Coulomb and solvation vanish together", () => {
  const field = forceField("aldp");
  const bare = { ...field, atoms: { ...field.atoms, charges: field.atoms.charges.map(() => 0) } };
  const uncharged = {
    ...bare,
    exceptions: field.exceptions.map(([i, j, , ...rest]) => [i, j, 0, ...rest]),
  };
  const common = {
    kind: "molecule",
    temperature: 300,
    solvent: "obc2",
    softCore: cores[0],
  } as const;
  const x = shaken(0.01, 4);
  const charged = createSystem({ ...common, forceField: field });
  const without = createSystem({ ...common, forceField: uncharged });
  assert.ok(Math.abs(charged.energy(x, 0) - without.energy(x, 0)) < 1e-9);
  assert.ok(Math.abs(charged.energy(x, 0.5) - without.energy(x, 0.5)) > 1);
});

Deno.test("system.softCore: what is not one is refused in one line", () => {
  const config = preset("aldp");
  const withCore = (softCore: unknown) => ({ ...config, system: { ...config.system, softCore } });
  assert.ok(validateConfig(withCore(cores[0]), "x"));
  assert.ok(validateConfig(withCore(null), "x"));
  for (const bad of [{ ...cores[0], bonded: 0 }, { ...cores[0], kind: "hard" }, 3]) {
    assert.throws(() => validateConfig(withCore(bad), "x"), /system/);
  }
});

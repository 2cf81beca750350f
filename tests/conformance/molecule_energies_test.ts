/** The kernel molecule_energies, both SIMD modules and WGSL, against the float64 molecules. */
import assert from "node:assert/strict";
import {
  type MoleculeBatch,
  moleculeEnergies,
} from "../../src/backends/reference/molecule_energies.ts";
import { MoleculeKernel } from "../../src/backends/wasm/molecule_energies.ts";
import { GpuMolecule } from "../../src/backends/webgpu/molecule.ts";
import type { MoleculeSoftCore } from "../../src/config/config.ts";
import type { ForceField, Solvent } from "../../src/config/force_field.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { createSystem } from "../../src/systems/create.ts";
import { angleEnergy, bondEnergy, torsionEnergy } from "../../src/systems/molecule/bonded.ts";
import { MoleculeEnergy, TERMS } from "../../src/systems/molecule/energy.ts";
import { nonbondedEnergy, pairTable } from "../../src/systems/molecule/nonbonded.ts";
import { ObcSolvation } from "../../src/systems/molecule/obc.ts";
import { type Softening, softening } from "../../src/systems/molecule/soften.ts";
import { forceField, frames, molecules, solvents } from "../molecule/data.ts";
import { acetylene, acetyleneLine } from "../molecule/small.ts";
import { eachBackend } from "./backends.ts";
import { eachGpu } from "./gpu.ts";
import { tolerances } from "./tolerances.ts";
import { eachVariant } from "./variants.ts";

const kT = 2.494; // kJ/mol at 300 K
const cores: MoleculeSoftCore[] = [
  { kind: "beutler", alpha: 0.5, bonded: 0.2 },
  { kind: "shifted", alpha: 0.5, bonded: 1 },
];

/** The oracles' frames and as many shaken copies, float32 values with atom 0 at the origin. */
function configurations(name: typeof molecules[number], count: number): Float64Array {
  const known = frames(name).slice(1).map(({ positions }) => positions);
  const size = known[0].length;
  const random = new RandomStream(11, Stream.test, 0);
  const out = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    const from = known[s % known.length];
    for (let a = 0; a < size; a++) {
      const shaken = s < known.length ? 0 : 0.004 * random.normal();
      out[s * size + a] = from[a] - from[a % 3] + shaken;
    }
    for (let a = size - 1; a >= 0; a--) {
      out[s * size + a] = Math.fround(out[s * size + a] - out[s * size + a % 3]);
    }
  }
  return out;
}

/** Sums of absolute parts of each term, and of the norms of the terms' forces: what errors scale by. */
function scales(field: ForceField, solvent: Solvent, x: Float64Array, soft: Softening | null) {
  const { bonds, angles, torsions, atoms, born } = field;
  const size = x.length;
  let forces = 0;
  const part = (evaluate: (gradient: Float64Array) => number, factor = 1): number => {
    const gradient = new Float64Array(size);
    const energy = evaluate(gradient);
    forces += factor * Math.hypot(...gradient);
    return factor * Math.abs(energy);
  };
  const bonded = soft?.bonded ?? 1;
  const unsigned = pairTable(field);
  for (let p = 0; p < unsigned.b.length; p++) {
    unsigned.coulomb[p] = Math.abs(unsigned.coulomb[p]);
    unsigned.b[p] *= -1;
  }
  const magnitudes = atoms.charges.map(Math.abs);
  const terms = [
    part((g) => bondEnergy(bonds, x, g), bonded),
    part((g) => angleEnergy(angles, x, g), bonded),
    bonded * torsions.reduce((sum, row) => sum + 2 * Math.abs(row[6]), 0),
    nonbondedEnergy(unsigned, x, null, soft),
    solvent === "none"
      ? 0
      : part((g) => new ObcSolvation(solvent, magnitudes, born!).energy(x, g, soft?.charges)),
  ];
  part((g) => torsionEnergy(torsions, x, g), bonded);
  part((g) => nonbondedEnergy(pairTable(field), x, g, soft));
  return { terms, forces };
}

/** Terms and forces of a molecule as close to float64 as the tolerances say. */
function compare(
  field: ForceField,
  solvent: Solvent,
  x: Float64Array,
  got: MoleculeBatch,
  soft: Softening | null = null,
): void {
  const size = 3 * field.atoms.charges.length;
  const count = x.length / size;
  const exact = moleculeEnergies(new MoleculeEnergy(field, solvent), x, count, soft);
  for (let s = 0; s < count; s++) {
    const scale = scales(field, solvent, x.subarray(s * size, (s + 1) * size), soft);
    TERMS.forEach((term, k) => {
      const [value, expected] = [got.terms[5 * s + k], exact.terms[5 * s + k]];
      const error = Math.abs(value - expected) / (kT + scale.terms[k]);
      assert.ok(
        error <= tolerances.moleculeTerms.value,
        `${solvent}, sample ${s}, ${term}: ${value}, exact ${expected}, error ${error}`,
      );
    });
    let error = 0;
    for (let a = s * size; a < (s + 1) * size; a++) {
      error += (got.gradients[a] - exact.gradients[a]) ** 2;
    }
    error = Math.sqrt(error) / scale.forces;
    assert.ok(
      error <= tolerances.moleculeForces.value,
      `${solvent}, sample ${s}: forces differ by ${error}`,
    );
  }
}

for (const name of molecules) {
  eachVariant(`moleculeEnergies: ${name} agrees with float64 with every solvent`, (kernels) => {
    const field = forceField(name);
    const x = configurations(name, 14);
    for (const solvent of solvents) {
      const mark = kernels.memory.mark();
      compare(field, solvent, x, new MoleculeKernel(kernels, field, solvent).energies(x, 14));
      kernels.memory.release(mark);
    }
  });
  eachGpu(`moleculeEnergies: ${name} agrees with float64 with every solvent`, async (kernels) => {
    const field = forceField(name);
    const x = configurations(name, 14);
    for (const solvent of solvents) {
      compare(field, solvent, x, await new GpuMolecule(kernels, field, solvent).energies(x, 14));
    }
  });
  eachGpu(`moleculeEnergies, soft core: ${name} agrees with float64`, async (kernels) => {
    const field = forceField(name);
    const x = configurations(name, 14);
    for (const solvent of solvents) {
      const kernel = new GpuMolecule(kernels, field, solvent);
      for (const core of cores) {
        for (const t of [0, 0.4, 0.9, 1]) {
          const soft = softening(core, t);
          compare(field, solvent, x, await kernel.energies(x, 14, soft), soft);
        }
      }
    }
  });
}

eachVariant("moleculeEnergies: every batch size gives each sample the same bits", (kernels) => {
  const x = configurations("aldp", 130);
  const size = x.length / 130;
  for (const solvent of ["none", "obc1"] as const) {
    const kernel = new MoleculeKernel(kernels, forceField("aldp"), solvent);
    const all = kernel.energies(x, 130);
    for (const count of [0, 1, 63, 64, 65]) {
      // From the end, so that samples also change lanes and neighbours.
      const some = kernel.energies(x.subarray((130 - count) * size), count);
      assert.deepEqual(some.terms, all.terms.slice(5 * (130 - count)), `batch ${count}`);
      assert.deepEqual(some.gradients, all.gradients.slice((130 - count) * size));
    }
  }
});

eachGpu("moleculeEnergies: every batch size gives each sample the same bits", async (kernels) => {
  const x = configurations("aldp", 21);
  const size = x.length / 21;
  const kernel = new GpuMolecule(kernels, forceField("aldp"), "obc1");
  const all = await kernel.energies(x, 21);
  for (const count of [0, 1, 8]) {
    const some = await kernel.energies(x.subarray((21 - count) * size), count);
    assert.deepEqual(some.terms, all.terms.slice(5 * (21 - count)), `batch ${count}`);
    assert.deepEqual(some.gradients, all.gradients.slice((21 - count) * size));
  }
});

type Kernel = {
  energies(
    x: Float64Array,
    count: number,
    soft?: Softening | null,
  ): MoleculeBatch | Promise<MoleculeBatch>;
};

/** Bad configurations are finite or not as in float64, and stay by themselves. */
async function collide(
  solvent: Solvent,
  kernel: Kernel,
  soft: Softening | null = null,
): Promise<void> {
  const finite = (values: Iterable<number>) =>
    [...values].every((v) => Number.isFinite(Math.fround(v)));
  const molecule = new MoleculeEnergy(forceField("aldp"), solvent);
  const clean = configurations("aldp", 4);
  const size = clean.length / 4;
  const untouched = await kernel.energies(clean, 4, soft);
  // Atom 12 beside atom 1: no bond, no exclusion.
  for (const gap of [0.05, 0.01, 3e-3, 0, NaN]) {
    const bad = clean.slice();
    for (let a = 0; a < 3; a++) bad[size + 36 + a] = bad[size + 3 + a];
    bad[size + 36] = Math.fround(bad[size + 36] + gap);
    const exact = moleculeEnergies(molecule, bad, 4, soft);
    const got = await kernel.energies(bad, 4, soft);
    const where = `${solvent}, ${soft?.kind ?? "not softened"}, gap ${gap}`;
    assert.equal(finite(got.terms.slice(5, 10)), finite(exact.terms.slice(5, 10)), where);
    assert.equal(
      finite(got.gradients.slice(size, 2 * size)),
      finite(exact.gradients.slice(size, 2 * size)),
      `gradient: ${where}`,
    );
    for (const s of [0, 2, 3]) {
      assert.deepEqual(
        got.gradients.slice(s * size, (s + 1) * size),
        untouched.gradients.slice(s * size, (s + 1) * size),
        `neighbour: ${where}`,
      );
    }
  }
}

const collisions = "moleculeEnergies: collisions and NaN are finite or not as in float64";
eachVariant(collisions, async (kernels) => {
  for (const solvent of solvents) {
    await collide(solvent, new MoleculeKernel(kernels, forceField("aldp"), solvent));
  }
});
eachGpu(collisions, async (kernels) => {
  for (const solvent of solvents) {
    const kernel = new GpuMolecule(kernels, forceField("aldp"), solvent);
    await collide(solvent, kernel);
    for (const core of cores) await collide(solvent, kernel, softening(core, 0.3));
  }
});

eachBackend("the energies job on a molecule: U over kT of the reference", async (executor) => {
  const config = {
    kind: "molecule" as const,
    temperature: 310,
    solvent: "obc2" as const,
    forceField: forceField("aldp"),
  };
  const system = createSystem(config);
  await executor.prepare({ system: config, mint: null, julep: null });
  const x = configurations("aldp", 5);
  const { energies, gradients } = await executor.energies({ count: 5, positions: x, t: 1 });
  for (let s = 0; s < 5; s++) {
    const gradient = new Float64Array(66);
    const exact = system.energyAndGradient(x.slice(66 * s, 66 * (s + 1)), gradient);
    assert.ok(Math.abs(energies[s] - exact) < 1e-3, `${energies[s]}, exact ${exact}`);
    const error = Math.hypot(...gradient.map((g, a) => g - gradients[66 * s + a]));
    assert.ok(error < 1e-4 * Math.hypot(...gradient), `${error}`);
  }
});

/** A frame shaken by `width` nm, float32 values, atom 0 at the origin. */
function shaken(width: number, seed: number): Float64Array {
  const random = new RandomStream(seed, Stream.test, 0);
  const x = Float64Array.from(frames("aldp")[1].positions, (v) => v + width * random.normal());
  const [a, b, c] = x;
  return x.map((v, k) => Math.fround(v - [a, b, c][k % 3]));
}

const overlaps =
  "the energies job with a soft core: U_t over kT, atoms inside one another included";
eachBackend(overlaps, async (executor) => {
  const all = [0, 0.004, 0.03, 0.05, 0.08].map((width, k) => shaken(width, k));
  const positions = Float64Array.from(all.flatMap((x) => [...x]));
  for (const softCore of [...cores, null]) {
    for (const solvent of solvents) {
      const config = {
        kind: "molecule" as const,
        temperature: 300,
        solvent,
        forceField: forceField("aldp"),
        softCore,
      };
      const system = createSystem(config);
      await executor.prepare({ system: config, mint: null, julep: null });
      for (const t of [0, 0.4, 0.9, 1]) {
        const { energies, gradients } = await executor.energies({ count: 5, positions, t });
        all.forEach((x, s) => {
          const where = `${softCore?.kind}, ${solvent}, t = ${t}, sample ${s}`;
          const gradient = new Float64Array(66);
          const exact = system.energyAndGradient(x, gradient, t);
          // Charges of a molecule attract and repel by 2000 kT in all; softened hills add to them.
          const error = Math.abs(energies[s] - exact) / (2000 + Math.abs(exact));
          assert.ok(error < tolerances.moleculeTerms.value, `${where}: ${error}`);
          const apart = Math.hypot(...gradient.map((g, a) => g - gradients[66 * s + a]));
          const scale = 1e4 + Math.hypot(...gradient);
          assert.ok(
            apart < tolerances.moleculeForces.value * scale,
            `${where}: ${apart} of ${scale}`,
          );
        });
      }
    }
  }
});

const lines = "moleculeEnergies: atoms on a line have no NaN, a bend of them the float64 force";
/** Exactly straight, and bent by so much that float32 sees it. */
async function straight(kernel: Kernel): Promise<void> {
  for (const y of [0, 1e-30, 0.003]) {
    const x = acetyleneLine.slice();
    x[1] = x[10] = Math.fround(y);
    x.forEach((v, a) => x[a] = Math.fround(v));
    const got = await kernel.energies(x, 1);
    assert.ok(got.gradients.every(Number.isFinite), `${y}: ${got.gradients}`);
    const exact = moleculeEnergies(new MoleculeEnergy(acetylene, "none"), x, 1);
    assert.ok(exact.gradients.every(Number.isFinite), `${y}: ${exact.gradients}`);
    exact.gradients.forEach((g, a) =>
      assert.ok(Math.abs(got.gradients[a] - g) < 0.02, `${y}: ${got.gradients[a]}, exact ${g}`)
    );
  }
}
eachVariant(lines, (kernels) => straight(new MoleculeKernel(kernels, acetylene, "none")));
eachGpu(lines, (kernels) => straight(new GpuMolecule(kernels, acetylene, "none")));

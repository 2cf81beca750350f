/**
 * assembly/internal_path.ts with internal_coordinates.ts and internal_prior.ts, relaxed and plain,
 * against the float64 internal coordinates, priors and populations.
 */
import assert from "node:assert/strict";
import { internalDraws } from "../../src/backends/internal_paths.ts";
import { ReferenceInternalPopulation } from "../../src/backends/reference/internal_path.ts";
import { InternalKernel } from "../../src/backends/wasm/internal_path.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import type { MoleculeConfig } from "../../src/config/config.ts";
import { internalDefaults } from "../../src/config/methods.ts";
import { preset } from "../../src/config/presets.ts";
import { Stream } from "../../src/math/random.ts";
import { type InternalModel, InternalSampler } from "../../src/path/internal_sampler.ts";
import { makeInternal } from "../../src/run/internal.ts";
import { silent } from "../../src/run/progress.ts";
import { createSystem } from "../../src/systems/create.ts";
import type { Molecule } from "../../src/systems/molecule/molecule.ts";
import { forceField, frames } from "../molecule/data.ts";
import { chair, cyclohexane, water, waterBent } from "../molecule/small.ts";
import { tolerances } from "./tolerances.ts";
import { eachVariant } from "./variants.ts";

interface Subject {
  readonly name: string;
  readonly molecule: Molecule;
  readonly model: InternalModel;
}

/** A grid over two torsions with rotors, and a mixture of minima of a molecule with a ring. */
const subjects: Subject[] = [
  await subject("aldp, torsion grid", preset("aldp").system as MoleculeConfig, {
    starts: 4,
    cells: 6,
    leapfrogs: 1,
  }),
  await subject("aldp, Laplace", preset("aldp-vacuum").system as MoleculeConfig, {
    starts: 10,
    prior: "laplace",
    leapfrogs: 2,
  }),
  await subject("tetrapeptide, Laplace", {
    kind: "molecule",
    temperature: 300,
    solvent: "obc2",
    forceField: forceField("tetrapeptide"),
  }, {
    starts: 2,
    descentSteps: 150,
    reference: [...frames("tetrapeptide")[0].positions],
    prior: "laplace",
    leapfrogs: 2,
  }),
  await subject("three atoms", {
    kind: "molecule",
    temperature: 300,
    solvent: "none",
    forceField: water,
  }, { starts: 2, reference: [...waterBent], leapfrogs: 1 }),
  await subject("a ring, Laplace", {
    kind: "molecule",
    temperature: 300,
    solvent: "none",
    forceField: cyclohexane,
    // The time step that training comes to for it; of larger ones nearly every move is refused, and those that
    // are not blow rounding up.
  }, { starts: 20, reference: [...chair], leapfrogs: 1, stepSize: 0.24 }),
];

async function subject(
  name: string,
  config: MoleculeConfig,
  changes: Partial<typeof internalDefaults>,
): Promise<Subject> {
  const molecule = createSystem(config) as Molecule;
  const settings = { ...internalDefaults, stepSize: 0.6, ...changes };
  return { name, molecule, model: (await makeInternal(molecule, settings, 1, silent)).model };
}

function prepare(kernels: KernelInstance, { molecule, model }: Subject) {
  const { parameters, scratch = 0 } = molecule.pairKernel;
  const address = kernels.memory.alloc(4 * (parameters.length + scratch));
  kernels.memory.f32(address, parameters.length).set(parameters);
  const sampler = new InternalSampler(molecule, model);
  return { sampler, kernel: new InternalKernel(kernels, sampler, address) };
}

const options = { seed: 5, stream: Stream.pathForward, first: 8 };

for (const one of subjects) {
  eachVariant(`internalPath: V, ∂V/∂z and log q agree with float64: ${one.name}`, (kernels) => {
    const { sampler, kernel } = prepare(kernels, one);
    const { energy, prior } = sampler;
    const n = energy.coordinates.size;
    const count = 21;
    const { places } = internalDraws(sampler, { seed: 1, first: 0, count });
    const { values, gradients } = kernel.energies(places);
    const population = kernel.start(places, options);
    const [seen, logDensities] = [population.values, population.logDensities];
    population.dispose();
    for (let s = 0; s < count; s++) {
      const z = places.slice(s * n, (s + 1) * n);
      const gradient = new Float64Array(n);
      const value = energy.value(z, gradient);
      assert.equal(seen[s], values[s]);
      const error = Math.abs(value - values[s]) / (1 + Math.abs(value));
      assert.ok(error < tolerances.internalValue.value, `V ${value}, ${values[s]}: ${error}`);
      const difference = Math.hypot(...gradient.map((g, k) => g - gradients[s * n + k])) /
        Math.hypot(...gradient);
      assert.ok(difference < tolerances.internalGradient.value, `gradient: ${difference}`);
      const logDensity = prior.logDensity(z);
      assert.ok(
        Math.abs(logDensity - logDensities[s]) < tolerances.internalDensity.value,
        `log q ${logDensity}, ${logDensities[s]}`,
      );
    }
  });

  eachVariant(`internalPath: 100 levels agree with float64: ${one.name}`, (kernels) => {
    const { sampler, kernel } = prepare(kernels, one);
    const count = 10, K = 100;
    const { places } = internalDraws(sampler, { seed: 2, first: 8, count });
    const fast = kernel.start(places, options);
    const exact = new ReferenceInternalPopulation(sampler, places, options);
    const weights = [new Float64Array(count), new Float64Array(count)];
    // From where an acceptance falls to different sides of its random number, two paths part for good.
    const parted = new Set<number>();
    for (let k = 0; k < K; k++) {
      [fast, exact].forEach(({ values, logDensities }, which) => {
        for (let s = 0; s < count; s++) weights[which][s] -= (values[s] + logDensities[s]) / K;
      });
      fast.transition(k, (k + 1) / K);
      exact.transition(k, (k + 1) / K);
      exact.accepted.forEach((a, s) => {
        if (a !== fast.accepted[s]) parted.add(s);
      });
    }
    assert.ok(parted.size <= 1, `${parted.size} of ${count} paths parted`);
    for (let s = 0; s < count; s++) {
      if (parted.has(s)) continue;
      const error = Math.abs(weights[0][s] - weights[1][s]);
      assert.ok(error < tolerances.internalLogWeights.value, `sample ${s}: ${error}`);
    }
    assert.equal(fast.gradients, count * (1 + K * one.model.leapfrogs));
    assert.equal(exact.gradients, fast.gradients);
    fast.dispose();
  });
}

eachVariant("internalPath: lanes are independent, the domain's edge refuses", (kernels) => {
  const { sampler, kernel } = prepare(kernels, subjects[0]);
  const n = sampler.energy.coordinates.size;
  const { places } = internalDraws(sampler, { seed: 3, first: 0, count: 8 });
  const moved = (given: Float64Array, first: number) => {
    const population = kernel.start(given, { ...options, first });
    for (let k = 0; k < 3; k++) population.transition(k, 0.5);
    const end = population.places();
    const { values, accepted } = population;
    population.dispose();
    return { end, values, accepted };
  };
  const all = moved(places, 0);
  assert.deepEqual(moved(places.slice(4 * n), 4).end, all.end.slice(4 * n));
  // Out of the domain and not a number: no proposal from there is ever taken, neighbours stay.
  const broken = places.slice();
  broken[n] = 0.01;
  broken[2 * n + 30] = NaN;
  const beside = moved(broken, 0);
  for (const s of [1, 2]) {
    assert.deepEqual(
      beside.end.slice(s * n, (s + 1) * n),
      broken.slice(s * n, (s + 1) * n).map(Math.fround),
    );
    assert.ok(!Number.isFinite(beside.values[s]));
    assert.equal(beside.accepted[s], 0);
  }
  for (const s of [0, 3, 4]) {
    assert.deepEqual(beside.end.slice(s * n, (s + 1) * n), all.end.slice(s * n, (s + 1) * n));
  }
});

eachVariant("internalPath: copies carry their state, and part by their own numbers", (kernels) => {
  const { sampler, kernel } = prepare(kernels, subjects[0]);
  const n = sampler.energy.coordinates.size;
  const { places } = internalDraws(sampler, { seed: 4, first: 0, count: 6 });
  const fast = kernel.start(places, options);
  const exact = new ReferenceInternalPopulation(sampler, places, options);
  const ancestors = Int32Array.of(0, 0, 2, 5, 2, 5);
  for (const population of [fast, exact]) {
    const before = population.values;
    population.copy(ancestors);
    const after = population.places();
    ancestors.forEach((from, s) => {
      assert.equal(population.values[s], before[from]);
      assert.deepEqual(after.slice(s * n, (s + 1) * n), places.slice(from * n, (from + 1) * n));
    });
    population.transition(0, 0.3);
  }
  exact.values.forEach((value, s) => {
    assert.ok(Math.abs(value - fast.values[s]) < 1e-2, `${value}, ${fast.values[s]}`);
  });
  assert.notEqual(fast.values[0], fast.values[1]);
  fast.dispose();
});

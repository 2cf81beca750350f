/** Refinement of a mixture of minima: finds a density of its class, by weights, and never forgets. */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { InternalEnergy } from "../../src/mint/molecule/internal_energy.ts";
import {
  LaplaceMixture,
  type LaplaceModel,
  laplaceModel,
  properTorsions,
} from "../../src/mint/molecule/laplace.ts";
import { findMinima } from "../../src/mint/molecule/minima.ts";
import { refineMixture } from "../../src/mint/molecule/refine.ts";
import { softTorsions } from "../../src/mint/molecule/torsions.ts";
import { Molecule } from "../../src/systems/molecule/molecule.ts";
import { ZMatrix } from "../../src/systems/molecule/zmatrix.ts";
import { forceField as stored, frames } from "./data.ts";

const forceField = stored("aldp");
const positions = Float64Array.from(frames("aldp")[0].positions);
const molecule = new Molecule({ kind: "molecule", temperature: 300, solvent: "none", forceField });
const coordinates = new ZMatrix(forceField, positions);
const energy = new InternalEnergy(molecule, coordinates);
const z = new Float64Array(coordinates.size);
coordinates.fromCartesian(positions, z);
const soft = softTorsions(forceField, coordinates, positions);
const minima = findMinima(energy, z, soft, { seed: 1, starts: 12, steps: 300, range: 6 });
const start = laplaceModel(energy, minima, 1, [
  { weight: 0.9, widening: 1 },
  { weight: 0.1, widening: 1.5 },
]);
const defensive = 0.2;

/** The mixture with every component moved by half a width and twice as wide along its first torsion. */
function moved(model: LaplaceModel): LaplaceModel {
  const n = coordinates.size;
  const [b] = properTorsions(coordinates);
  const means = model.means.slice(), covariances = model.covariances.slice();
  model.logWeights.forEach((_, k) => {
    const of = model.covariances.subarray(k * n * n, (k + 1) * n * n);
    const variance = of[b * n + b];
    for (let i = 0; i < n; i++) {
      means[k * n + i] += 0.5 * of[i * n + b] / Math.sqrt(variance);
      for (let j = 0; j < n; j++) {
        covariances[k * n * n + i * n + j] += 3 * of[i * n + b] * of[b * n + j] / variance;
      }
    }
  });
  return { ...model, means, covariances };
}

/** Draws and what they weigh for the target density. */
function draws(from: LaplaceModel, to: LaplaceModel, count: number, first: number) {
  const q = new LaplaceMixture(coordinates, from), p = new LaplaceMixture(coordinates, to);
  const n = coordinates.size;
  const places = new Float64Array(count * n);
  const logWeights = Float64Array.from({ length: count }, (_, s) => {
    const z = q.draw(new RandomStream(2666, Stream.test, first + s));
    if (!z) return -Infinity;
    places.set(z, s * n);
    return from === to ? 0 : p.logDensity(z) - q.logDensity(z);
  });
  return { places, logWeights };
}

/** Mean log density of samples that all weigh the same. */
function meanLog(model: LaplaceModel, { places, logWeights }: ReturnType<typeof draws>): number {
  const q = new LaplaceMixture(coordinates, model);
  const n = coordinates.size;
  let sum = 0, count = 0;
  logWeights.forEach((w, s) => {
    if (w === -Infinity) return;
    sum += q.logDensity(places.subarray(s * n, (s + 1) * n));
    count++;
  });
  return sum / count;
}

/** Steps of the mixture towards samples. */
function refined(samples: ReturnType<typeof draws>, steps = 5): LaplaceModel {
  let next = { mixture: start, fitted: start };
  for (let k = 0; k < steps; k++) {
    next = refineMixture(coordinates, start, next.fitted, samples, { defensive, strength: 10 });
  }
  return next.mixture;
}

const truth = moved(start);
const unseen = draws(truth, truth, 1000, 50_000);
const gap = meanLog(truth, unseen) - meanLog(start, unseen);

Deno.test("a mixture of minima is refined to the density its samples come from", () => {
  const after = refined(draws(truth, truth, 2000, 0));
  const left = meanLog(truth, unseen) - meanLog(after, unseen);
  assert(gap > 0.5, `the truth is ${gap} nats away to begin with`);
  // −log(1 − 0.2) = 0.22 nats are the price of what is kept.
  assert(left < 0.3, `${left} of ${gap} nats are left`);
});

Deno.test("refinement goes by the weights of samples, not by how often they were drawn", () => {
  const samples = draws(start, truth, 6000, 100_000);
  const left = meanLog(truth, unseen) - meanLog(refined(samples), unseen);
  assert(left < 0.5 * gap, `${left} of ${gap} nats are left`);
  const ignoring = { ...samples, logWeights: samples.logWeights.map(() => 0) };
  const unweighted = meanLog(truth, unseen) - meanLog(refined(ignoring), unseen);
  assert(unweighted > 0.8 * gap, `without weights ${unweighted} of ${gap} nats should be left`);
});

Deno.test("refinement keeps the mixture as it was, and what it makes is normalised", () => {
  const after = refined(draws(truth, truth, 500, 0), 2);
  const before = new LaplaceMixture(coordinates, start);
  const q = new LaplaceMixture(coordinates, after);
  const n = coordinates.size;
  const { places, logWeights } = draws(start, start, 2000, 200_000);
  let sum = 0, squares = 0;
  logWeights.forEach((w, s) => {
    if (w === -Infinity) return;
    const z = places.subarray(s * n, (s + 1) * n);
    const ratio = q.logDensity(z) - before.logDensity(z);
    assert(ratio > Math.log(defensive) - 1e-9, `log of the refined over the first: ${ratio}`);
    sum += Math.exp(ratio);
    squares += Math.exp(2 * ratio);
  });
  const mean = sum / 2000;
  const error = Math.sqrt((squares / 2000 - mean ** 2) / 2000);
  // E_start[q/start] = 1: a fixed seed; false alarms of a normal mean beyond 4 errors, 6e-5.
  assert(Math.abs(mean - 1) < 4 * error, `E[q/q_start] = ${mean} ± ${error}`);
});

Deno.test("samples without any weight refine nothing", () => {
  const samples = draws(truth, truth, 10, 0);
  samples.logWeights.fill(-Infinity);
  assert.throws(() => refined(samples, 1), RangeError);
});

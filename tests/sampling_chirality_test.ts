/**
 * keep, both and fold against exact integrals: five atoms about a stereocentre with
 *   e^{−U} = e^{−½k|x|²} (1 + a sign V),
 * V the volume of the substituents. Its half with V > 0 has the integral (1 + a)/2 (2π/k)^{15/2}; a ≠ 0
 * breaks the mirror symmetry, which the weights must make good.
 */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import {
  backwardShift,
  type Chirality,
  chiralityFigures,
  type ChiralityMode,
  referenceOf,
  withChirality,
} from "../src/sampling/chirality.ts";
import type { WeightedSamples } from "../src/sampling/draw.ts";
import { logPartitionFunction } from "../src/sampling/weights.ts";
import { Handedness, orientation } from "../src/systems/molecule/stereo.ts";
import type { System } from "../src/systems/system.ts";
import { forceField } from "./molecule/data.ts";

const SIZE = 15, STIFF = 1.4, ASYMMETRY = 0.3;

const base = forceField("aldp");
const molecule = {
  ...base,
  atoms: { ...base.atoms, names: ["C", "H", "F", "Cl", "Br"], elements: [6, 1, 9, 17, 35] },
  bonds: [1, 2, 3, 4].map((i) => [0, i, 0.1, 1]),
};
const reference = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, -1, -1, -1];
const handedness = new Handedness(molecule, reference);
const sign = (x: ArrayLike<number>, at = 0) =>
  orientation(handedness.centres[0], x, at) * orientation(handedness.centres[0], reference);

const energyOf = (a: number) => (x: Float64Array) =>
  STIFF / 2 * x.reduce((sum, v) => sum + v * v, 0) - Math.log(1 + a * sign(x));
const systemOf = (a: number) => ({ particles: 5, dimension: 3, energy: energyOf(a) }) as System;

const LOG_Z0 = SIZE / 2 * Math.log(2 * Math.PI / STIFF);

/** Standard normal draws, weighted; of a one-sided sampler all of the given handedness. */
function draws(n: number, oneSided: boolean, a: number): WeightedSamples {
  const energy = energyOf(a);
  const positions = new Float32Array(n * SIZE);
  const energies = new Float64Array(n), logWeights = new Float64Array(n);
  for (let s = 0; s < n; s++) {
    const random = new RandomStream(3, Stream.test, s);
    const x = positions.subarray(s * SIZE, (s + 1) * SIZE);
    for (let k = 0; k < SIZE; k++) x[k] = random.normal();
    if (oneSided && sign(x) < 0) { for (let k = 2; k < SIZE; k += 3) x[k] = -x[k]; }
    const exact = Float64Array.from(x);
    const logDensity = -0.5 * exact.reduce((sum, v) => sum + v * v, 0) -
      SIZE / 2 * Math.log(2 * Math.PI) + (oneSided ? Math.log(2) : 0);
    energies[s] = energy(exact);
    logWeights[s] = -energies[s] - logDensity;
  }
  return { positions, priorPositions: positions.slice(), energies, logWeights, seconds: 0 };
}

const modes: ChiralityMode[] = ["keep", "both", "fold"];

for (const oneSided of [true, false]) {
  for (const a of [0, ASYMMETRY]) {
    Deno.test(
      `log Z and samples of keep, both, fold: ${
        oneSided ? "one-sided" : "symmetric"
      } sampler, asymmetry ${a}`,
      () => {
        const drawn = draws(20_000, oneSided, a);
        const system = systemOf(a);
        const expected = { keep: (1 + a) / 2, both: 1, fold: 1 + a };
        for (const mode of modes) {
          const chirality: Chirality = { mode, handedness, oneSided };
          const found = withChirality(drawn, system, chirality, 7);
          const { logZ, standardError } = logPartitionFunction(found.logWeights);
          // 4.4 standard errors: a false alarm in 1e5.
          const known = LOG_Z0 + Math.log(expected[mode]);
          assert.ok(Math.abs(logZ - known) < 4.4 * standardError, `${mode}: ${logZ}, ${known}`);
          assert.ok(standardError < 0.03, `${mode}: ± ${standardError}`);
          // The energies are those of what is shown.
          for (let s = 0; s < 200; s++) {
            const x = Float64Array.from(found.positions.subarray(s * SIZE, (s + 1) * SIZE));
            assert.ok(Math.abs(system.energy(x) - found.energies[s]) < 1e-9);
            if (mode !== "both") assert.equal(sign(x), 1);
          }
          const names = molecule.atoms.names;
          const { mirrored, mirroredStdErr, stereocentres } = chiralityFigures(
            found,
            chirality,
            names,
          )!;
          assert.deepEqual(stereocentres, ["C 1"]);
          if (mode === "both") {
            assert.ok(Math.abs(mirrored - (1 - a) / 2) < 4.4 * mirroredStdErr, `${mirrored}`);
          }
          if (oneSided && mode !== "both") assert.equal(mirrored, 0);
        }
      },
    );
  }
}

Deno.test("backward weights belong to the same log Z", () => {
  // From the target, e^{−W} = q/e^{−U} has mean 1/Z.
  const n = 20_000;
  for (const oneSided of [true, false]) {
    for (const mode of modes) {
      const chirality: Chirality = { mode, handedness, oneSided };
      const target = new Float64Array(n * SIZE);
      for (let s = 0; s < n; s++) {
        const random = new RandomStream(8, Stream.test, s);
        for (let k = 0; k < SIZE; k++) target[s * SIZE + k] = random.normal() / Math.sqrt(STIFF);
      }
      const shown = referenceOf(target, SIZE, chirality);
      assert.equal(shown.length, target.length);
      const minus = Float64Array.from({ length: n }, (_, s) => {
        const x = shown.subarray(s * SIZE, (s + 1) * SIZE);
        const square = x.reduce((sum, v) => sum + v * v, 0);
        if (mode !== "both" || oneSided) assert.equal(sign(x), 1);
        const logDensity = -0.5 * square - SIZE / 2 * Math.log(2 * Math.PI) +
          (oneSided ? Math.log(2) : 0);
        return logDensity + STIFF / 2 * square - backwardShift(chirality);
      });
      const { logZ, standardError } = logPartitionFunction(minus);
      const known = LOG_Z0 + (mode === "keep" ? -Math.log(2) : 0);
      assert.ok(Math.abs(-logZ - known) < 4.4 * standardError, `${mode}: ${-logZ}, ${known}`);
    }
  }
});

Deno.test("other diastereomers are out of the target of keep, and no mirror image of it", () => {
  // Two centres in a row: a sample with one of them exchanged.
  const two = {
    ...molecule,
    atoms: {
      ...molecule.atoms,
      names: ["C1", "C2", "H", "F", "Cl", "H", "F", "Br"],
      elements: [6, 6, 1, 9, 17, 1, 9, 35],
    },
    bonds: [[0, 1], [0, 2], [0, 3], [0, 4], [1, 5], [1, 6], [1, 7]].map((b) => [...b, 0.1, 1]),
  };
  const given = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, -1, 1, 0, -1, -1, 1, 1, 0, 1, -1, 1, 1, -1, -1];
  const centres = new Handedness(two, given);
  assert.equal(centres.centres.length, 2);
  const mirror = given.map((v, a) => a % 3 === 2 ? -v : v);
  const other = given.slice();
  for (let a = 0; a < 3; a++) [other[6 + a], other[9 + a]] = [given[9 + a], given[6 + a]];
  const positions = Float32Array.from([...given, ...mirror, ...other]);
  const drawn: WeightedSamples = {
    positions,
    priorPositions: positions,
    energies: new Float64Array(3),
    logWeights: new Float64Array(3),
    seconds: 0,
  };
  const system = { particles: 8, dimension: 3, energy: () => 0 } as unknown as System;
  const weights = (mode: ChiralityMode, oneSided: boolean) => {
    const found = withChirality(drawn, system, { mode, handedness: centres, oneSided }, 1);
    assert.deepEqual([...found.handedness!].slice(1), [-1, 0]);
    return [...found.logWeights];
  };
  const half = -Math.log(2);
  assert.deepEqual(weights("keep", false), [half, half, -Infinity]);
  assert.deepEqual(weights("fold", false), [0, 0, 0]);
  assert.deepEqual(weights("both", false), [0, 0, 0]);
  assert.deepEqual(weights("keep", true), [0, -Infinity, -Infinity]);
  assert.deepEqual(weights("fold", true), [-half, -Infinity, -Infinity]);
  const all = Float64Array.from(positions);
  const kept = (mode: ChiralityMode) =>
    referenceOf(all, 24, { mode, handedness: centres, oneSided: false }).length / 24;
  assert.deepEqual([kept("keep"), kept("both"), kept("fold")], [2, 3, 3]);
});

Deno.test("log Z of an island follows the weights of its samples", () => {
  const drawn = draws(400, false, 0);
  const island = (logZ: number) => ({
    logZ,
    population: 200,
    resampled: 3,
    distinctAncestors: 90,
    effectiveAncestors: 60,
  });
  const islands = [island(-2), island(-3)];
  const shift = (mode: ChiralityMode, oneSided: boolean) =>
    withChirality({ ...drawn, islands }, systemOf(0), { mode, handedness, oneSided }, 7)
      .islands!.map(({ logZ }, k) => logZ - islands[k].logZ);
  for (const s of shift("keep", false)) assert.ok(Math.abs(s + Math.log(2)) < 1e-12);
  for (const s of shift("fold", false)) assert.ok(Math.abs(s) < 1e-12);
  // Taken out: the share of the weight that is left.
  shift("keep", true).forEach((s, k) => {
    let [kept, all] = [0, 0];
    for (let i = 200 * k; i < 200 * (k + 1); i++) {
      const w = Math.exp(drawn.logWeights[i] - LOG_Z0);
      all += w;
      if (sign(drawn.positions, i * SIZE) > 0) kept += w;
    }
    assert.ok(Math.abs(s - Math.log(kept / all)) < 1e-12, `${s}`);
  });
});

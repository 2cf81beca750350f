/** Ramachandran histograms, their divergence, its floor, and free energies of basins. */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import {
  basins,
  halvesFloor,
  histogramDivergence,
  multinomialFloor,
  ramachandranHistogram,
  torsionAngles,
} from "../src/sampling/ramachandran.ts";

const near = (a: number, b: number, tolerance: number, what = "") =>
  assert.ok(Math.abs(a - b) < tolerance, `${what} ${a} is not ${b}`);

Deno.test("torsions of a batch, with the sign of IUPAC", () => {
  // Looking along 2 → 3, atom 4 is turned clockwise from atom 1 by 90 degrees.
  const x = [9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1];
  const both = Float32Array.from([...x, ...x.map((v, a) => a % 3 === 0 ? -v : v)]);
  const angles = torsionAngles(both, 5, [1, 2, 3, 4]);
  near(angles[0], Math.PI / 2, 1e-6);
  near(angles[1], -Math.PI / 2, 1e-6);
});

Deno.test("a histogram has the weights of its samples, φ fastest", () => {
  const phi = Float64Array.of(-3, -3, 0.1, Math.PI, -Math.PI);
  const psi = Float64Array.of(-3, 3, 0.1, 3, -3);
  const equal = ramachandranHistogram(phi, psi, null, 4);
  const expected = new Float64Array(16);
  [[0, 0, 2], [0, 3, 1], [2, 2, 1], [3, 3, 1]].forEach(([a, b, n]) => expected[4 * b + a] = n / 5);
  equal.forEach((p, b) => near(p, expected[b], 1e-12));
  const logs = Float64Array.of(Math.log(3) + 700, -Infinity, 700, NaN, -Infinity);
  const weighted = ramachandranHistogram(phi, psi, logs, 4);
  near(weighted[0], 0.75, 1e-12);
  near(weighted[4 * 2 + 2], 0.25, 1e-12);
  assert.throws(() => ramachandranHistogram(phi, psi.slice(1), null), RangeError);
});

Deno.test("the divergence is Σ p log p/q with the pseudocount told", () => {
  const p = Float64Array.of(0.5, 0.5, 0, 0), q = Float64Array.of(0.25, 0.25, 0.25, 0.25);
  const a = 0.01024, total = 1 + 4 * a; // 4096·1e-5 in all
  const [P, Q, rest] = [(0.5 + a) / total, (0.25 + a) / total, a / total];
  near(histogramDivergence(p, q), 2 * P * Math.log(P / Q) + 2 * rest * Math.log(rest / Q), 1e-12);
  near(histogramDivergence(q, p), 2 * Q * Math.log(Q / P) + 2 * Q * Math.log(Q / rest), 1e-12);
  assert.equal(histogramDivergence(p, p), 0);
});

/** n points uniform on the torus. */
function uniform(n: number, seed: number) {
  const random = new RandomStream(seed, Stream.test, 0);
  const angle = () => Float64Array.from({ length: n }, () => Math.PI * (2 * random.uniform() - 1));
  return { phi: angle(), psi: angle() };
}

Deno.test("floors are those of the χ² approximation, (B − 1)/2 (1/n + 1/m)", () => {
  const even = new Float64Array(64).fill(1 / 64);
  const expected = (n: number, m: number) => 63 / 2 * (1 / n + 1 / m) / 1.04096;
  // A single KL has a relative deviation of √(2/63) = 18 %, the mean of 20 has 4 %; four of those: a
  // false alarm in 1.6e4 seeds.
  for (const [n, m] of [[4000, 4000], [10_000, 3000]]) {
    const { mean, deviation } = multinomialFloor(even, n, m, 5);
    near(mean / expected(n, m), 1, 0.16, `${n}, ${m}`);
    near(deviation / mean, 0.18, 0.11);
  }
  const { phi, psi } = uniform(8000, 2);
  near(halvesFloor(phi, psi, 1, 8).mean / expected(4000, 4000), 1, 0.16);
  // Two samples that differ lie above.
  const shifted = ramachandranHistogram(phi.map((v) => v / 2), psi, null, 8);
  assert.ok(histogramDivergence(even, shifted) > 0.5);
});

Deno.test("basins: their free energy difference and its error", () => {
  const n = 20_000;
  const random = new RandomStream(4, Stream.test, 1);
  // P(φ > 0) = 0.1 as drawn; weights of 1 and 3 make it 0.25.
  const phi = Float64Array.from({ length: n }, () => random.uniform() < 0.1 ? 1 : -1);
  const logWeights = phi.map((v) => v > 0 ? Math.log(3) : 0);
  const plain = basins(phi, null), weighted = basins(phi, logWeights);
  const error = Math.sqrt(1 / (n * 0.1 * 0.9));
  near(plain.freeEnergyDifferenceStdErr / error, 1, 0.4); // 100 blocks: ± 7 % each
  near(plain.freeEnergyDifference, Math.log(9), 4.4 * error);
  near(weighted.freeEnergyDifference, Math.log(3), 4.4 * error);
  near(weighted.positivePhi, 0.25, 4.4 * error * 0.25 * 0.75);
  // Twenty chains that keep to one basin each know less than their states are.
  const stuck = Float64Array.from(
    { length: n },
    (_, s) => Math.floor(s / 1000) % 10 === 0 ? 1 : -1,
  );
  const few = basins(stuck, null, 20);
  near(few.positivePhi, 0.1, 1e-9);
  near(few.positivePhiStdErr / Math.sqrt(0.09 / 20), 1, 0.1);
  assert.equal(basins(Float64Array.of(-1, -2), null).freeEnergyDifference, Infinity);
});

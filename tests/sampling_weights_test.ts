import assert from "node:assert/strict";
import fc from "fast-check";
import { RandomStream, Stream } from "../src/math/random.ts";
import { blockJackknife } from "../src/sampling/jackknife.ts";
import {
  countNonFinite,
  effectiveSampleSize,
  effectiveSampleSizeWithError,
  largestWeightShare,
  logPartitionFunction,
  medianBatchEss,
  normalisedWeights,
  weightedMean,
} from "../src/sampling/weights.ts";

const close = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} is not within ${tolerance} of ${b}`);

const logs = (...weights: number[]) => Float64Array.from(weights, Math.log);

Deno.test("closed forms: weights 1, 2, 3, 4", () => {
  const W = logs(1, 2, 3, 4);
  close(effectiveSampleSize(W), 100 / (4 * 30), 1e-15);
  close(logPartitionFunction(W).logZ, Math.log(2.5), 1e-15);
  close(largestWeightShare(W), 0.4, 1e-15);
  assert.deepEqual([...normalisedWeights(W)].map((w) => +w.toFixed(12)), [0.1, 0.2, 0.3, 0.4]);
  const { mean, standardError } = weightedMean(Float64Array.of(10, 20, 30, 40), W);
  close(mean, 30, 1e-13);
  const variance = (0.1 * 20) ** 2 + (0.2 * 10) ** 2 + (0.4 * 10) ** 2;
  close(standardError, Math.sqrt(variance * 4 / 3), 1e-13);
});

Deno.test("−∞ and NaN count as zero weight and stay in n", () => {
  const W = Float64Array.of(0, NaN, 0, -Infinity);
  assert.equal(effectiveSampleSize(W), 0.5);
  close(logPartitionFunction(W).logZ, Math.log(0.5), 1e-15);
  assert.equal(countNonFinite(W), 2);
  assert.deepEqual([...normalisedWeights(W)], [0.5, 0, 0.5, 0]);
  // A value of a sample without weight is never looked at.
  assert.equal(weightedMean(Float64Array.of(1, NaN, 3, Infinity), W).mean, 2);
});

Deno.test("no sample, one sample, no weight, an infinite weight", () => {
  for (const W of [new Float64Array(0), Float64Array.of(NaN, -Infinity)]) {
    assert.equal(effectiveSampleSize(W), 0);
    assert.equal(logPartitionFunction(W).logZ, -Infinity);
    assert.equal(largestWeightShare(W), 0);
    assert.ok(Number.isNaN(weightedMean(new Float64Array(W.length), W).mean));
  }
  assert.equal(effectiveSampleSize(Float64Array.of(3)), 1);
  assert.ok(Number.isNaN(logPartitionFunction(Float64Array.of(3)).standardError));
  const W = Float64Array.of(1, Infinity, 2, 3);
  assert.equal(effectiveSampleSize(W), 0.25);
  assert.equal(logPartitionFunction(W).logZ, Infinity);
  assert.equal(weightedMean(Float64Array.of(7, 8, 9, 9), W).mean, 8);
});

Deno.test("one weight with more than half of all: the error is unknown, not small", () => {
  const values = Float64Array.of(10, 20, 30, 40);
  for (const [largest, known] of [[2.9, true], [3.1, false]] as const) {
    const W = logs(1, 1, 1, largest);
    assert.equal(Number.isFinite(weightedMean(values, W).standardError), known);
    assert.equal(Number.isFinite(effectiveSampleSizeWithError(W).standardError), known);
    assert.ok(Number.isFinite(weightedMean(values, W).mean));
  }
  const alone = Float64Array.of(0, 0, 0, 60);
  assert.ok(Number.isNaN(weightedMean(values, alone).standardError));
  assert.ok(Number.isNaN(effectiveSampleSizeWithError(alone).standardError));
  close(effectiveSampleSize(alone), 0.25, 1e-15);
});

Deno.test("a shift of all log-weights moves log Z alone, even where e^W overflows", () => {
  const W = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), {
    minLength: 2,
    maxLength: 60,
  });
  fc.assert(fc.property(W, fc.double({ min: -5000, max: 5000, noNaN: true }), (array, shift) => {
    const a = Float64Array.from(array), b = a.map((w) => w + shift);
    close(effectiveSampleSize(b), effectiveSampleSize(a), 1e-9);
    close(logPartitionFunction(b).logZ - shift, logPartitionFunction(a).logZ, 1e-9);
    const ess = effectiveSampleSize(a);
    assert.ok(ess >= 1 / a.length - 1e-12 && ess <= 1 + 1e-12);
  }));
});

Deno.test("median batch ESS does not see one huge weight, the pooled ESS does", () => {
  const W = new Float64Array(10_000);
  W[4321] = 12;
  assert.equal(medianBatchEss(W, 1000), 1);
  assert.ok(effectiveSampleSize(W) < 0.01);
  assert.equal(medianBatchEss(W.subarray(0, 500), 1000), 1);
  // Every batch has its own scale, and a batch without weight counts as zero.
  const spread = Float64Array.from({ length: 30 }, (_, i) => -2000 * Math.floor(i / 10));
  assert.equal(medianBatchEss(spread, 10), 1);
});

Deno.test("jackknife of a mean is the textbook standard error, for blocks of one and unequal ones", () => {
  const x = Float64Array.of(1, 4, 2, 8, 5, 7, 1);
  const mean = x.reduce((a, b) => a + b) / 7;
  const s2 = x.reduce((a, b) => a + (b - mean) ** 2, 0) / 6;
  const { value, standardError } = blockJackknife([x], ([sum], n) => sum / n);
  close(value, mean, 1e-14);
  close(standardError, Math.sqrt(s2 / 7), 1e-14);

  const random = new RandomStream(5, Stream.test, 0);
  const normal = Float64Array.from({ length: 4150 }, () => random.normal());
  // 100 blocks of 41 and 42; relative sd of the error estimate 1/√198 = 7 %: 4 sd, 1 in 16,000.
  const blocks = blockJackknife([normal], ([sum], n) => sum / n).standardError;
  close(blocks * Math.sqrt(4150), 1, 0.29);
});

Deno.test("a block that holds all the weight makes the error infinite, not a rounding error", () => {
  const W = new Float64Array(1000).fill(-Infinity);
  W[7] = 0;
  assert.equal(logPartitionFunction(W).standardError, Infinity);
});

Deno.test("standard errors of log Z, ESS and means cover the truth as often as they say", () => {
  // W ~ N(−s²/2, s²): log Z = 0, ESS = e^{−s²}. The value f = z has mean s under the weights.
  const s = 0.5, n = 2000, repetitions = 400;
  const inside = { logZ: 0, ess: 0, mean: 0 };
  let squares = 0;
  for (let r = 0; r < repetitions; r++) {
    const random = new RandomStream(2666, Stream.test, r);
    const z = Float64Array.from({ length: n }, () => random.normal());
    const W = z.map((value) => s * value - s * s / 2);
    const logZ = logPartitionFunction(W);
    if (Math.abs(logZ.logZ) < 1.96 * logZ.standardError) inside.logZ++;
    squares += (logZ.logZ / logZ.standardError) ** 2 / repetitions;
    const ess = effectiveSampleSizeWithError(W);
    if (Math.abs(ess.ess - Math.exp(-s * s)) < 1.96 * ess.standardError) inside.ess++;
    const mean = weightedMean(z, W);
    if (Math.abs(mean.mean - s) < 1.96 * mean.standardError) inside.mean++;
  }
  // 95 % intervals of 400 runs: 380 ± 4.4. The band is 3.5 sd with 1.5 % left for non-normality
  // (100 blocks, skewed weights): fewer than 1 false alarm in 2000 for each.
  for (const [name, count] of Object.entries(inside)) {
    assert.ok(count >= 359 && count <= 396, `${name}: ${count} of 400 intervals hold the truth`);
  }
  close(squares, 1, 0.3); // χ² with 400 degrees of freedom: sd 0.07, 4 sd
});

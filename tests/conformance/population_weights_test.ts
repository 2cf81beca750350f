/** assembly/population_weights.ts against what src/backends/smc.ts makes of the same log-weights. */
import assert from "node:assert/strict";
import { levelWeights, systematicAncestors } from "../../src/backends/smc.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { eachVariant } from "./variants.ts";

function fast(
  { exports, memory }: KernelInstance,
  accumulated: Float64Array,
  energies: Float32Array,
  before: Float64Array,
) {
  const n = accumulated.length;
  const mark = memory.mark();
  const [w, b, weights, sums, u] = [8 * n, 8 * n, 8 * n, 40, 4 * n].map((bytes) =>
    memory.alloc(bytes)
  );
  memory.f64(w, n).set(accumulated);
  memory.f64(b, n).set(before);
  memory.f32(u, n).set(energies);
  exports.populationWeights(w, u, b, weights, n, sums);
  const result = {
    sums: [...memory.f64(sums, 5)],
    logWeights: memory.f64(b, n).slice(),
    weights: memory.f64(weights, n).slice(),
  };
  memory.release(mark);
  return result;
}

/** Log-weights over many orders of magnitude, some of them not finite. */
function population(n: number) {
  const random = new RandomStream(3, Stream.test, 0);
  const draw = (scale: number) => Float64Array.from({ length: n }, () => scale * random.normal());
  const energies = Float32Array.from(draw(30));
  const before = draw(3);
  const accumulated = draw(2).map((w, s) => w + before[s] + energies[s]);
  [NaN, -Infinity, Infinity, -800, -690].forEach((w, s) => accumulated[s] = w + energies[s]);
  return { accumulated, energies, before };
}

eachVariant("populationWeights as smc.ts has them, to rounding", (kernels) => {
  for (const n of [8, 1000]) {
    const { accumulated, energies, before } = population(n);
    const after = accumulated.map((w, s) => w - energies[s]);
    const exact = levelWeights(before, after);
    const got = fast(kernels, accumulated, energies, before);
    assert.deepEqual(got.logWeights, after);
    got.weights.forEach((w, s) => {
      assert.ok(Math.abs(w - exact.weights[s]) <= 5e-16 * exact.weights[s], `weight ${s}: ${w}`);
    });
    assert.deepEqual([...got.weights.subarray(0, 4)], [0, 0, 0, 0]);
    const [max, sum, squares, added, addedSquares] = got.sums;
    const near = (a: number, b: number) =>
      assert.ok(Math.abs(a - b) < 1e-13 * Math.abs(b), `${a} ${b}`);
    near(max + Math.log(sum / n), exact.logMean);
    near(sum * sum / (n * squares), exact.ess);
    near(Math.sqrt(addedSquares / sum - (added / sum) ** 2), exact.spread);
  }
});

eachVariant("populationWeights: e^x to 2 ulp of float64 from 0 to -708, 0 beyond", (kernels) => {
  const n = 20_000;
  const x = Float64Array.from({ length: n }, (_, s) => -710 * (s / n) ** 3);
  const { weights } = fast(kernels, x, new Float32Array(n), new Float64Array(n));
  let worst = 0;
  x.forEach((value, s) => {
    if (value < -708) return assert.equal(weights[s], 0);
    worst = Math.max(worst, Math.abs(weights[s] / Math.exp(value) - 1));
  });
  assert.ok(worst <= 2 * Number.EPSILON, `${worst}`);
});

eachVariant("populationWeights: no weight at all", (kernels) => {
  const nothing = new Float64Array(8).fill(NaN);
  const { sums, weights } = fast(kernels, nothing, new Float32Array(8), new Float64Array(8));
  assert.deepEqual([...weights], Array(8).fill(0));
  assert.deepEqual(sums.slice(1), [0, 0, 0, 0]);
});

function fastAncestors({ exports, memory }: KernelInstance, weights: Float64Array, offset: number) {
  const n = weights.length;
  const mark = memory.mark();
  const [w, out, scratch] = [8 * n, 4 * n, 8 * n + 8].map((bytes) => memory.alloc(bytes));
  memory.f64(w, n).set(weights);
  exports.populationAncestors(w, n, offset, out, scratch);
  const ancestors = memory.i32(out, n).slice();
  memory.release(mark);
  return ancestors;
}

eachVariant("populationAncestors: those of smc.ts", (kernels) => {
  const random = new RandomStream(4, Stream.test, 0);
  for (const n of [8, 1000]) {
    for (const spread of [0, 0.5, 3, 30]) {
      const weights = Float64Array.from({ length: n }, () => Math.exp(spread * random.normal()));
      weights.set([0, 0], 3);
      weights.set([0], n - 1);
      for (const offset of [0, random.uniform(), 1 - 2 ** -53]) {
        const got = fastAncestors(kernels, weights, offset);
        assert.deepEqual(got, systematicAncestors(weights, offset));
      }
    }
  }
  const one = new Float64Array(8);
  one[2] = 1;
  assert.deepEqual(fastAncestors(kernels, one, 0.5), new Int32Array(8).fill(2));
});

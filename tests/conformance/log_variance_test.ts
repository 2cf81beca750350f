/** The log-variance loss on a device against src/julep/loss.ts: every form, tilt, ties, dead paths. */
import assert from "node:assert/strict";
import { lossConstants } from "../../src/backends/webgpu/constants.ts";
import type { GpuKernels } from "../../src/backends/webgpu/kernels.ts";
import { logVarianceLoss, reverseDivergence } from "../../src/julep/loss.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { eachGpu } from "./gpu.ts";
import { tolerances } from "./tolerances.ts";

const CARRY = 6;

/** Energies (T + 1, S) and log-ratios (T, S) in float32, as trajectories leave them. */
function paths(T: number, S: number, spread: number, seed: number) {
  const random = new RandomStream(seed, Stream.test, 0);
  const energies = Float32Array.from({ length: (T + 1) * S }, () => 400 + 5 * random.normal());
  const ratios = new Float32Array(T * S);
  for (let q = 0; q < T * S; q++) {
    ratios[q] = energies[q + S] - energies[q] + spread * random.normal();
  }
  return { energies, ratios };
}

async function onDevice(
  kernels: GpuKernels,
  { energies, ratios }: { energies: Float32Array; ratios: Float32Array },
  [T, S, groups]: [number, number, number],
  tilt: number,
  scale: number,
  cut = 0,
) {
  const { device } = kernels;
  const prepared = await kernels.prepare("log_variance", lossConstants(S));
  const job = new ArrayBuffer(32);
  new Uint32Array(job).set([S, T, groups, 3]);
  new Float32Array(job).set([tilt, scale], 4);
  new Uint32Array(job)[6] = CARRY;
  const row = 8 + S + groups + 1;
  const coefficients = device.buffer("coefficients", (2 * T + 1) * S);
  const history = kernels.upload("history", new Float32Array(3 + row));
  const carry = Float32Array.from({ length: CARRY * S }, (_, q) => q / CARRY < cut ? 0 : 1);
  const [slopes, figures] = await device.run("log_variance", [{
    kernel: prepared.kernel,
    job,
    buffers: kernels.withScratch(prepared, [
      kernels.upload("results", Float32Array.of(...ratios, ...energies)),
      kernels.upload("carry", carry),
      coefficients,
      history,
    ], groups + 1),
    groups: groups + 1,
  }], [{ buffer: coefficients, length: (2 * T + 1) * S }, { buffer: history, length: 3 + row }]);
  const own = figures.subarray(3);
  return {
    coefficients: slopes.subarray(0, T * S),
    total: slopes.subarray(T * S, 2 * T * S),
    alive: slopes.subarray(2 * T * S),
    dropped: own[3],
    cut: own[4],
    logWeights: own.subarray(8, 8 + S),
    loss: own.subarray(8 + S, 8 + S + groups).reduce((sum, v) => sum + v, 0),
    lossOfTotal: own[8 + S + groups],
  };
}

function close(got: ArrayLike<number>, expected: Float64Array, what: string): void {
  const norm = Math.hypot(...expected);
  const error = Math.hypot(...expected.map((x, i) => x - got[i]));
  const { value } = tolerances.lossSlopes;
  assert.ok(norm > 0 && error <= value * norm, `${what}: ${error} of ${norm}`);
}

/** Every form, against the reference on the same float32 numbers. */
async function compare(
  kernels: GpuKernels,
  numbers: { energies: Float32Array; ratios: Float32Array },
  T: number,
  S: number,
  tilt: number,
) {
  const { energies, ratios } = numbers;
  const increments = Float64Array.from(ratios, (r, q) => energies[q] - energies[q + S] + r);
  const total = logVarianceLoss(increments, T, S, "total", 1, tilt);
  for (const [form, groups] of [["per_step", T], ["grouped", 3], ["total", 1]] as const) {
    const expected = logVarianceLoss(increments, T, S, form, groups, tilt);
    const got = await onDevice(kernels, numbers, [T, S, groups], tilt, 1.5);
    const name = `${form}, ${T} x ${S}, tilt ${tilt}`;
    close(got.coefficients, expected.coefficients.map((c) => 1.5 * c), `${name}: network`);
    close(got.total, total.coefficients.map((c) => 1.5 * c), `${name}: ε`);
    assert.ok(
      Math.abs(got.loss - expected.loss) <= tolerances.lossSlopes.value * expected.loss,
      `${name}: ${got.loss}, ${expected.loss}`,
    );
    assert.ok(Math.abs(got.lossOfTotal - total.loss) <= 2e-3 * total.loss);
    assert.equal(got.dropped, expected.dropped);
    for (let s = 0; s < S; s++) {
      let W = 0;
      for (let i = 0; i < T; i++) W += increments[i * S + s];
      if (!Number.isFinite(W)) assert.equal(got.alive[s], 0);
      else {
        assert.equal(got.alive[s], 1);
        const error = Math.abs(got.logWeights[s] - W);
        assert.ok(error <= tolerances.pathLogWeights.value, `W ${got.logWeights[s]}, ${W}`);
      }
    }
  }
}

eachGpu("log_variance: every form and tilt against the reference", async (kernels) => {
  for (const [T, S] of [[100, 100], [7, 37], [5, 300]]) {
    for (const tilt of [0, 0.3, 1]) await compare(kernels, paths(T, S, 0.3, T), T, S, tilt);
  }
});

eachGpu("log_variance: paths that are dead, all but dead, or alike", async (kernels) => {
  const [T, S] = [6, 21];
  const numbers = paths(T, S, 0.5, 2);
  numbers.ratios[2 * S + 4] = NaN;
  numbers.energies[3 * S + 9] = Infinity;
  numbers.ratios[8] = -5000; // weighs nothing where the loss is tilted, an outlier where it is not
  for (let i = 0; i < T; i++) numbers.ratios[i * S + 11] = numbers.ratios[i * S + 12];
  for (let i = 0; i <= T; i++) numbers.energies[i * S + 11] = numbers.energies[i * S + 12];
  for (const tilt of [0, 1]) await compare(kernels, numbers, T, S, tilt);
});

eachGpu(
  "reverse_divergence against the reference, dead paths and outliers too",
  async (kernels) => {
    for (const [T, S] of [[100, 48], [7, 37], [3, 300]]) {
      const numbers = paths(T, S, 0.5, T);
      numbers.ratios[2 * S + 4] = NaN;
      numbers.ratios[8] = -5000;
      const { energies, ratios } = numbers;
      const increments = Float64Array.from(ratios, (r, q) => energies[q] - energies[q + S] + r);
      const expected = reverseDivergence(increments, T, S);
      const { device } = kernels;
      const prepared = await kernels.prepare("reverse_divergence", lossConstants(S));
      const row = 8 + S + 2;
      const coefficients = device.buffer("coefficients", (2 * T + 1) * S);
      const history = kernels.upload("history", new Float32Array(3 + row));
      const [slopes, figures] = await device.run("reverse_divergence", [{
        kernel: prepared.kernel,
        job: Uint32Array.of(S, T, 1, 3, CARRY, 0).buffer,
        buffers: kernels.withScratch(prepared, [
          kernels.upload("results", Float32Array.of(...ratios, ...energies)),
          kernels.upload("carry", new Float32Array(CARRY * S).fill(1)),
          coefficients,
          history,
        ], 1),
        groups: 1,
      }], [{ buffer: coefficients, length: (2 * T + 1) * S }, {
        buffer: history,
        length: 3 + row,
      }]);
      close(slopes.subarray(0, S), expected.coefficients.subarray(0, S), `${T} x ${S}`);
      assert.equal(slopes[2 * T * S + 4], 0, "a dead path");
      const [loss, dropped] = [figures[3 + 8 + S], figures[3 + 3]];
      assert.ok(Math.abs(loss - expected.loss) <= 1e-5 * (1 + 400 + Math.abs(expected.loss)));
      assert.equal(dropped, expected.dropped);
      assert.equal(figures[3 + 4], 0, "no loops were cut");
    }
  },
);

eachGpu("log_variance: one live path, or none, has no slope", async (kernels) => {
  const [T, S] = [4, 9];
  for (const live of [0, 1]) {
    const numbers = paths(T, S, 0.5, 3);
    for (let s = live; s < S; s++) numbers.ratios[s] = NaN;
    const got = await onDevice(kernels, numbers, [T, S, T], 1, 1);
    assert.equal(got.loss, 0);
    assert.ok(got.coefficients.every((c) => c === 0) && got.total.every((c) => c === 0));
    assert.equal(got.dropped, S - live);
  }
});

eachGpu("log_variance: samples whose loops were cut are counted", async (kernels) => {
  const got = await onDevice(kernels, paths(4, 9, 0.5, 3), [4, 9, 4], 1, 1, 2);
  assert.equal(got.cut, 2);
});

/** What ends an iteration of training on a device: the knots' gradient, clipping, Adam, the schedule. */
import assert from "node:assert/strict";
import { normConstants, plainConstants } from "../../src/backends/webgpu/constants.ts";
import type { GpuKernels } from "../../src/backends/webgpu/kernels.ts";
import { knotGradient, randomTimes, stepKnots, stepSizes } from "../../src/julep/schedule.ts";
import { adamCorrections, adamUpdate, clipNorm, newAdamState } from "../../src/math/adam.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { eachGpu } from "./gpu.ts";
import { tolerances } from "./tolerances.ts";

const P = 1000;
const K = 5;
const F = P + K;
const T = 37;
const S = 13;
const AVERAGING = [1, 0.5, 0.25, 0.02];

const noise = (length: number, sample: number, scale = 1) => {
  const random = new RandomStream(8, Stream.test, sample);
  return Float64Array.from({ length }, () => Math.fround(scale * random.normal()));
};
const float = (numbers: ArrayLike<number>) => Float32Array.from(numbers);
const times = randomTimes(T, 4, 1);
/** A schedule whose only rows in use are Δ and the knots behind it. */
function scheduleOf(): Float32Array<ArrayBuffer> {
  const out = new Float32Array(5 * T + 1 + 2 * T);
  for (let i = 0; i < T; i++) out[4 * T + 1 + i] = times[i + 1] - times[i];
  out.set(stepKnots(K, times), 5 * T + 1);
  return out;
}

/** gradient_norm on these rates and this gradient of the network. */
async function normed(
  kernels: GpuKernels,
  rates: Float64Array,
  gradient: Float64Array,
  clip: number,
  learn = true,
) {
  const { device } = kernels;
  const norm = await kernels.prepare("gradient_norm", normConstants(T));
  const job = new ArrayBuffer(40);
  const flags = rates.length - 2 * T * S;
  new Uint32Array(job).set([S, T, P, K, 5 * T + 1, 0, flags, Number(learn)]);
  new Float32Array(job)[8] = clip;
  const buffers = {
    gradient: kernels.upload("gradient", float([...gradient, ...new Float64Array(K)])),
    factors: kernels.upload("factors", new Float32Array(4)),
    history: device.buffer("history", 8),
  };
  const [all, factors, history] = await device.run("gradient_norm", [{
    kernel: norm.kernel,
    job,
    buffers: kernels.withScratch(norm, [
      kernels.upload("rates", float(rates)),
      kernels.upload("schedule", scheduleOf()),
      buffers.gradient,
      buffers.factors,
      buffers.history,
    ], 1),
    groups: 1,
  }], [
    { buffer: buffers.gradient, length: F },
    { buffer: buffers.factors, length: 4 },
    { buffer: buffers.history, length: 8 },
  ]);
  return { knots: all.subarray(P), factors, history };
}

const rates = () => Float64Array.of(...noise(2 * T * S, 1), 0, 0, 0);
/** Norms of P numbers: sums in two levels. */
const close = (got: number, expected: number) =>
  assert.ok(
    Math.abs(got - expected) <= tolerances.trainingSums.value * Math.abs(expected),
    `${got} against ${expected}`,
  );

eachGpu("gradient_norm: knots' gradient, norms and factors", async (kernels) => {
  const byStep = new Float64Array(T);
  const own = rates();
  for (let q = 0; q < 2 * T * S; q++) byStep[Math.floor(q / S) % T] += own[q];
  const knots = knotGradient(K, times, byStep);
  const size = Math.hypot(...knots);
  for (const scale of [1, 1e-25, 1e25]) {
    const gradient = noise(P, 2, scale);
    const got = await normed(kernels, own, gradient, 3);
    const error = Math.hypot(...got.knots.map((g, k) => g - knots[k]));
    assert.ok(error <= 1e-5 * size, `${error} of ${size}`);
    const norm = clipNorm(gradient.slice(), 3);
    close(got.history[0], norm);
    close(got.history[1], size);
    close(got.factors[0], Math.min(1, 3 / norm));
    close(got.factors[1], Math.min(1, 3 / size));
    assert.deepEqual([...got.factors.subarray(2)], [1, 1]);
    assert.deepEqual([got.history[2], got.history[5]], [1, 0]);
  }
  const fixed = await normed(kernels, own, noise(P, 2), 3, false);
  assert.deepEqual([...fixed.knots], [0, 0, 0, 0, 0]);
});

eachGpu("gradient_norm: what is not finite, and loops cut short, are told", async (kernels) => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const gradient = noise(P, 2);
    gradient[P - 1] = bad;
    const got = await normed(kernels, rates(), gradient, 3);
    assert.deepEqual([...got.factors.subarray(2)], [0, 0], `${bad}: no update`);
  }
  const flagged = rates();
  flagged[2 * T * S + 1] = 1;
  assert.equal((await normed(kernels, flagged, noise(P, 2), 3)).history[5], 1);
});

eachGpu("adam: updates, averages and the transposed copy against the host's", async (kernels) => {
  const { device } = kernels;
  const start = noise(F, 3);
  const state = newAdamState(F);
  const parameters = start.slice();
  const average = start.slice();
  const places = Float32Array.from({ length: P }, (_, q) => P - 1 - q);
  const buffers = {
    gradient: device.buffer("gradient", F),
    factors: device.buffer("factors", 4),
    corrections: kernels.upload(
      "corrections",
      float(AVERAGING.flatMap((_, t) => adamCorrections(t + 1))),
    ),
    places: kernels.upload("places", places),
    training: kernels.upload("training", float([...start, ...new Float64Array(2 * F), ...start])),
    packed: device.buffer("packed", 2 * P),
  };
  const kernel = await device.kernel("adam", plainConstants, "buffer");
  let updates = 0;
  for (const [k, averaging] of AVERAGING.entries()) {
    // The third gradient is not finite: it changes nothing but the average.
    const finite = k !== 2;
    const gradient = noise(F, 10 + k, 10 ** (k - 2));
    if (finite) {
      const clipped = gradient.map((g, i) => g * (i < P ? 0.5 : 0.25));
      const scale = Float64Array.from(parameters, (_, i) => i < P ? 1 : 30);
      adamUpdate(state, parameters, clipped, 1e-3, scale);
      updates++;
    } else gradient.fill(NaN);
    for (let i = 0; i < F; i++) average[i] += averaging * (parameters[i] - average[i]);
    kernels.upload("gradient", float(gradient));
    kernels.upload("factors", Float32Array.of(0.5, 0.25, finite ? 1 : 0, updates));
    const job = new ArrayBuffer(20);
    new Uint32Array(job).set([F, P]);
    new Float32Array(job).set([1e-3, 3e-2, averaging], 2);
    const [got, packed] = await device.run("adam", [{
      kernel,
      job,
      buffers: Object.values(buffers),
      groups: Math.ceil(F / 64),
    }], [{ buffer: buffers.training, length: 4 * F }, { buffer: buffers.packed, length: 2 * P }]);
    [parameters, state.m, state.v, average].forEach((expected, part) => {
      const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expected.forEach((value, i) => {
        const error = Math.abs(got[part * F + i] - value);
        assert.ok(
          error <= tolerances.adam.value * size,
          `update ${k}, part ${part}, ${i}: ${got[part * F + i]} against ${value}`,
        );
      });
    });
    for (let i = 0; i < P; i++) {
      assert.equal(packed[i], got[i]);
      assert.equal(packed[P + places[i]], got[i]);
    }
  }
  assert.equal(state.step, updates);
});

eachGpu("step_sizes: h, σ and 1/σ of every step", async (kernels) => {
  const { device } = kernels;
  for (const knots of [1, K]) {
    const log = noise(knots, 5);
    const own = scheduleOf();
    own.set(stepKnots(knots, times), 5 * T + 1);
    const schedule = kernels.upload("schedule", own);
    const [got] = await device.run("step_sizes", [{
      kernel: await device.kernel("step_sizes", plainConstants, "buffer"),
      job: Uint32Array.of(T, P, 5 * T + 1).buffer,
      buffers: [kernels.upload("training", float([...new Float64Array(P), ...log])), schedule],
      groups: Math.ceil(T / 64),
    }], [{ buffer: schedule, length: own.length }]);
    stepSizes(log, times).forEach((eps, i) => {
      const h = eps * (times[i + 1] - times[i]);
      [h, Math.sqrt(2 * h), 1 / Math.sqrt(2 * h)].forEach((expected, row) => {
        const value = got[(row + 1) * T + 1 + i];
        assert.ok(Math.abs(value - expected) <= 1e-6 * expected, `${value}, ${expected}`);
      });
    });
    assert.deepEqual(got.subarray(4 * T + 1), own.subarray(4 * T + 1), "nothing else is written");
  }
});

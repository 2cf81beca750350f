/** What the iterations of Julep's training are given: grids, windows, rates. Functions of their number. */
import { LANES, type TrainJob } from "../backends/backend.ts";
import type { JulepConfig } from "../config/config.ts";
import { adamCorrections } from "../math/adam.ts";
import { gradientWindows } from "./loss.ts";
import { randomTimes, uniformTimes } from "./schedule.ts";

/** Iterations over which the parameters are averaged (a running mean of the last ones). */
const AVERAGE_OVER = 50;

/** Samples of an iteration that the device's loss ranks at most; its time grows as their square. */
const MOST_RANKED = 2048;

/** Whether `trainPlan` can say all of it. */
export function trainsOnDevice({ samples }: JulepConfig): boolean {
  return samples <= MOST_RANKED;
}

/** Numbers between the first samples of two iterations. */
export function strideOf(samples: number): number {
  return Math.ceil(samples / LANES) * LANES;
}

/** Linear warm-up, then a cosine to 5 %; of iteration i, from 0. */
export function learningRateAt(config: JulepConfig, i: number): number {
  const { learningRate, warmup, iterations } = config;
  const rise = warmup > 0 ? Math.min(1, (i + 1) / warmup) : 1;
  const fall = 0.05 + 0.95 * 0.5 * (1 + Math.cos(Math.PI * i / Math.max(iterations, 1)));
  return learningRate * rise * fall;
}

/** Weight of the parameters that iteration i leaves in their running mean. */
export function averagingAt(i: number): number {
  return 1 / Math.min(i + 1, AVERAGE_OVER);
}

/** The time grid of iteration i, T + 1. */
export function timesAt({ grid, steps }: JulepConfig, seed: number, i: number): Float64Array {
  return grid === "uniform" ? uniformTimes(steps) : randomTimes(steps, seed, i);
}

/**
 * Iterations from ... from + count − 1 for a device.
 *
 * @param updates Adam's updates so far
 */
export function trainPlan(
  config: JulepConfig,
  seed: number,
  from: number,
  updates: number,
  count: number,
): Omit<TrainJob, "state"> {
  const { steps, samples, loss, lossGroups, tilt, gradientClip, stepSize } = config;
  const stride = strideOf(samples);
  const blocks = stride / LANES;
  const times = new Float64Array(count * (steps + 1));
  const windows = new Int32Array(count * blocks * 2);
  const rates = new Float64Array(count * 2);
  // A gradient through the path takes all steps.
  const fraction = config.diffusion?.kind === "pis" ? 1 : config.gradientFraction;
  let scale = 1;
  for (let k = 0; k < count; k++) {
    times.set(timesAt(config, seed, from + k), k * (steps + 1));
    const own = gradientWindows(steps, samples, fraction, seed, from + k);
    windows.set(own.windows, k * blocks * 2);
    scale = own.scale;
    const rate = learningRateAt(config, from + k);
    rates.set([rate, rate * stepSize.learningRateFactor], 2 * k);
  }
  return {
    seed,
    first: from * stride,
    count: samples,
    iterations: count,
    stride,
    times,
    windows,
    scale,
    groups: loss === "total" ? 1 : loss === "per_step" ? steps : Math.min(lossGroups, steps),
    tilt,
    gradientClip,
    learnStepSize: stepSize.learn,
    rates,
    averaging: Float64Array.from({ length: count }, (_, k) => averagingAt(from + k)),
    corrections: Float64Array.from(
      { length: 2 * count },
      (_, q) => adamCorrections(updates + 1 + (q >> 1))[q % 2],
    ),
  };
}

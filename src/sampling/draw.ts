/** Weighted samples from a trained pair of stages, and the same paths run backward from the target. */
import {
  LANES,
  type PathCost,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backends/backend.ts";
import { uniformTimes } from "../julep/schedule.ts";
import { RandomStream, Stream } from "../math/random.ts";
import type { System } from "../systems/system.ts";
import type { ChainSummary } from "./chain_statistics.ts";
import type { Island } from "./islands.ts";

/** Runs trajectory jobs of the prepared problem; results in job order. */
export type RunTrajectories = (
  jobs: TrajectoryJob[],
  onResult?: (index: number, result: TrajectoryResult) => void,
) => Promise<TrajectoryResult[]>;

/** Samples of paths (or chains) with their exact log-weights. */
export interface WeightedSamples {
  /** (count, N, n) in the gauge of the transport, float32. */
  readonly positions: Float32Array;
  /** The prior's end of every path, the same shape. */
  readonly priorPositions: Float32Array;
  /** U of the target, float64. */
  readonly energies: Float64Array;
  /** W, float64: E[e^W f(x)] = ∫ e^{−U} f. −∞ for a path that left the finite numbers. */
  readonly logWeights: Float64Array;
  /** Wall-clock seconds. */
  readonly seconds: number;
  /** What it cost, where it was counted. */
  readonly cost?: PathCost;
  /** Sequential Monte Carlo: the islands, each of the same number of consecutive samples. */
  readonly islands?: readonly Island[];
  /** Chains: their statistics; the samples are equally weighted, logWeights 0. */
  readonly chains?: ChainSummary;
  /**
   * Molecules with stereocentres, before any folding (chirality.ts): 1 the given handedness, −1 its
   * mirror image, 0 neither.
   */
  readonly handedness?: Int8Array;
}

/** Samples in one job: long enough to make dispatch negligible, short enough to show progress. */
const CHUNK = 16 * LANES;

interface DrawOptions {
  readonly seed: number;
  readonly steps: number;
  /** Called with the number of samples done and the log-weights of those that came last. */
  readonly onProgress?: (done: number) => void;
}

async function run(
  runTrajectories: RunTrajectories,
  jobs: TrajectoryJob[],
  count: number,
  size: number,
  onProgress?: (done: number) => void,
): Promise<WeightedSamples> {
  const start = performance.now();
  const positions = new Float32Array(count * size);
  const priorPositions = new Float32Array(count * size);
  const energies = new Float64Array(count);
  const logWeights = new Float64Array(count);
  let done = 0;
  await runTrajectories(jobs, (k, result) => {
    const at = jobs[k].first - jobs[0].first;
    positions.set(result.positions, at * size);
    priorPositions.set(result.priorPositions, at * size);
    energies.set(result.energies, at);
    logWeights.set(result.logWeights, at);
    done += result.energies.length;
    onProgress?.(done);
  });
  const seconds = (performance.now() - start) / 1000;
  return { positions, priorPositions, energies, logWeights, seconds };
}

/** `samples` paths from the prior to the target; sample s depends on (seed, s) alone. */
export function drawForward(
  runTrajectories: RunTrajectories,
  system: System,
  samples: number,
  options: DrawOptions,
): Promise<WeightedSamples> {
  const times = uniformTimes(options.steps);
  const jobs: TrajectoryJob[] = [];
  for (let first = 0; first < samples; first += CHUNK) {
    const count = Math.min(CHUNK, samples - first);
    jobs.push({ seed: options.seed, first, count, times, direction: "forward", keep: false });
  }
  const size = system.particles * system.dimension;
  return run(runTrajectories, jobs, samples, size, options.onProgress);
}

/**
 * Backward kernels from given target samples (count, N·n), identical particles relabelled at
 * random: W of a path that ends there. `positions` of the result are the relabelled samples.
 */
export function drawBackward(
  runTrajectories: RunTrajectories,
  system: System,
  reference: Float64Array,
  options: DrawOptions,
): Promise<WeightedSamples> {
  const times = uniformTimes(options.steps);
  const size = system.particles * system.dimension;
  const samples = reference.length / size;
  const jobs: TrajectoryJob[] = [];
  const relabelled = relabelledSamples(reference, system, options.seed);
  for (let first = 0; first < samples; first += CHUNK) {
    const count = Math.min(CHUNK, samples - first);
    const positions = relabelled.slice(first * size, (first + count) * size);
    jobs.push({
      seed: options.seed,
      first,
      count,
      times,
      direction: "backward",
      positions,
      keep: false,
    });
  }
  return run(runTrajectories, jobs, samples, size, options.onProgress);
}

/** A copy of samples (count, N·n), the identical particles of each relabelled at random. */
export function relabelledSamples(
  samples: Float64Array,
  system: System,
  seed: number,
): Float64Array {
  const size = system.particles * system.dimension;
  const out = samples.slice();
  for (let s = 0; s < out.length / size; s++) {
    const stream = new RandomStream(seed, Stream.relabel, s);
    relabel(out.subarray(s * size, (s + 1) * size), system, stream);
  }
  return out;
}

/** A uniformly random relabelling within every group of identical particles, in place. */
export function relabel(positions: Float64Array, system: System, stream: RandomStream): void {
  const n = system.dimension;
  for (const group of system.identicalParticles) {
    for (let i = group.length - 1; i > 0; i--) {
      const a = group[i] * n;
      const b = group[stream.integer(i + 1)] * n;
      for (let k = 0; k < n; k++) {
        [positions[a + k], positions[b + k]] = [positions[b + k], positions[a + k]];
      }
    }
  }
}

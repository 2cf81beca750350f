/** A path made ready: its flow fitted, its levels put where they are needed. */
import type { FlowFitJob, FlowFitResult, PathCost } from "../backends/backend.ts";
import type { PathModel } from "./model.ts";
import { retimePath } from "./retime.ts";

/** How a path's flow is fitted. */
export interface FitPathOptions {
  /** What all random numbers of the fits are keyed by. */
  readonly seed: number;
  /** Samples that the flow is fitted on at each level; a multiple of 4. LJ-13: 3000, LJ-55: 400. */
  readonly population: number;
  /** See FlowFitJob; 0.7 for large clusters, 0 else. */
  readonly threshold: number;
  /**
   * How often levels are redistributed by the spread that the last fit measured; default 0. (The spread
   * of underdamped levels is in part the time step's, which does not add up along the path; on LJ-55 at
   * 400 levels one retiming left ⟨U⟩'s error over islands as it was.)
   */
  readonly retimings?: number;
  /** Told the number of the fit and what it explains of the increments' variance (mean over levels). */
  readonly progress?: (fit: number, explained: number) => void;
}

/**
 * Fits the flow of a path; between fits its levels may be redistributed. `run` does one fit on an
 * executor (or a pool) prepared with the given path. The result is a fixed path: whatever it is, the
 * weights along it are exact.
 *
 * @example A cluster's path with its flow, and weighted samples along it
 * ```ts
 * import assert from "node:assert/strict";
 * import {
 *   clusterPath,
 *   effectiveSampleSize,
 *   ExecutorPool,
 *   fitPath,
 *   type LennardJonesConfig,
 *   preset,
 * } from "@lab/mintjulep";
 *
 * const system = { ...preset("lj13").system as LennardJonesConfig, particles: 5 };
 * await using pool = await ExecutorPool.start({ backend: "wasm", workers: 1 });
 * const start = clusterPath(system, { kernel: "underdamped", levels: 40 });
 * const fitting = { seed: 1, population: 400, threshold: 0 };
 * const { path } = await fitPath(start, fitting, async (path, job) => {
 *   await pool.prepare({ system, mint: null, julep: null, path });
 *   return await pool.run("fitFlow", job);
 * });
 * await pool.prepare({ system, mint: null, julep: null, path });
 * const drawn = await pool.run("paths", { seed: 2, first: 0, count: 400, direction: "forward" });
 * assert.ok(effectiveSampleSize(drawn.logWeights) > 0.1);
 * ```
 */
export async function fitPath(
  path: PathModel,
  options: FitPathOptions,
  run: (path: PathModel, job: FlowFitJob) => FlowFitResult | Promise<FlowFitResult>,
): Promise<{ path: PathModel; fit: FlowFitResult; cost: PathCost }> {
  const { seed, population, threshold, retimings = 0 } = options;
  const cost = { gradients: 0, energies: 0, flowPasses: 0 };
  for (let round = 0;; round++) {
    // Another seed for each round: a path must not be shaped by the draws that it is then fitted on.
    const fit = await run(path, { seed: seed + round, population, threshold });
    cost.gradients += fit.cost.gradients;
    cost.energies += fit.cost.energies;
    cost.flowPasses += fit.cost.flowPasses;
    const mean = fit.explained.reduce((a, b) => a + b, 0) / fit.explained.length;
    options.progress?.(round, mean);
    if (round === retimings) return { path: { ...path, flow: fit.flow }, fit, cost };
    path = retimePath(path, fit.spread);
  }
}

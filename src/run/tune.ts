/**
 * `tune`: a path fitted to a system by CMA-ES over logarithms of factors along it. The objective looks
 * from both ends: mean W of backward paths from a buffer minus mean W of forward paths, the sum of both
 * Kullback-Leibler divergences between the sampler's paths and the target's. It is smooth where an ESS
 * is still zero, every path is judged with the flow fitted to it, and a path that hides part of the target (evaporated particles under a tight
 * confinement) pays for it. The buffer needs no data: samples of the untuned path by Sequential Monte
 * Carlo, moved on by HMC.
 */
import { join } from "node:path";
import type { BackendChoice } from "../backends/select.ts";
import type { RunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { ensureWritableDirectory } from "../io/atomic.ts";
import { writeCurve } from "../io/curve.ts";
import { CmaEs } from "../math/cma_es.ts";
import { initialiseMint } from "../mint/start.ts";
import type { MintModel } from "../mint/model.ts";
import type { PathModel } from "../path/model.ts";
import { tunedPath, tuningSize } from "../path/tuning.ts";
import { drawPaths, drawPathsBackward } from "../sampling/path_draw.ts";
import { createSystem } from "../systems/create.ts";
import type { System } from "../systems/system.ts";
import type { ExecutorPool } from "../workers/pool.ts";
import { writeJson } from "./directory.ts";
import { RunJobs } from "./jobs.ts";
import { startPool } from "./machine.ts";
import { mintOfRun, pathModel } from "./path.ts";
import { type Progress, silent } from "./progress.ts";
import { forward, ownBuffer, type Sampler } from "./session.ts";
import { trainMint } from "./stages.ts";

export interface TuneOptions {
  /** Folder for config.json, which `train` takes, and tune.csv. */
  readonly out: string;
  readonly generations: number;
  /** Paths in each generation. */
  readonly population: number;
  /** Samples of each path, forward and backward alike. */
  readonly samples: number;
  readonly workers?: number;
  readonly backend: BackendChoice;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

export interface TuneSummary {
  readonly out: string;
  readonly config: string;
  /** Objective (nats, both divergences) of the untuned path and of the result, on fresh samples. */
  readonly before: number;
  readonly after: number;
  readonly generations: number;
  /** Gradients of all paths tried. */
  readonly evaluations: number;
}

/** Samples that the flow of a candidate is fitted on: enough to tell good paths from bad ones. */
const FIT_POPULATION = 256;

/** A log-weight this far below the best counts as this far: one lost path must not rule a mean. */
const LARGEST_GAP = 60;

/** Mean of the backward W minus mean of the forward W. */
export function divergence(forwardW: Float64Array, backwardW: Float64Array): number {
  const known = [...forwardW, ...backwardW].filter(Number.isFinite).sort((a, b) => a - b);
  if (known.length === 0) return Infinity;
  const middle = known[known.length >> 1];
  const capped = (w: number, lost: number) =>
    Number.isFinite(w) ? Math.min(middle + LARGEST_GAP, Math.max(middle - LARGEST_GAP, w)) : lost;
  const mean = (W: Float64Array, lost: number) =>
    W.reduce((sum, w) => sum + capped(w, lost), 0) / W.length;
  return mean(backwardW, middle + LARGEST_GAP) - mean(forwardW, middle - LARGEST_GAP);
}

/** Throws InputError for a configuration that is no path's, or a folder that cannot be written. */
export async function tune(config: RunConfig, options: TuneOptions): Promise<TuneSummary> {
  const { out, generations, population, samples, signal, progress = silent } = options;
  if (!config.path) throw new InputError("tune needs a path: --method underdamped or adjusted");
  const path = config.path;
  await ensureWritableDirectory(out);
  const system = createSystem(config.system);
  await using pool = await startPool(config, options);
  const jobs = new RunJobs(pool, config.system, signal);
  const plain = pathModel(config.system, { ...path, tuning: undefined });
  const search = new CmaEs(new Float64Array(tuningSize(plain)), 0.15, population, config.seed);
  const mint = await priorOf(config, system, pool, signal);
  const buffer = await bufferOf(config, system, plain, mint, jobs, progress, samples);
  let evaluations = 0;
  const judge = async (tuning: ArrayLike<number>, seed: number): Promise<number> => {
    const bare = tunedPath(plain, tuning);
    // A cluster's path brings its own Gaussian; a mixture's prior does not change.
    jobs.mint = bare.levels.kind === "pair_path"
      ? { ...mint, broadScale: Math.sqrt(bare.levels.priorVariance) }
      : mint;
    let model = bare;
    if (path.flow) {
      const { threshold } = path.flow;
      const fit = await jobs.fitFlow(bare, { seed, population: FIT_POPULATION, threshold });
      evaluations += fit.cost.gradients;
      model = { ...bare, flow: fit.flow };
    }
    const run = jobs.runPaths(model);
    const there = await drawPaths(run, system, samples, { seed });
    const back = await drawPathsBackward(run, system, buffer, { seed });
    evaluations += (there.cost?.gradients ?? 0) + (back.cost?.gradients ?? 0);
    return divergence(there.logWeights, back.logWeights);
  };
  const rows: number[][] = [];
  progress.stage("Tuning", generations);
  for (let g = 0; g < generations; g++) {
    // One seed for a generation: its paths are compared on the same random numbers.
    const seed = TUNING_SEEDS + config.seed + g;
    const values: number[] = [];
    for (const point of search.ask()) values.push(await judge(point, seed));
    search.tell(values);
    const best = Math.min(...values);
    rows.push([g + 1, best, median(values), search.sigma]);
    progress.update(g + 1, { best, median: median(values), sigma: search.sigma });
    const columns = ["generation", "best", "median", "sigma"];
    await writeCurve(join(out, "tune.csv"), { columns, rows });
  }
  progress.end();
  const fresh = TUNING_SEEDS + config.seed + generations;
  const tuning = [...search.mean];
  const before = await judge(new Float64Array(tuning.length), fresh);
  const after = await judge(tuning, fresh);
  const file = join(out, "config.json");
  await writeJson(file, { ...config, path: { ...path, tuning } });
  return { out, config: file, before, after, generations, evaluations };
}

/** Above every seed that a user can ask for. */
const TUNING_SEEDS = 2 ** 33;

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

async function priorOf(
  config: RunConfig,
  system: System,
  backend: ExecutorPool,
  signal: AbortSignal | undefined,
): Promise<MintModel> {
  const mint = mintOfRun({ ...config, path: { ...config.path!, tuning: undefined } });
  const model = initialiseMint(system, mint, config.seed);
  const { seed } = config;
  return await trainMint(system, mint, { backend, seed, signal, model });
}

/** As many configurations as forward samples. */
async function bufferOf(
  config: RunConfig,
  system: System,
  path: PathModel,
  mint: MintModel,
  jobs: RunJobs,
  progress: Progress,
  samples: number,
): Promise<Float64Array> {
  const resampling = { population: Math.max(512, samples), threshold: 0.75, moves: null };
  const sampler: Sampler = { system, mint, jobs, progress, julep: null, path, resampling };
  const seed = TUNING_SEEDS + config.seed;
  const drawn = await forward(sampler, resampling.population, 0, seed, "Samples to tune by");
  const buffer = await ownBuffer(sampler, drawn, seed);
  return buffer.positions.slice(0, samples * system.particles * system.dimension);
}

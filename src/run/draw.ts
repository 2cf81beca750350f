/** `sample`: weighted samples of a trained run to a .npz that numpy.load reads. */
import { type BackendChoice, selectBackend } from "../backends/select.ts";
import { writeSamples } from "../io/samples.ts";
import { averagedJulep } from "../julep/train.ts";
import { createSystem } from "../systems/create.ts";
import { ExecutorPool } from "../workers/pool.ts";
import { openRun } from "./directory.ts";
import { type ForwardFigures, forwardFigures } from "./figures.ts";
import { RunJobs } from "./jobs.ts";
import { type Progress, silent } from "./progress.ts";
import { forward } from "./session.ts";

export interface SampleOptions {
  readonly samples: number;
  /** The .npz to write: positions, log_weights, energies, seed, definition, hash. */
  readonly out: string;
  /** Kernels per path; the trained number by default. */
  readonly steps?: number;
  /** The run's seed by default. */
  readonly seed?: number;
  readonly workers?: number;
  readonly backend: BackendChoice;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

export interface SampleSummary extends ForwardFigures {
  readonly out: string;
  readonly definition: string;
  readonly hash: string;
  readonly seed: number;
  readonly steps: number;
  readonly sampleSeconds: number;
}

/** Throws InputError for a folder without a finished run or a path that cannot be written. */
export async function sampleRun(dir: string, options: SampleOptions): Promise<SampleSummary> {
  const { progress = silent, samples, out } = options;
  const { config, state } = await openRun(dir, (line) => progress.note(line));
  const system = createSystem(config.system);
  const seed = options.seed ?? config.seed;
  const steps = options.steps ?? config.julep.steps;
  progress.note(`system ${system.definition}`);
  progress.note(`hash ${system.hash}, seed ${seed}`);
  await using pool = await ExecutorPool.start({
    backend: selectBackend(options.backend),
    workers: options.workers,
    progress,
  });
  const jobs = new RunJobs(pool, config.system, options.signal);
  const sampler = { system, mint: state.mint, julep: averagedJulep(state.julep!), jobs, progress };
  const drawn = await forward(sampler, samples, steps, seed);
  await writeSamples(out, {
    positions: drawn.positions,
    shape: [samples, system.particles, system.dimension],
    logWeights: drawn.logWeights,
    energies: drawn.energies,
    seed,
    definition: system.definition,
    hash: system.hash,
  });
  return {
    out,
    definition: system.definition,
    hash: system.hash,
    seed,
    steps,
    ...forwardFigures(system, drawn),
    sampleSeconds: drawn.seconds,
  };
}

/** `train`: both stages from a configuration to a folder of checkpoints, curves, metrics, report. */
import { type BackendChoice, selectBackend } from "../backends/select.ts";
import type { RunConfig } from "../config/config.ts";
import { AbortedError, InputError } from "../errors.ts";
import { ensureWritableDirectory } from "../io/atomic.ts";
import { writeCurve } from "../io/curve.ts";
import { normaliserLine } from "../mint/families.ts";
import { initialiseMint, refuseLabelled } from "../mint/start.ts";
import type { MintModel } from "../mint/model.ts";
import { labellingCount } from "../mint/labellings.ts";
import { createSystem } from "../systems/create.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import { pathWarnings } from "../sampling/warnings.ts";
import type { System } from "../systems/system.ts";
import type { ExecutorPool } from "../workers/pool.ts";
import {
  exists,
  files,
  type InternalStage,
  loadTraining,
  readRunConfig,
  readTiming,
  saveTraining,
  type TrainingState,
  writeJson,
} from "./directory.ts";
import { addSeconds, timed } from "./cost.ts";
import { makeInternal, withLevels, withStepSize } from "./internal.ts";
import { RunJobs } from "./jobs.ts";
import { withRefinement } from "./refine_internal.ts";
import { askedOf, isGpuFailure, startPool, survivingGpu } from "./machine.ts";
import { measure, type Metrics } from "./metrics.ts";
import { checkMolecule } from "./molecule_figures.ts";
import { makePath, mintOfRun } from "./path.ts";
import { type Progress, silent } from "./progress.ts";
import { writeReport } from "./report.ts";
import { trainJulep, trainMint } from "./stages.ts";

/** How a run in a folder is trained. */
export interface TrainOptions {
  /** Folder that receives the run. */
  readonly out: string;
  /** Worker threads, 1 to 1024; default: the machine's cores. Results do not depend on it. */
  readonly workers?: number;
  /** What computes. */
  readonly backend: BackendChoice;
  /** Replace a run that is already in `out`. */
  readonly overwrite?: boolean;
  /** Samples that the finished run is checked with; by default enough for its metrics. */
  readonly checkSamples?: number;
  /** On a GPU: iterations from one read-back to the next; default: about a second's worth. */
  readonly readBackEvery?: number;
  /** Stops the training after a checkpoint: it throws AbortedError. */
  readonly signal?: AbortSignal;
  /** Told how far it is; default: nobody. */
  readonly progress?: Progress;
}

/** The metrics of the run, and where its files are. */
export interface TrainSummary extends Metrics {
  /** The run's folder. */
  readonly out: string;
  /** The report's file. */
  readonly report: string;
}

/**
 * Trains from the start. Throws InputError for a folder that cannot be written or already holds a
 * run, AbortedError (after a checkpoint) when stopped.
 */
export async function train(config: RunConfig, options: TrainOptions): Promise<TrainSummary> {
  const { out } = options;
  const system = createSystem(config.system); // refuses bad physics before anything is written
  refuseLabelled(system, mintOfRun(config));
  checkMolecule(config, system);
  await selectBackend(options.backend, askedOf(config));
  if (!options.overwrite && await exists(files.config(out))) {
    throw new InputError(
      `${out} already holds a run: continue it with "mintjulep train ${out} --resume", ` +
        `replace it with --overwrite, or choose another --out`,
    );
  }
  await ensureWritableDirectory(out);
  for (const name of await Array.fromAsync(Deno.readDir(out), (e) => e.name)) {
    if (/^(checkpoint.*\.safetensors|timing\.json|metrics\.json|evaluation\.json)$/.test(name)) {
      await Deno.remove(`${out}/${name}`);
    }
  }
  await writeJson(files.config(out), config);
  return await run(config, system, null, options);
}

/** Continues the run in `dir` to the end it would have had; a finished run is only reported. */
export async function resumeTraining(
  dir: string,
  options: Omit<TrainOptions, "out" | "overwrite">,
): Promise<TrainSummary> {
  const config = await readRunConfig(dir);
  const system = createSystem(config.system);
  await ensureWritableDirectory(dir);
  return await run(config, system, await loadTraining(dir, config, options.progress?.note), {
    ...options,
    out: dir,
  });
}

function initialState(config: RunConfig, system: System): TrainingState {
  return {
    stage: "mint",
    mint: initialiseMint(system, mintOfRun(config), config.seed),
    mintTraining: null,
    julep: null,
    mintCurve: { columns: ["iteration", "loss", "ess", "tempering", "log_z"], rows: [] },
    julepCurve: {
      columns: ["iteration", "loss", "ess", "log_z", "gradient_norm", "learning_rate"],
      rows: [],
    },
  };
}

/** The run from `resumed` to its end; where a GPU fails, the state is whole and another takes over. */
async function run(
  config: RunConfig,
  system: System,
  resumed: TrainingState | null,
  options: TrainOptions,
): Promise<TrainSummary> {
  const state = resumed ?? initialState(config, system);
  return await survivingGpu(
    options,
    (machine) => runOnPool(config, system, state, machine),
    `nothing is lost: mintjulep train ${options.out} --resume goes on from the checkpoint ` +
      "(--backend auto does so by itself)",
  );
}

async function runOnPool(
  config: RunConfig,
  system: System,
  state: TrainingState,
  options: TrainOptions,
): Promise<TrainSummary> {
  const { out, signal } = options;
  const { progress, seconds } = timed(options.progress ?? silent);
  const before = await readTiming(out);
  const start = performance.now();
  progress.note(`system ${system.definition}`);
  progress.note(`hash ${system.hash}, seed ${config.seed}`);
  await using pool = await startPool(config, options);
  const save = async () => {
    await saveTraining(out, config, state);
    await writeCurve(files.mintCurve(out), state.mintCurve);
    await writeCurve(files.julepCurve(out), state.julepCurve);
    await writeJson(files.timing(out), {
      trainSeconds: before.trainSeconds + (performance.now() - start) / 1000,
      stageSeconds: addSeconds(before.stageSeconds, seconds()),
    });
  };
  const finished = state.stage === "done";
  const clocked = { ...options, progress };
  try {
    if (state.stage === "mint") await mintStage(config, system, state, pool, save, clocked);
    if (state.stage === "julep" && (config.path || config.chains || config.internal)) {
      await pathStage(config, system, state, pool, clocked);
    }
    if (state.stage === "julep") await julepStage(config, system, state, pool, save, clocked);
  } catch (error) {
    progress.end();
    if (isGpuFailure(error)) await save();
    if (error instanceof AbortedError) {
      await save();
      progress.note(`stopped; continue with: mintjulep train ${out} --resume`);
    }
    throw error;
  }
  if (!finished) await save();
  const jobs = new RunJobs(pool, config.system, signal);
  const { metrics, input } = await measure(
    config,
    system,
    state,
    jobs,
    pool,
    progress,
    options.checkSamples,
  );
  const { trainSeconds, stageSeconds: trainStageSeconds } = await readTiming(out);
  const complete = { ...metrics, trainSeconds, trainStageSeconds };
  await writeJson(files.metrics(out), complete);
  await writeReport(out, config, system, state, { ...input, metrics: complete });
  progress.note(`wrote ${files.report(out)}`);
  if (config.internal && !config.internal.resampling && config.internal.kernel !== "julep") {
    const { drawn: { logWeights }, priorLogWeights } = input;
    const remedy = "--method smc helps, or more internal.starts or internal.levels";
    for (const warning of pathWarnings(logWeights, priorLogWeights, remedy)) {
      progress.note(`warning: ${warning}`);
    }
  }
  return { out, report: files.report(out), ...complete };
}

async function mintStage(
  config: RunConfig,
  system: System,
  state: TrainingState,
  backend: ExecutorPool,
  save: () => Promise<void>,
  { progress = silent, signal }: TrainOptions,
): Promise<void> {
  if (config.mint.molecule && system instanceof Molecule) {
    const { anchor = 0 } = state.mint;
    const labellings = labellingCount(system.identicalParticles);
    progress.note(
      `anchor atom ${anchor + 1} (${system.forces.forceField.atoms.names[anchor]}), symmetric ` +
        `hydrogens: ${config.mint.symmetrise ? "mean over" : "one of"} ${labellings} labellings, ` +
        "lengths in nm, energies in kT",
    );
  }
  progress.stage("Mint", config.mint.iterations);
  state.mint = await trainMint(system, config.mint, {
    backend,
    seed: config.seed,
    signal,
    model: state.mint,
    state: state.mintTraining ?? undefined,
    onStep: async ({ loss, ess, temperingExponent, logZ }, training) => {
      state.mint = training.model;
      state.mintTraining = training.state();
      state.mintCurve.rows.push([training.iteration, loss, ess, temperingExponent, logZ]);
      progress.update(training.iteration, { loss, ess, logZ });
      if (training.iteration % config.checkpointEvery === 0) await save();
    },
  });
  progress.end();
  const estimated = normaliserLine(state.mint);
  if (estimated) progress.note(estimated);
  state.stage = "julep";
  state.mintTraining = null;
  await save();
}

/** Makes the path and fits its flow; chains have nothing to learn. */
async function pathStage(
  config: RunConfig,
  system: System,
  state: TrainingState,
  pool: ExecutorPool,
  { progress = silent, signal }: TrainOptions,
): Promise<void> {
  if (config.path) {
    const jobs = new RunJobs(pool, config.system, signal);
    jobs.mint = state.mint;
    if (config.path.flow) progress.note("fitting the pair flow");
    state.path = await makePath(system, config.path, config.seed, jobs);
  }
  if (config.internal && !state.internal) {
    const made = await makeInternal(system, config.internal, config.seed, progress, signal);
    const jobs = new RunJobs(pool, config.system, signal);
    state.internal = config.internal.kernel === "julep"
      ? made
      : await fitInternal(made, config, system as Molecule, state.mint, jobs, progress);
  }
  // What is learnt, if anything, follows.
  if (config.internal?.kernel !== "julep") state.stage = "done";
}

/** What a molecule's path takes from runs of its own: the time step, a refined prior, levels. */
async function fitInternal(
  made: InternalStage,
  config: RunConfig,
  molecule: Molecule,
  mint: MintModel,
  jobs: RunJobs,
  progress: Progress,
): Promise<InternalStage> {
  const moving = await withStepSize(made, config.seed, jobs, progress);
  const refined = await withRefinement(moving, config, molecule, mint, jobs, progress);
  return await withLevels(refined, config.internal!, config.seed, jobs, progress);
}

async function julepStage(
  config: RunConfig,
  system: System,
  state: TrainingState,
  backend: ExecutorPool,
  save: () => Promise<void>,
  { progress = silent, signal, readBackEvery }: TrainOptions,
): Promise<void> {
  progress.stage("Julep", config.julep.iterations);
  await trainJulep(system, state.mint, config.julep, {
    backend,
    seed: config.seed,
    signal,
    state: state.julep ?? undefined,
    onStart: async (training) => {
      state.julep = training.state();
      await save();
    },
    internal: config.internal ? state.internal?.model : undefined,
    readBackEvery,
    stopAtMultiplesOf: config.checkpointEvery,
    onStep: async (report, training) => {
      const { iteration, loss, ess, logZ, gradientNorm, learningRate } = report;
      state.julepCurve.rows.push([iteration, loss, ess, logZ, gradientNorm, learningRate]);
      progress.update(iteration, { loss, ess, logZ });
      if (iteration < training.iteration) return;
      state.julep = training.state();
      if (iteration % config.checkpointEvery === 0) await save();
    },
  });
  progress.end();
  state.stage = "done";
}

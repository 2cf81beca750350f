/** The files of a run's folder, and what is read back from them. */
import { join } from "node:path";
import type { RunConfig } from "../config/config.ts";
import { completeConfig, readConfigFile } from "../config/load.ts";
import { InputError } from "../errors.ts";
import { loadCheckpoint, saveCheckpoint } from "../io/checkpoint.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { canonicalJson, toJson } from "../io/json.ts";
import type { JulepTrainingState } from "../julep/train.ts";
import { normaliserLine } from "../mint/families.ts";
import type { MintModel } from "../mint/model.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import type { PathModel } from "../path/model.ts";
import type { MintTrainingState } from "../mint/train.ts";
import { createSystem } from "../systems/create.ts";
import { VERSION } from "../version.ts";
import type { StageSeconds } from "./cost.ts";
import { pack, unpack } from "./state.ts";

export const files = {
  config: (dir: string) => join(dir, "config.json"),
  mintCurve: (dir: string) => join(dir, "mint_curve.csv"),
  julepCurve: (dir: string) => join(dir, "julep_curve.csv"),
  metrics: (dir: string) => join(dir, "metrics.json"),
  evaluation: (dir: string) => join(dir, "evaluation.json"),
  timing: (dir: string) => join(dir, "timing.json"),
  report: (dir: string) => join(dir, "report.html"),
  picture: (dir: string) => join(dir, "picture.svg"),
  /** Chains: the samples, for --reference of any other run. */
  reference: (dir: string) => join(dir, "reference.npy"),
};

/** Rows of numbers under named columns; NaN where a figure was not finite. */
export interface Curve {
  readonly columns: readonly string[];
  rows: number[][];
}

/**
 * Where training stands. No clock and no machine in it: a run that was stopped and resumed ends
 * with the same bytes as one that was not.
 */
export interface TrainingState {
  stage: "mint" | "julep" | "done";
  mint: MintModel;
  mintTraining: MintTrainingState | null;
  /** null before its stage, and in runs of a path or of chains. */
  julep: JulepTrainingState | null;
  /** Runs of a path, once it is made. */
  path?: PathStage;
  /** Runs of molecules in internal coordinates, once the prior is made. */
  internal?: InternalStage;
  mintCurve: Curve;
  julepCurve: Curve;
}

/** What "training" is for a molecule in internal coordinates. */
export interface InternalStage {
  readonly model: InternalModel;
  /** Energies and gradients that the minima and the prior took. */
  readonly evaluations: number;
  /** The same by what they were for. */
  readonly evaluationsOf?: Readonly<Record<string, number>>;
}

/** What "training" is for a path: its levels, and the pair flow's fit where there is one. */
export interface PathStage {
  readonly model: PathModel;
  /** Of every level, see FlowFitResult; empty without a flow. */
  readonly explained: Float64Array;
  readonly scale: Float64Array;
  /** Gradients and energies that the fit took. */
  readonly evaluations: number;
}

interface PackedCurve {
  columns: string[];
  values: Float64Array;
}

const packCurve = ({ columns, rows }: Curve): PackedCurve => ({
  columns: [...columns],
  values: Float64Array.from(rows.flat()),
});

function unpackCurve({ columns, values }: PackedCurve): Curve {
  const rows: number[][] = [];
  for (let at = 0; at < values.length; at += columns.length) {
    rows.push([...values.subarray(at, at + columns.length)]);
  }
  return { columns, rows };
}

export async function saveTraining(
  dir: string,
  config: RunConfig,
  state: TrainingState,
): Promise<void> {
  const { tensors, json } = pack({
    ...state,
    mintCurve: packCurve(state.mintCurve),
    julepCurve: packCurve(state.julepCurve),
  });
  await saveCheckpoint(dir, {
    tensors,
    metadata: {
      version: VERSION,
      config: canonicalJson(config),
      system_hash: createSystem(config.system).hash,
      stage: state.stage,
      state: json,
    },
  });
}

/** The newest valid checkpoint of a folder; null when it has none yet. */
export async function loadTraining(
  dir: string,
  config: RunConfig,
  note?: (line: string) => void,
): Promise<TrainingState | null> {
  const checkpoint = await loadCheckpoint(dir, note);
  if (!checkpoint) return null;
  const { metadata, tensors } = checkpoint;
  // Completed like config.json: fields this program knows and the one that wrote it did not.
  const trained = completeConfig(JSON.parse(metadata.config), "the checkpoint's configuration");
  if (canonicalJson(trained) !== canonicalJson(config)) {
    throw new InputError(
      `${
        files.config(dir)
      } is not the configuration that the checkpoint beside it was trained with`,
    );
  }
  const state = unpack(tensors, metadata.state) as TrainingState & {
    mintCurve: PackedCurve;
    julepCurve: PackedCurve;
  };
  return {
    ...state,
    mintCurve: unpackCurve(state.mintCurve),
    julepCurve: unpackCurve(state.julepCurve),
  };
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

/** config.json of a run's folder. Throws InputError when the folder holds no run. */
export async function readRunConfig(dir: string): Promise<RunConfig> {
  if (!await exists(files.config(dir))) {
    throw new InputError(`${dir} holds no run: there is no ${files.config(dir)}`);
  }
  return readConfigFile(files.config(dir));
}

/** Configuration and finished training of a folder. Throws InputError when training is not done. */
export async function openRun(
  dir: string,
  note?: (line: string) => void,
): Promise<{ config: RunConfig; state: TrainingState } & Timing> {
  const config = await readRunConfig(dir);
  const state = await loadTraining(dir, config, note);
  if (!state || state.stage !== "done") {
    throw new InputError(
      `${dir}: training is not finished; continue it with: mintjulep train ${dir} --resume`,
    );
  }
  const estimated = normaliserLine(state.mint);
  if (estimated) note?.(estimated);
  return { config, state, ...await readTiming(dir) };
}

/** Seconds spent in training so far, all sessions together, in all and by stage. */
export interface Timing {
  readonly trainSeconds: number;
  readonly stageSeconds: StageSeconds;
}

/** What timing.json says; zero when not known. */
export async function readTiming(dir: string): Promise<Timing> {
  try {
    const { trainSeconds, stageSeconds } = JSON.parse(await Deno.readTextFile(files.timing(dir)));
    return { trainSeconds: Number(trainSeconds) || 0, stageSeconds: stageSeconds ?? {} };
  } catch {
    return { trainSeconds: 0, stageSeconds: {} };
  }
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, toJson(value) + "\n");
}

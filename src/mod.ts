/**
 * MintJulep: exactly weighted equilibrium samples of N-body systems from their energy alone. This
 * module is the library, and the command line when it is run.
 */
export type * from "./config/config.ts";
export type {
  AtomData,
  BornData,
  ForceField,
  LennardJonesTable,
  Solvent,
} from "./config/force_field.ts";
export { loadConfig } from "./config/load.ts";
export { preset, presetNames } from "./config/presets.ts";
export type { MintModel, Normalisers } from "./mint/model.ts";
export type { JulepModel } from "./julep/model.ts";
export type {
  MixtureLevels,
  PairFlow,
  PairPathLevels,
  PathKernelName,
  PathModel,
} from "./path/model.ts";
export { clusterPath, type ClusterPathOptions, type ClusterVariant } from "./path/cluster.ts";
export { fitPath, type FitPathOptions } from "./path/fitted.ts";
export { mixturePath, type MixturePathOptions } from "./path/mixture.ts";
export type { PairKernel, System } from "./systems/system.ts";
export { createSystem } from "./systems/create.ts";
export {
  draw,
  type DrawContext,
  type JulepStage,
  type MintStage,
  type StageContext,
  trainJulep,
  trainMint,
} from "./run/stages.ts";
export { resumeTraining, train, type TrainOptions, type TrainSummary } from "./run/train.ts";
export { type SampleOptions, sampleRun, type SampleSummary } from "./run/draw.ts";
export { type EvaluateOptions, type EvaluateReport, evaluateRun } from "./run/evaluate.ts";
export type { WeightedSamples } from "./sampling/draw.ts";
export type { ChainSummary } from "./sampling/chain_statistics.ts";
export type { Island } from "./sampling/islands.ts";
export {
  effectiveSampleSize,
  logPartitionFunction,
  normalisedWeights,
  weightedMean,
} from "./sampling/weights.ts";
export type { BackendName, PathCost } from "./backends/backend.ts";
export type { BackendChoice } from "./backends/select.ts";
export { ExecutorPool, type PoolOptions } from "./workers/pool.ts";
export { AbortedError, InputError } from "./errors.ts";
export type { Progress } from "./run/progress.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { main } = await import("./cli/main.ts");
  Deno.exit(await main(Deno.args));
}

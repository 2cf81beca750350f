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
export type { NormaliserFigures } from "./mint/families.ts";
export { Stream } from "./math/random.ts";
export type { JulepModel, NetworkShape } from "./julep/model.ts";
export type { JulepPairPath, PairVelocity } from "./julep/pair_path.ts";
export type { FeatureKind, WhitenedShape } from "./julep/whitened.ts";
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
export {
  type EvaluateOptions,
  type EvaluateReport,
  evaluateRun,
  type PriorFigures,
} from "./run/evaluate.ts";
export type { ForwardFigures, ReferenceFigures } from "./run/figures.ts";
export type { MoleculeFigures } from "./report/input.ts";
export type {
  BasinFigures,
  Floor,
  RamachandranComparison,
  RamachandranFigures,
} from "./sampling/ramachandran.ts";
export type { Metrics } from "./run/metrics.ts";
export type { StageSeconds } from "./run/cost.ts";
export type { WeightedSamples } from "./sampling/draw.ts";
export type { ChainStatistics, ChainSummary } from "./sampling/chain_statistics.ts";
export type { ChiralityFigures, ChiralityMode } from "./sampling/chirality.ts";
export type { Identities } from "./sampling/identities.ts";
export type { Island } from "./sampling/islands.ts";
export {
  effectiveSampleSize,
  logPartitionFunction,
  normalisedWeights,
  weightedMean,
} from "./sampling/weights.ts";
export type * from "./backends/backend.ts";
export type { ExecutorOptions } from "./backends/create.ts";
export type { BackendChoice } from "./backends/select.ts";
export {
  ExecutorPool,
  type Job,
  type JobName,
  type JobOptions,
  type Jobs,
  type PoolOptions,
  type Result,
} from "./workers/pool.ts";
export { AbortedError, InputError } from "./errors.ts";
export type { Progress } from "./run/progress.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { main } = await import("./cli/main.ts");
  Deno.exit(await main(Deno.args));
}

/**
 * MintJulep: exactly weighted equilibrium samples of N-body systems from their energy alone. This
 * module is the library, and the command line when it is run.
 */
export type * from "./config/config.ts";
export { loadConfig } from "./config/load.ts";
export { preset, presetNames } from "./config/presets.ts";
export type { MintModel } from "./mint/model.ts";
export type { JulepModel } from "./julep/model.ts";
export type { PairFlow, PathModel } from "./path/model.ts";
export { clusterPath } from "./path/cluster.ts";
export { fitPath } from "./path/fitted.ts";
export { mixturePath } from "./path/mixture.ts";
export type { System } from "./systems/system.ts";
export { createSystem } from "./systems/create.ts";
export { draw, trainJulep, trainMint } from "./run/stages.ts";
export { resumeTraining, train } from "./run/train.ts";
export { sampleRun } from "./run/draw.ts";
export { evaluateRun } from "./run/evaluate.ts";
export type { WeightedSamples } from "./sampling/draw.ts";
export {
  effectiveSampleSize,
  logPartitionFunction,
  normalisedWeights,
  weightedMean,
} from "./sampling/weights.ts";
export { ExecutorPool } from "./workers/pool.ts";
export { AbortedError, InputError } from "./errors.ts";
export type { Progress } from "./run/progress.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { main } = await import("./cli/main.ts");
  Deno.exit(await main(Deno.args));
}

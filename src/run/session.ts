/** Paths of a trained run: forward draws, backward draws, the prior alone, the control. */
import type { JulepConfig, RunConfig } from "../config/config.ts";
import { initialiseJulep, JulepTraining } from "../julep/train.ts";
import type { JulepModel } from "../julep/model.ts";
import type { MintModel } from "../mint/model.ts";
import { drawBackward, drawForward, type WeightedSamples } from "../sampling/draw.ts";
import type { System } from "../systems/system.ts";
import type { RunJobs } from "./jobs.ts";
import type { Progress } from "./progress.ts";

export interface Sampler {
  readonly system: System;
  readonly mint: MintModel;
  readonly julep: JulepModel;
  readonly jobs: RunJobs;
  readonly progress: Progress;
}

/** `samples` forward paths of `steps` kernels. */
export async function forward(
  sampler: Sampler,
  samples: number,
  steps: number,
  seed: number,
  label = "Sampling",
): Promise<WeightedSamples> {
  const { system, jobs, julep, mint, progress } = sampler;
  jobs.mint = mint;
  progress.stage(label, samples);
  const drawn = await drawForward(jobs.runTrajectories(julep), system, samples, {
    seed,
    steps,
    onProgress: (done) => progress.update(done, {}),
  });
  progress.end();
  return drawn;
}

/** Backward paths from target samples (count, N·n). */
export async function backward(
  sampler: Sampler,
  reference: Float64Array,
  steps: number,
  seed: number,
  label = "Backward from the reference",
): Promise<WeightedSamples> {
  const { system, jobs, julep, mint, progress } = sampler;
  jobs.mint = mint;
  progress.stage(label, reference.length / (system.particles * system.dimension));
  const drawn = await drawBackward(jobs.runTrajectories(julep), system, reference, {
    seed,
    steps,
    onProgress: (done) => progress.update(done, {}),
  });
  progress.end();
  return drawn;
}

/** Log-weights of the prior alone, −U − log q, on its own draws or on given (relabelled) samples. */
export async function priorWeights(
  sampler: Sampler,
  samples: number,
  seed: number,
): Promise<Float64Array> {
  const draw = await sampler.jobs.drawPrior(sampler.mint, seed, 0, samples);
  return draw.energies.map((u, s) => -u - draw.logDensity[s]);
}

export async function priorWeightsAt(
  sampler: Sampler,
  target: WeightedSamples,
): Promise<Float64Array> {
  const count = target.energies.length;
  const logDensity = await sampler.jobs.priorLogDensity(
    sampler.mint,
    Float64Array.from(target.positions),
    count,
  );
  return target.energies.map((u, s) => -u - logDensity[s]);
}

/** Iterations and learning rate that find the best ε(t) of the control from any start. */
const CONTROL = { iterations: 150, learningRate: 2e-3, warmup: 5 };

/**
 * The honest control: the same prior, steps and gauge without the network, its ε(t) trained by the
 * same loss.
 */
export async function trainControl(
  sampler: Sampler,
  config: RunConfig,
  steps: number,
): Promise<JulepModel> {
  const { system, jobs, mint, progress } = sampler;
  const julep: JulepConfig = {
    ...config.julep,
    ...CONTROL,
    steps,
    gradientFraction: 1,
    network: { ...config.julep.network, enabled: false },
    stepSize: { ...config.julep.stepSize, learn: true, learningRateFactor: 20 },
  };
  jobs.mint = mint;
  const training = new JulepTraining(
    initialiseJulep(system, julep, config.seed),
    julep,
    config.seed,
  );
  progress.stage("Control (no network, its best step size)", julep.iterations);
  while (training.iteration < julep.iterations) {
    const { loss, ess } = await training.step(jobs);
    progress.update(training.iteration, { loss, ess });
  }
  progress.end();
  return training.averaged;
}

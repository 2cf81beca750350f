/** What a run costs: evaluations of energies and gradients, seconds by stage. */
import type { RunConfig } from "../config/config.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import type { TrainingState } from "./directory.ts";
import type { Progress } from "./progress.ts";

/** Gradients of all training trajectories, or evaluations of a path's fit or a molecule's prior. */
export function trainEvaluations(config: RunConfig, state: TrainingState): number | undefined {
  if (state.path) return state.path.evaluations;
  const own = state.internal?.evaluations;
  if (own !== undefined && !state.julep) return own;
  if (config.chains) return 0;
  const { mint, julep } = config;
  const stage1 = own ?? mint.iterations * mint.samples;
  if (!state.julep) return stage1;
  return stage1 + state.julep.iteration * julep.samples * evaluationsPerPath(config, julep.steps);
}

/** Gradients and energies of a sample: as counted, or those of a path. */
export function evaluationsPerSample(
  { cost, energies }: WeightedSamples,
  config: RunConfig,
  steps: number,
): number {
  return cost
    ? (cost.gradients + cost.energies) / energies.length
    : evaluationsPerPath(config, steps);
}

/** One for each end of a step; a comparator's control takes several at the start of a step, or none. */
function evaluationsPerPath({ julep }: RunConfig, steps: number): number {
  const diffusion = julep?.diffusion;
  if (!diffusion) return steps + 1;
  return (diffusion.targetForce ? diffusion.proximalSteps * steps : 0) + 1;
}

/** Seconds by name of the stage. */
export type StageSeconds = Readonly<Record<string, number>>;

/**
 * The same progress, with a clock: `seconds` holds what every stage took so far, those that differ
 * after a comma alone ("Sampling, seed 3") added up.
 */
export function timed(progress: Progress): { progress: Progress; seconds: () => StageSeconds } {
  const seconds: Record<string, number> = {};
  let running: { name: string; since: number } | null = null;
  const stop = () => {
    if (!running) return;
    const { name, since } = running;
    seconds[name] = (seconds[name] ?? 0) + (performance.now() - since) / 1000;
    running = null;
  };
  return {
    seconds: () => ({ ...seconds }),
    progress: {
      stage(name, total) {
        stop();
        running = { name: name.split(/[,:(]/)[0].trim(), since: performance.now() };
        progress.stage(name, total);
      },
      update: (done, fields) => progress.update(done, fields),
      end() {
        stop();
        progress.end();
      },
      note: (line) => progress.note(line),
    },
  };
}

/** Two lists added up, stage by stage. */
export function addSeconds(a: StageSeconds, b: StageSeconds): StageSeconds {
  const sum: Record<string, number> = { ...a };
  for (const [name, value] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + value;
  return sum;
}

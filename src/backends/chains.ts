/** Independent HMC chains on the target, each with its own step size, adapted while warming up. */
import { InputError } from "../errors.ts";
import type { ChainsJob, ChainsResult } from "./backend.ts";
import type { ExactParts } from "./exact.ts";
import type { PathBackend } from "./population.ts";

/** Throws InputError, in one line, for chains that are none. */
export function checkChains(job: ChainsJob): void {
  for (
    const [field, least] of [["leapfrogs", 1], ["warmup", 0], ["draws", 1], ["thin", 1]] as const
  ) {
    if (!Number.isSafeInteger(job[field]) || job[field] < least) {
      throw new InputError(`chains.${field} must be an integer >= ${least}, got ${job[field]}`);
    }
  }
  if (!(Number.isFinite(job.stepSize) && job.stepSize > 0)) {
    throw new InputError(`chains.stepSize must be a finite number above 0, got ${job.stepSize}`);
  }
}

/**
 * Warm-up moves log Δ by (acceptance − target)/(1 + t)^0.6 after transition t and ends with the mean of
 * log Δ over its second half (Robbins-Monro with averaging); then Δ is fixed, so that the chain leaves
 * exp(−U) invariant.
 */
export function runChains(parts: ExactParts, backend: PathBackend, job: ChainsJob): ChainsResult {
  const { count, draws, thin, warmup } = job;
  checkChains(job);
  const size = parts.size;
  const chains = backend.chains(job, job.positions);
  const stepSize = new Float64Array(count).fill(job.stepSize);
  const average = new Float64Array(count);
  const half = warmup >> 1;
  for (let t = 0; t < warmup; t++) {
    chains.transition(t, stepSize, job.leapfrogs);
    for (let s = 0; s < count; s++) {
      const logStep = Math.log(stepSize[s]) +
        (chains.acceptance[s] - job.targetAcceptance) / (1 + t) ** 0.6;
      if (t >= half) average[s] += logStep / (warmup - half);
      stepSize[s] = Math.exp(t === warmup - 1 ? average[s] : logStep);
    }
  }
  const positions = new Float32Array(count * draws * size);
  const acceptance = new Float64Array(count);
  for (let d = 0; d < draws; d++) {
    for (let k = 0; k < thin; k++) {
      chains.transition(warmup + d * thin + k, stepSize, job.leapfrogs);
      for (let s = 0; s < count; s++) acceptance[s] += chains.acceptance[s] / (draws * thin);
    }
    const now = chains.positions();
    for (let s = 0; s < count; s++) {
      positions.set(now.subarray(s * size, (s + 1) * size), (s * draws + d) * size);
    }
  }
  chains.dispose();
  return {
    positions,
    energies: parts.targetEnergies(positions, count * draws),
    acceptance,
    stepSize,
    cost: {
      gradients: count * (warmup + draws * thin) * (job.leapfrogs + 1),
      energies: count * draws,
      flowPasses: 0,
    },
  };
}

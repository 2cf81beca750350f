/** The figures of a set of weighted paths, under the names that reports and JSON use. */
import type { System } from "../systems/system.ts";
import { exactValues } from "../sampling/exact.ts";
import {
  elbo,
  essFromReference,
  eubo,
  logPartitionFromBothEnds,
  maxLogWeightFromReference,
} from "../sampling/diagnostics.ts";
import { islandFigures, islandMean } from "../sampling/islands.ts";
import {
  distanceW2,
  energyW2,
  meanDistances,
  meanEnergy,
  meanPairDistance,
  wholeEnergyW2,
} from "../sampling/observables.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import {
  countNonFinite,
  effectiveSampleSizeWithError,
  largestWeightShare,
  logPartitionFunction,
  medianBatchEss,
} from "../sampling/weights.ts";

/** From samples that the sampler drew. */
export interface ForwardFigures {
  /** Paths, or states of chains. */
  samples: number;
  /**
   * What `ess` counts. "paths": eq. 27. "ancestors": Sequential Monte Carlo, all descendants of one
   * prior draw counted as one sample, so that it can stand beside a path ESS. "chains": draws over
   * the energy's autocorrelation time; there are no weights, and no log Z.
   */
  essOf: "paths" | "ancestors" | "chains";
  /** Pooled, a fraction in [0, 1] (chains may exceed 1). */
  ess: number;
  /** Standard error of `ess`, by a block jackknife. */
  essStdErr: number;
  /** Median over batches of 1000 consecutive paths. */
  essMedianOfBatches: number;
  /** Largest weight over the sum of all. */
  largestWeightShare: number;
  /** Largest W − log Z. */
  maxLogWeight: number;
  /** Paths that left the finite numbers; they weigh nothing. */
  nonFiniteWeights: number;
  /** log Z in the anchored measure, block-jackknife standard error. */
  logZ: number;
  /** Standard error of `logZ`. */
  logZStdErr: number;
  /** Mean of W: a lower bound of log Z. */
  elbo: number;
  /** ⟨U⟩, weighted. */
  meanEnergy: number;
  /** Standard error of `meanEnergy`. */
  meanEnergyStdErr: number;
  /** ⟨mean distance over all pairs⟩, weighted; length. */
  meanPairDistance: number;
  /** Standard error of `meanPairDistance`. */
  meanPairDistanceStdErr: number;
  /** Evaluations of energy gradients and energies, flow sweeps, per sample; where counted. */
  gradientsPerSample?: number;
  /** Sweeps of the pair flow for each sample, where counted. */
  flowPassesPerSample?: number;
  /** Sequential Monte Carlo: means over islands; errors above come from the spread over them. */
  islands?: number;
  /** Samples of an island. */
  population?: number;
  /** Resamplings of an island. */
  resamplings?: number;
  /** Prior draws with descendants that have weight. */
  distinctAncestors?: number;
  /** Prior draws counted by their weight, (Σ_a w_a)²/Σ_a w_a². */
  effectiveAncestors?: number;
  /** Standard deviation of log Z from island to island. */
  logZSpread?: number;
  /** ESS of the final weights alone: blind to shared ancestors, no path ESS. */
  finalEss?: number;
  /** Chains: number, kept draws of each, mean acceptance, split R-hat, autocorrelation times. */
  chains?: number;
  /** Kept states of each chain. */
  draws?: number;
  /** Mean acceptance. */
  acceptance?: number;
  /** Split R-hat of the energy. */
  rHatEnergy?: number;
  /** Split R-hat of the mean pair distance. */
  rHatPairDistance?: number;
  /** In transitions. */
  autocorrelationTimeEnergy?: number;
  /** Of the mean pair distance, in transitions. */
  autocorrelationTimePairDistance?: number;
}

export function forwardFigures(system: System, drawn: WeightedSamples): ForwardFigures {
  const figures = { ...pathFigures(system, drawn), ...costFigures(drawn) };
  const { islands, chains } = drawn;
  if (islands) {
    const { ess: finalEss } = figures;
    const { population } = islands[0];
    const { particles, dimension } = system;
    const energy = islandMean(drawn.energies, drawn.logWeights, population);
    const distances = meanDistances(drawn.positions, particles, dimension);
    const distance = islandMean(distances, drawn.logWeights, population);
    return {
      ...figures,
      ...islandFigures(islands),
      essOf: "ancestors",
      finalEss,
      meanEnergyStdErr: energy.standardError,
      meanPairDistanceStdErr: distance.standardError,
    };
  }
  if (chains) {
    const { energy, pairDistance, thin } = chains;
    return {
      ...figures,
      essOf: "chains",
      ess: energy.effectiveDraws / drawn.energies.length,
      essStdErr: NaN,
      essMedianOfBatches: NaN,
      largestWeightShare: NaN,
      maxLogWeight: NaN,
      logZ: NaN,
      logZStdErr: NaN,
      elbo: NaN,
      meanEnergyStdErr: energy.standardError,
      meanPairDistanceStdErr: pairDistance.standardError,
      chains: chains.chains,
      draws: chains.draws,
      acceptance: chains.acceptance,
      rHatEnergy: energy.rHat,
      rHatPairDistance: pairDistance.rHat,
      autocorrelationTimeEnergy: energy.autocorrelationTime * thin,
      autocorrelationTimePairDistance: pairDistance.autocorrelationTime * thin,
    };
  }
  return figures;
}

function costFigures({ cost, energies }: WeightedSamples) {
  if (!cost) return {};
  return {
    gradientsPerSample: cost.gradients / energies.length,
    flowPassesPerSample: cost.flowPasses / energies.length,
  };
}

function pathFigures(system: System, drawn: WeightedSamples): ForwardFigures {
  const { logWeights, energies, positions } = drawn;
  const { particles, dimension } = system;
  const { ess, standardError } = effectiveSampleSizeWithError(logWeights);
  const logZ = logPartitionFunction(logWeights);
  const energy = meanEnergy(energies, logWeights);
  const distance = meanPairDistance(positions, particles, dimension, logWeights);
  return {
    samples: logWeights.length,
    essOf: "paths",
    ess,
    essStdErr: standardError,
    essMedianOfBatches: medianBatchEss(logWeights),
    largestWeightShare: largestWeightShare(logWeights),
    maxLogWeight: logWeights.reduce((a, w) => Math.max(a, w), -Infinity) - logZ.logZ,
    nonFiniteWeights: countNonFinite(logWeights),
    logZ: logZ.logZ,
    logZStdErr: logZ.standardError,
    elbo: elbo(logWeights).mean,
    meanEnergy: energy.mean,
    meanEnergyStdErr: energy.standardError,
    meanPairDistance: distance.mean,
    meanPairDistanceStdErr: distance.standardError,
  };
}

/** From paths that ran backward from samples of the target. */
export interface ReferenceFigures {
  /** Samples of the target that were run backward. */
  referenceSamples: number;
  /**
   * ESS as seen from the target: 1 / E_p[e^{W − log Z}], of single paths in any case (resampled runs:
   * of the same path without resampling).
   */
  essFromReference: number;
  /** Standard error of `essFromReference`, by a block jackknife. */
  essFromReferenceStdErr: number;
  /** Evidence upper bound. */
  eubo: number;
  /** Largest W − log Z among the backward paths. */
  maxLogWeightFromReference: number;
  /** log Z from both ends (Bennett's acceptance ratio). */
  logZBothEnds: number;
  /** Standard error of `logZBothEnds`. */
  logZBothEndsStdErr: number;
  /** Wasserstein-2 of the energies, with the square root, from energyW2Samples of each. */
  energyW2: number;
  /** How many of each energyW2 was measured with. */
  energyW2Samples: number;
  /** What two samples of the target of this size differ by; null where it was not measured. */
  energyW2NoiseFloor: number | null;
  /** The same of all weighted samples and the whole reference. */
  energyW2Whole: number;
  /** The same of the reference's halves, every other sample and the rest. */
  energyW2OfHalves: number | null;
  /** Squared Wasserstein-2 of all pair distances. */
  distanceW2: number;
  /** How many of each distanceW2 was measured with. */
  distanceW2Samples: number;
  /** What two samples of the target of this size differ by; null where it was not measured. */
  distanceW2NoiseFloor: number | null;
}

export function referenceFigures(
  system: System,
  drawn: WeightedSamples,
  backward: WeightedSamples,
): ReferenceFigures {
  // Weights after resampling are not those of paths, and chains have none: one end is left.
  const both = drawn.islands || drawn.chains
    ? { logZ: NaN, standardError: NaN }
    : logPartitionFromBothEnds(drawn.logWeights, backward.logWeights);
  const known = exactValues(system.config);
  const own = drawn.islands ? islandFigures(drawn.islands).logZ : both.logZ;
  const logZ = known?.exact ? known.logZ!.value : own;
  const ess = essFromReference(backward.logWeights, logZ);
  const energy = energyW2(drawn.energies, drawn.logWeights, backward.energies);
  const whole = wholeEnergyW2(drawn.energies, drawn.logWeights, backward.energies);
  const distance = distanceW2(drawn.positions, drawn.logWeights, backward.positions, system);
  return {
    referenceSamples: backward.logWeights.length,
    essFromReference: drawn.chains ? NaN : ess.ess,
    essFromReferenceStdErr: drawn.chains ? NaN : ess.standardError,
    eubo: eubo(backward.logWeights).mean,
    maxLogWeightFromReference: drawn.chains
      ? NaN
      : maxLogWeightFromReference(backward.logWeights, logZ),
    logZBothEnds: both.logZ,
    logZBothEndsStdErr: both.standardError,
    energyW2: energy.value,
    energyW2Samples: energy.n,
    energyW2NoiseFloor: energy.noiseFloor,
    energyW2Whole: whole.value,
    energyW2OfHalves: whole.halves,
    distanceW2: distance.value,
    distanceW2Samples: distance.n,
    distanceW2NoiseFloor: distance.noiseFloor,
  };
}

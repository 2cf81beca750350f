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
import { distanceW2, energyW2, meanEnergy, meanPairDistance } from "../sampling/observables.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import {
  countNonFinite,
  effectiveSampleSizeWithError,
  largestWeightShare,
  logPartitionFunction,
  medianBatchEss,
} from "../sampling/weights.ts";

/** From paths that ran from the prior to the target. */
export interface ForwardFigures {
  /** Paths. */
  samples: number;
  /** Pooled path ESS, a fraction in [0, 1] (eq. 27). */
  ess: number;
  essStdErr: number;
  /** Median over batches of 1000 consecutive paths. */
  essMedianOfBatches: number;
  largestWeightShare: number;
  /** Largest W − log Z. */
  maxLogWeight: number;
  nonFiniteWeights: number;
  /** log Z in the anchored measure, block-jackknife standard error. */
  logZ: number;
  logZStdErr: number;
  elbo: number;
  meanEnergy: number;
  meanEnergyStdErr: number;
  meanPairDistance: number;
  meanPairDistanceStdErr: number;
}

export function forwardFigures(system: System, drawn: WeightedSamples): ForwardFigures {
  const { logWeights, energies, positions } = drawn;
  const { particles, dimension } = system;
  const { ess, standardError } = effectiveSampleSizeWithError(logWeights);
  const logZ = logPartitionFunction(logWeights);
  const energy = meanEnergy(energies, logWeights);
  const distance = meanPairDistance(positions, particles, dimension, logWeights);
  return {
    samples: logWeights.length,
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
  referenceSamples: number;
  /** ESS as seen from the target: 1 / E_p[e^{W − log Z}]. */
  essFromReference: number;
  essFromReferenceStdErr: number;
  /** Evidence upper bound. */
  eubo: number;
  maxLogWeightFromReference: number;
  /** log Z from both ends (Bennett's acceptance ratio). */
  logZBothEnds: number;
  logZBothEndsStdErr: number;
  /** Wasserstein-2 of the energies, with the square root, from energyW2Samples of each. */
  energyW2: number;
  energyW2Samples: number;
  energyW2NoiseFloor: number | null;
  /** Squared Wasserstein-2 of all pair distances. */
  distanceW2: number;
  distanceW2Samples: number;
  distanceW2NoiseFloor: number | null;
}

export function referenceFigures(
  system: System,
  drawn: WeightedSamples,
  backward: WeightedSamples,
): ReferenceFigures {
  const both = logPartitionFromBothEnds(drawn.logWeights, backward.logWeights);
  const known = exactValues(system.config);
  const logZ = known?.exact ? known.logZ.value : both.logZ;
  const ess = essFromReference(backward.logWeights, logZ);
  const energy = energyW2(drawn.energies, drawn.logWeights, backward.energies);
  const distance = distanceW2(drawn.positions, drawn.logWeights, backward.positions, system);
  return {
    referenceSamples: backward.logWeights.length,
    essFromReference: ess.ess,
    essFromReferenceStdErr: ess.standardError,
    eubo: eubo(backward.logWeights).mean,
    maxLogWeightFromReference: maxLogWeightFromReference(backward.logWeights, logZ),
    logZBothEnds: both.logZ,
    logZBothEndsStdErr: both.standardError,
    energyW2: energy.value,
    energyW2Samples: energy.n,
    energyW2NoiseFloor: energy.noiseFloor,
    distanceW2: distance.value,
    distanceW2Samples: distance.n,
    distanceW2NoiseFloor: distance.noiseFloor,
  };
}

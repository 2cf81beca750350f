/** Reasons not to trust a set of weighted samples, in plain words. */
import {
  elbo,
  essFromReference,
  eubo,
  logPartitionFromBothEnds,
  maxLogWeightFromReference,
} from "./diagnostics.ts";
import type { NormaliserFigures } from "../mint/families.ts";
import type { ChainSummary } from "./chain_statistics.ts";
import type { Identities } from "./identities.ts";
import { type Island, islandFigures } from "./islands.ts";
import {
  countNonFinite,
  effectiveSampleSizeWithError,
  largestWeightShare,
  logPartitionFunction,
  medianBatchEss,
} from "./weights.ts";

/** Fewer samples than this do not carry a headline ESS. */
const HEADLINE_SAMPLES = 10_000;

/** Deviations beyond this many standard errors are reported: about 1 false alarm in 400 each. */
const SIGMAS = 3;

export interface WarningInput {
  /** W of forward paths, in the order they were drawn. */
  logWeights: Float64Array;
  /** W of backward paths from target samples, or from `resampledPositions` of the own samples. */
  logWeightsFromReference?: Float64Array;
  /** What those target samples are, for the wording; "the reference samples" by default. */
  referenceName?: string;
  /** log Z, where it is known exactly. */
  exactLogZ?: number;
  /** log Z as long runs have it, of the same target and measure; not used where it is exact. */
  knownLogZ?: { value: number; uncertainty: number; source: string };
  /** Sequential Monte Carlo: then the log-weights are those after resampling, not of paths. */
  islands?: readonly Island[];
  /** Chains: then there are no weights. */
  chains?: ChainSummary;
  /** The two identities that need no reference data. */
  identities?: Identities;
  /** The prior has labelled components, and the system particles it could be relabelled over. */
  priorMissesLabellings?: boolean;
  /** How well the prior's normalisers are known, where they are estimates. */
  priorNormaliser?: NormaliserFigures;
}

/** An estimated normaliser of a larger error is worth a word: it moves log-weights by that much. */
const NORMALISER_ERROR = 0.02;
/** Below this ESS the standard error of an estimated normaliser is itself not to be trusted. */
const NORMALISER_ESS = 0.05;

const percent = (x: number) => `${(100 * x).toPrecision(x < 0.0995 ? 2 : 3)} %`;
/** "88.4 ± 0.3 %"; below 0.1 % without the error, which is of the size of the value. */
const essText = ({ ess, standardError }: { ess: number; standardError: number }) =>
  ess < 1e-3 || !Number.isFinite(standardError)
    ? percent(ess)
    : `${(100 * ess).toFixed(1)} ± ${(100 * standardError).toFixed(1)} %`;
const times = (ratio: number) => ratio > 1000 ? "more than 1000" : ratio.toPrecision(3);
const plusMinus = (x: number, error: number, digits = 3) =>
  `${x.toFixed(digits)} ± ${error.toFixed(digits)}`;

/** One sentence for each reason found; an empty list is no proof that the samples are right. */
export function warnings(input: WarningInput): string[] {
  if (input.chains) return [...aboutChains(input.chains), ...aboutIdentities(input.identities)];
  if (input.islands) {
    return [
      ...aboutThePrior(input),
      ...aboutIslands(input.islands, input),
      ...aboutIdentities(input.identities),
    ];
  }
  return [
    ...aboutThePrior(input),
    ...aboutTheWeights(input.logWeights),
    ...aboutReach(input),
    ...fromTheTarget(input),
    ...againstExactLogZ(input),
    ...againstKnownLogZ(input),
    ...aboutIdentities(input.identities),
  ];
}

/** An ESS below this is worth a word on what to try. */
const POOR = 0.3;

/**
 * After the training of a molecule's annealed path, from its own few samples and those of its prior:
 * heavy tails, and what helps.
 */
export function pathWarnings(
  logWeights: Float64Array,
  priorLogWeights: Float64Array,
  remedy: string,
): string[] {
  const found = countNonFinite(logWeights) === logWeights.length
    ? ["No sample has a weight: the ESS is 0."]
    : aboutTheTail(logWeights);
  const { ess } = effectiveSampleSizeWithError(logWeights);
  const prior = effectiveSampleSizeWithError(priorLogWeights);
  if (ess < 0.7 * prior.ess) {
    found.push(
      `The ESS of the paths (${percent(ess)}) is below that of the prior alone ` +
        `(${percent(prior.ess)}): paths reach what the prior's samples have missed, log Z of the ` +
        `prior is too low.`,
    );
  }
  if (!(ess >= POOR)) found.push(`The ESS is ${percent(ess)}: ${remedy}.`);
  return found;
}

function aboutThePrior({ priorMissesLabellings, priorNormaliser }: WarningInput): string[] {
  const found: string[] = [];
  if (priorMissesLabellings) {
    found.push(
      "The prior is not averaged over the labellings of identical particles: labellings it does " +
        "not cover are missing from the samples, log Z is then too low, and the sampler's own ESS " +
        "cannot show it.",
    );
  }
  if (priorNormaliser) {
    const { largestError, smallestEss } = priorNormaliser;
    if (smallestEss < NORMALISER_ESS) {
      found.push(
        `A normaliser of the PvMF prior rests on an estimate of ESS ${percent(smallestEss)}: its ` +
          `error (${
            largestError.toPrecision(2)
          }) is not to be trusted, nor are the weights. Prefer ` +
          `mint.family = orbit_vmf, which is exact.`,
      );
    } else if (largestError > NORMALISER_ERROR) {
      found.push(
        `Normalisers of the PvMF prior are known to ± ${
          largestError.toPrecision(2)
        }: log-weights ` +
          `and log Z carry that error, which their own standard errors do not show (raise ` +
          `mint.pvmf.normaliserSamples, or use mint.family = orbit_vmf, which is exact).`,
      );
    }
  }
  return found;
}

/** Above this the chains have not forgotten where they started. */
const LARGEST_R_HAT = 1.01;

function aboutChains({ energy, pairDistance, acceptance }: ChainSummary): string[] {
  const found: string[] = [];
  const named = [["the energy", energy], ["the mean pair distance", pairDistance]] as const;
  for (const [name, { rHat, effectiveDraws }] of named) {
    if (!(rHat < LARGEST_R_HAT)) {
      found.push(
        `Split R-hat of ${name} is ${rHat.toFixed(3)}, above ${LARGEST_R_HAT}: the chains do not ` +
          `agree, their errors are too small, and they are no reference yet.`,
      );
    }
    if (!(effectiveDraws >= 400)) {
      found.push(
        `The chains are worth ${effectiveDraws.toFixed(0)} independent draws of ${name}: fewer ` +
          `than 400.`,
      );
    }
  }
  if (!(acceptance > 0.4)) {
    found.push(
      `HMC accepts ${percent(acceptance)} of its transitions: the step size is too large.`,
    );
  }
  return found;
}

/** Fewer effective ancestors in an island are too few to tell its error by. */
const FEWEST_ANCESTORS = 20;

function aboutIslands(islands: readonly Island[], input: WarningInput): string[] {
  const found: string[] = [];
  const { logZ, logZStdErr, logZSpread, effectiveAncestors } = islandFigures(islands);
  if (effectiveAncestors < FEWEST_ANCESTORS) {
    found.push(
      `An island descends from ${effectiveAncestors.toFixed(1)} effective ancestors: its samples ` +
        `are copies of few prior draws. Larger populations, or more levels, help.`,
    );
  }
  if (islands.length < 5) {
    found.push(`${islands.length} islands: too few to tell the error of log Z by.`);
  } else if (logZSpread > 1) {
    found.push(
      `log Z varies by ${logZSpread.toFixed(2)} from island to island: its mean is biased low.`,
    );
  }
  const { exactLogZ, logWeightsFromReference: backward } = input;
  if (exactLogZ !== undefined && Math.abs(logZ - exactLogZ) > SIGMAS * logZStdErr) {
    found.push(
      `log Z (${plusMinus(logZ, logZStdErr)}) is ${Math.abs(logZ - exactLogZ).toFixed(3)} ` +
        `${logZ < exactLogZ ? "lower" : "higher"} than the exact value ${exactLogZ.toFixed(6)}.`,
    );
  }
  if (exactLogZ === undefined && input.knownLogZ) {
    found.push(...offKnown(logZ, logZStdErr, input.knownLogZ));
  }
  if (backward && backward.length > 0) {
    const upper = eubo(backward);
    if (logZ - upper.mean > SIGMAS * Math.hypot(logZStdErr, upper.standardError)) {
      found.push(
        `log Z from the islands (${plusMinus(logZ, logZStdErr)}) lies above its upper bound from ` +
          `${input.referenceName ?? "the reference samples"} (EUBO ` +
          `${plusMinus(upper.mean, upper.standardError)}).`,
      );
    }
  }
  return found;
}

function aboutTheWeights(logWeights: Float64Array): string[] {
  const n = logWeights.length;
  const found: string[] = [];
  const failed = countNonFinite(logWeights);
  if (failed > 0) {
    found.push(
      `${failed} of ${n} log-weights are not finite; they count as zero weight (+∞ excepted).`,
    );
  }
  if (failed === n) return found;
  if (n < HEADLINE_SAMPLES) {
    found.push(
      `Only ${n} samples: an ESS from fewer than ${HEADLINE_SAMPLES} can miss rare large weights.`,
    );
  }
  return [...found, ...aboutTheTail(logWeights)];
}

function aboutTheTail(logWeights: Float64Array): string[] {
  const n = logWeights.length;
  const found: string[] = [];
  const share = largestWeightShare(logWeights);
  if (share > Math.max(0.01, 20 / n)) {
    found.push(
      `One sample carries ${percent(share)} of the total weight: ESS, log Z and averages rest on ` +
        `few samples.`,
    );
  }
  const { ess } = effectiveSampleSizeWithError(logWeights);
  const median = medianBatchEss(logWeights);
  if (ess < 0.7 * median) {
    found.push(
      `The pooled ESS (${percent(ess)}) is far below the median of its batches ` +
        `(${percent(median)}): the weights have a heavy tail.`,
    );
  }
  if (ess < 0.01) {
    found.push(`The ESS is ${percent(ess)}: too small for its own error to be trusted.`);
  }
  return found;
}

/**
 * Importance sampling needs about e^KL(p ‖ q) samples (Chatterjee and Diaconis, Ann. Appl. Probab. 28,
 * 1099, 2018), with fewer log Z is too low and no figure of the weights alone tells by how much. For a
 * Gaussian W, log Z from n samples lies above the median of W by more than log n just when n is too
 * small; from target samples the divergence is EUBO − log Z. Medians, because a few dead paths say
 * nothing about the others.
 */
function aboutReach(
  { logWeights, logWeightsFromReference, referenceName }: WarningInput,
): string[] {
  const reached = logWeights.filter(Number.isFinite);
  const n = reached.length;
  if (n < 2) return [];
  const found: string[] = [];
  const { logZ } = logPartitionFunction(logWeights);
  const reach = Math.log(n);
  const below = logZ - median(reached);
  const consequence =
    "log Z is then too low by an unknown number of nats, which the ESS does not show";
  if (below > reach) {
    found.push(
      `log Z (${logZ.toFixed(2)}) lies ${
        below.toFixed(1)
      } above the median of the log-weights, more ` +
        `than log n = ${
          reach.toFixed(1)
        }: ${n} samples are too few for weights that differ so much; ` +
        `${consequence}.`,
    );
  }
  const back = logWeightsFromReference?.filter(Number.isFinite) ?? new Float64Array(0);
  if (back.length === 0) return found;
  const upper = median(back);
  if (upper - logZ > reach) {
    found.push(
      `log Z is known only to lie between the medians of the log-weights from both ends, ` +
        `${median(reached).toFixed(1)} and ${upper.toFixed(1)} (${
          referenceName ?? "the reference samples"
        }): about e^${
          (upper - logZ).toFixed(0)
        } samples would be needed, not ${n}; ${consequence}.`,
    );
  }
  return found;
}

function median(values: Float64Array): number {
  return values.toSorted()[values.length >> 1];
}

function fromTheTarget(input: WarningInput): string[] {
  const { logWeights, logWeightsFromReference: backward } = input;
  if (!backward || backward.length === 0) return [];
  const name = input.referenceName ?? "the reference samples";
  const found: string[] = [];
  const failed = countNonFinite(backward);
  if (failed > 0) found.push(`${failed} of ${backward.length} paths from ${name} are not finite.`);

  const own = logPartitionFunction(logWeights);
  const both = logPartitionFromBothEnds(logWeights, backward);
  const logZ = input.exactLogZ ?? (Number.isFinite(both.logZ) ? both.logZ : own.logZ);
  const ess = effectiveSampleSizeWithError(logWeights);
  const fromTarget = essFromReference(backward, logZ);
  const ratio = ess.ess / fromTarget.ess;
  const error = Math.hypot(ess.standardError, fromTarget.standardError);
  if (
    Math.max(ratio, 1 / ratio) > 1.15 &&
    !(Math.abs(ess.ess - fromTarget.ess) <= SIGMAS * error)
  ) {
    const relation = ratio > 1
      ? `${times(ratio)} times the one`
      : `${times(1 / ratio)} times smaller than the one`;
    const meaning = ratio > 1
      ? "the sampler misses, or hardly visits, part of the target"
      : `${name} miss part of what the sampler visits`;
    found.push(
      `The two ESS disagree: the sampler's own (${essText(ess)}) is ${relation} from ${name} ` +
        `(${essText(fromTarget)}): ${meaning}.`,
    );
  }

  const difference = both.logZ - own.logZ;
  const differenceError = Math.hypot(both.standardError, own.standardError);
  if (Math.abs(difference) > Math.max(0.01, SIGMAS * differenceError)) {
    const consequence = difference > 0
      ? `about ${percent(1 - Math.exp(-difference))} of the target is missing from the samples`
      : `weights of unstable steps, or ${name} that miss part of the target`;
    found.push(
      `log Z from the sampler (${plusMinus(own.logZ, own.standardError)}) is ` +
        `${Math.abs(difference).toFixed(3)} ${
          difference > 0 ? "lower" : "higher"
        } than from both ` +
        `ends (${plusMinus(both.logZ, both.standardError)}, Bennett): ${consequence}.`,
    );
  }
  const lower = elbo(logWeights);
  const upper = eubo(backward);
  if (lower.mean - upper.mean > SIGMAS * Math.hypot(lower.standardError, upper.standardError)) {
    found.push(
      `The bounds of log Z contradict each other: ELBO ` +
        `${plusMinus(lower.mean, lower.standardError)} lies above EUBO ` +
        `${plusMinus(upper.mean, upper.standardError)}: ${name} and the sampler are not of the ` +
        `same system.`,
    );
  } else if (
    own.logZ - upper.mean > SIGMAS * Math.hypot(own.standardError, upper.standardError)
  ) {
    found.push(
      `log Z from the sampler (${plusMinus(own.logZ, own.standardError)}) lies above its upper ` +
        `bound from ${name} (EUBO ${plusMinus(upper.mean, upper.standardError)}).`,
    );
  }
  const largest = maxLogWeightFromReference(backward, logZ);
  if (largest > Math.log(logWeights.length)) {
    found.push(
      `${upperFirst(name)} hold a configuration of weight e^${largest.toFixed(1)}: ` +
        `${logWeights.length} samples visit its surroundings less than once on average.`,
    );
  }
  return found;
}

function againstExactLogZ({ logWeights, exactLogZ }: WarningInput): string[] {
  if (exactLogZ === undefined) return [];
  const { logZ, standardError } = logPartitionFunction(logWeights);
  const difference = logZ - exactLogZ;
  if (Math.abs(difference) <= SIGMAS * standardError) return [];
  return [
    `log Z (${plusMinus(logZ, standardError)}) is ${Math.abs(difference).toFixed(3)} ` +
    `${difference < 0 ? "lower" : "higher"} than the exact value ${exactLogZ.toFixed(6)}.`,
  ];
}

function againstKnownLogZ({ logWeights, exactLogZ, knownLogZ }: WarningInput): string[] {
  if (exactLogZ !== undefined || !knownLogZ) return [];
  const { logZ, standardError } = logPartitionFunction(logWeights);
  return offKnown(logZ, standardError, knownLogZ);
}

function offKnown(
  logZ: number,
  standardError: number,
  { value, uncertainty, source }: NonNullable<WarningInput["knownLogZ"]>,
): string[] {
  const difference = logZ - value;
  if (!(Math.abs(difference) > SIGMAS * Math.hypot(standardError, uncertainty))) return [];
  const meaning = difference < 0
    ? `${
      percent(-Math.expm1(difference))
    } of the partition function is missing, whatever the ESS says`
    : "too much: weights of unstable steps";
  return [
    `log Z (${plusMinus(logZ, standardError)}) is ${Math.abs(difference).toFixed(3)} ` +
    `${difference < 0 ? "lower" : "higher"} than ${plusMinus(value, uncertainty)} (${source}): ` +
    `${meaning}.`,
  ];
}

function aboutIdentities(identities: Identities | undefined): string[] {
  if (!identities) return [];
  const { virial, laplacian } = identities;
  const found: string[] = [];
  if (Math.abs(virial.mean - virial.expected) > SIGMAS * virial.standardError) {
    found.push(
      `⟨x·∇U⟩ = ${
        plusMinus(virial.mean, virial.standardError)
      } should be ${virial.expected}, the ` +
        `number of degrees of freedom: the weighted samples are not in equilibrium.`,
    );
  }
  if (Math.abs(laplacian.difference) > SIGMAS * laplacian.standardError) {
    found.push(
      `⟨|∇U|²⟩ − ⟨ΔU⟩ = ${plusMinus(laplacian.difference, laplacian.standardError)} should be 0: ` +
        `the weighted samples are not in equilibrium.`,
    );
  }
  return found;
}

const upperFirst = (text: string) => text[0].toUpperCase() + text.slice(1);

/** What a report is made of. Everything but the configuration and the definition may be missing. */
import type { RunConfig } from "../config/config.ts";
import type { MintModel } from "../mint/model.ts";
import type { ChiralityFigures } from "../sampling/chirality.ts";
import type { ExactValues } from "../sampling/exact.ts";
import type { Identities } from "../sampling/identities.ts";
import type { RamachandranFigures } from "../sampling/ramachandran.ts";

/** One Mint iteration; MintStepReport with its number. */
export interface MintCurvePoint {
  readonly iteration: number;
  readonly loss: number;
  /** ESS fraction of the batch before tempering. */
  readonly ess: number;
  /** Exponent of the tempered weights; 1: not tempered. */
  readonly temperingExponent: number;
  /** log mean e^{−U − log q} over the batch. */
  readonly logZ?: number;
}

/** One Julep iteration, as JulepStepReport. */
export interface JulepCurvePoint {
  readonly iteration: number;
  readonly loss: number;
  /** Path ESS fraction of the iteration's trajectories. */
  readonly ess: number;
  readonly logZ: number;
}

/** Configurations, flat (n, N, dimension), with what is known about each. */
export interface SampleSet {
  readonly positions?: Float32Array | Float64Array;
  readonly energies?: Float64Array;
  /** W of forward paths; without it the set is equally weighted. */
  readonly logWeights?: Float64Array;
}

/** What is told of molecules alone. */
export interface MoleculeFigures {
  /** Molecules with stereocentres. */
  readonly chirality?: ChiralityFigures;
  /** By residue; mirror images folded onto the given handedness. */
  readonly ramachandran?: Readonly<Record<string, RamachandranFigures>>;
}

/** Figures of one evaluation, named as in `evaluate --json`; each may be missing. */
export interface Figures {
  readonly samples?: number;
  readonly steps?: number;
  readonly energyEvaluationsPerSample?: number;
  /** What `ess` counts; "paths" by default (see ForwardFigures in src/run/figures.ts). */
  readonly essOf?: "paths" | "ancestors" | "chains";
  /** Sequential Monte Carlo. */
  readonly islands?: number;
  readonly population?: number;
  readonly resamplings?: number;
  readonly distinctAncestors?: number;
  readonly effectiveAncestors?: number;
  readonly logZSpread?: number;
  readonly finalEss?: number;
  /** Chains. */
  readonly chains?: number;
  readonly draws?: number;
  readonly acceptance?: number;
  readonly rHatEnergy?: number;
  readonly rHatPairDistance?: number;
  readonly autocorrelationTimeEnergy?: number;
  readonly autocorrelationTimePairDistance?: number;
  readonly flowPassesPerSample?: number;
  /** Pooled path ESS, a fraction, as every ESS here. */
  readonly ess?: number;
  readonly essStdErr?: number;
  readonly essMedianOfBatches?: number;
  readonly essFromReference?: number;
  readonly essFromReferenceStdErr?: number;
  readonly largestWeightShare?: number;
  /** Largest W − log Z among the sampler's own paths. */
  readonly maxLogWeight?: number;
  /** Paths that left the finite numbers. */
  readonly nonFiniteWeights?: number;
  readonly maxLogWeightFromReference?: number;
  readonly logZ?: number;
  readonly logZStdErr?: number;
  /** Bennett's estimate from both ends. */
  readonly logZBothEnds?: number;
  readonly logZBothEndsStdErr?: number;
  readonly elbo?: number;
  readonly eubo?: number;
  readonly meanEnergy?: number;
  readonly meanEnergyStdErr?: number;
  readonly meanPairDistance?: number;
  readonly meanPairDistanceStdErr?: number;
  /** With the square root, from that many samples of either set; its floor is that of noise. */
  readonly energyW2?: number;
  readonly energyW2Samples?: number;
  readonly energyW2NoiseFloor?: number | null;
  readonly energyW2Whole?: number;
  readonly energyW2OfHalves?: number | null;
  /** Squared, likewise. */
  readonly distanceW2?: number;
  readonly distanceW2Samples?: number;
  readonly distanceW2NoiseFloor?: number | null;
  /** Evaluations of energies and gradients in training. */
  readonly trainEvaluations?: number;
  readonly trainSeconds?: number;
  /** By stage. */
  readonly trainStageSeconds?: Readonly<Record<string, number>>;
  readonly sampleSeconds?: number;
  readonly molecule?: MoleculeFigures;
}

/** Histograms of (φ, ψ) of one residue, to be shown side by side on one scale. */
export interface RamachandranPicture {
  readonly title: string;
  /** Along each angle. */
  readonly bins: number;
  /** Probability of bins × bins cells of [−π, π)², φ fastest. */
  readonly panels: readonly { readonly name: string; readonly histogram: Float64Array }[];
}

export interface ReportInput {
  readonly config: RunConfig;
  /** The system's canonical line and its hash. */
  readonly definition: string;
  readonly hash: string;
  /** Name and version of the program, backend, workers: one line. */
  readonly madeWith?: string;
  /** The commands that repeat the run, one a line. */
  readonly command?: string;

  /** Name of the method, "julep" by default. */
  readonly method?: string;
  readonly mintCurve?: readonly MintCurvePoint[];
  readonly julepCurve?: readonly JulepCurvePoint[];
  /** Knots of the learned log ε, equally spaced on [0, 1]. */
  readonly logStepSize?: ArrayLike<number>;
  readonly mint?: MintModel;

  readonly prior?: SampleSet;
  readonly samples?: SampleSet;
  readonly reference?: SampleSet;
  /** W of backward paths from the reference samples. */
  readonly logWeightsFromReference?: Float64Array;

  readonly figures?: Figures;
  /** The same steps and prior without the network, at the best constant ε. */
  readonly control?: Figures;
  /** The prior alone, reweighted. */
  readonly mintAlone?: Figures;
  readonly exact?: ExactValues | null;
  readonly identities?: Identities;
  /** Molecules with backbone torsions. */
  readonly ramachandran?: readonly RamachandranPicture[];
  /** From `warnings()`. Undefined: not looked for. */
  readonly warnings?: readonly string[];
}

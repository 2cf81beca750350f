import type { GaussianConfig, MintConfig } from "../config/config.ts";

/**
 * A trained (or initial) Mint prior: plain data, crosses to workers and goes into checkpoints.
 *
 * q(x) = (1 − w)·(1/|G|) Σ_g Σ_k π_k q_k(g x) + w·q_broad(x), w = broadWeight; densities are with
 * respect to the anchored measure ∏_{i≥1} d(x_i − x_0). See docs/method.md section 2.
 */
export interface MintModel {
  /** Which density the components have. */
  readonly family: MintConfig["family"];
  /** K, N, n. */
  readonly components: number;
  /** N. */
  readonly particles: number;
  /** n. */
  readonly dimension: 2 | 3;
  /** Whether q is averaged over the labellings of identicalParticles. */
  readonly symmetrise: boolean;
  /** Groups of interchangeable particles the symmetrisation runs over. */
  readonly identicalParticles: readonly (readonly number[])[];
  /** Particle at the components' first place, the one positions are relative to; absent: 0. */
  readonly anchor?: number;
  /** w, in [0, 1]. */
  readonly broadWeight: number;
  /** Standard deviation per coordinate of the broad Gaussian. */
  readonly broadScale: number;
  /** orbit_gaussian only: what its components are. */
  readonly gaussian?: GaussianConfig;
  /** pvmf only: Metropolis-adjusted steps of a draw. */
  readonly langevinSteps?: number;
  /** pvmf only: the estimated normalisers of the components, a function of `parameters`. */
  readonly normalisers?: Normalisers;
  /**
   * Flat parameters, component after component, each a logit (1) and what its family has (see the
   * family's file). M = N − 1 non-anchor particles; "orbit_vmf": mu (M·n, not normalised),
   * logRadius (M), logSigma (M), logKappa (M), component k at k·(1 + M·(n + 3)).
   */
  readonly parameters: Float64Array;
}

/** A model but for its numbers. */
export type MintShape = Omit<MintModel, "parameters" | "normalisers">;

/** Normalisers estimated by importance sampling, one for each component. */
export interface Normalisers {
  /** log Z of each component, (K). */
  readonly logZ: Float64Array;
  /** Standard error of log Z. */
  readonly error: Float64Array;
  /** ESS of the estimate, a fraction; small: the error itself is not to be trusted. */
  readonly ess: Float64Array;
  /** Laplace's approximation of log Z, not a number where it does not exist. */
  readonly laplace: Float64Array;
  /** ∂log Z/∂(mu, logKappa), (K, M·n + 1). */
  readonly slopes: Float64Array;
}

/** Numbers of one component's parameters in the family "orbit_vmf", its logit included. */
export function mintComponentSize(particles: number, dimension: number): number {
  return 1 + (particles - 1) * (dimension + 3);
}

import type { MintConfig } from "../config/config.ts";

/**
 * A trained (or initial) Mint prior: plain data, crosses to workers and goes into checkpoints.
 *
 * q(x) = (1 − w)·(1/|G|) Σ_g Σ_k π_k q_k(g x) + w·q_broad(x), w = broadWeight; densities are with
 * respect to the anchored measure ∏_{i≥1} d(x_i − x_0). See method.md section 2.
 */
export interface MintModel {
  readonly family: MintConfig["family"];
  /** K, N, n. */
  readonly components: number;
  readonly particles: number;
  readonly dimension: 2 | 3;
  readonly symmetrise: boolean;
  /** Groups of interchangeable particles the symmetrisation runs over. */
  readonly identicalParticles: readonly (readonly number[])[];
  readonly broadWeight: number;
  /** Standard deviation per coordinate of the broad Gaussian. */
  readonly broadScale: number;
  /**
   * Flat parameters, component after component; M = N − 1 non-anchor particles, for each component:
   * logit (1), mu (M·n, not normalised), logRadius (M), logSigma (M), logKappa (M).
   * Component k starts at k·(1 + M·(n + 3)).
   */
  readonly parameters: Float64Array;
}

/** Numbers of one component's parameters. */
export function mintComponentSize(particles: number, dimension: number): number {
  return 1 + (particles - 1) * (dimension + 3);
}

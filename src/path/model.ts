/**
 * An annealing path without a network: K levels that carry prior draws to the target, each with an
 * exact log-weight (docs/method.md sections 3 and 4). Plain data: it crosses to workers and is stored
 * with a run.
 *
 * Level k = 0 … K − 1 has the energy U_k; U_{K−1} is the target's. A path visits x₀ ~ q, then for
 * every level an optional pair flow (Jacobian J_k) and a transition. Paths run with the centre of
 * mass at the origin.
 */

/** Transition of a level; see docs/method.md section 4. */
export type PathKernelName =
  /** OABA, one gradient a level; exact for any force, so clipping costs nothing. */
  | "underdamped"
  /** One HMC transition with full refreshment, L leapfrogs (1: MALA), L + 1 gradients a level. */
  | "adjusted";

/**
 * U_k = ε_k Σ_{i<j} (q² − 2 s_k q) + ½ κ_k |x|², q = 1/(r⁶ + a_k): Lennard-Jones systems only. The
 * prior is the Gaussian N(0, s₂) of the centre-of-mass-free subspace; q(x) ∝ exp(−|x|²/(2 s₂)).
 */
export interface PairPathLevels {
  /** Which levels these are. */
  readonly kind: "pair_path";
  /** s₂: variance per coordinate of the prior, length². */
  readonly priorVariance: number;
  /** ε_k, (K); the last is the system's ε. */
  readonly depth: Float64Array;
  /** s_k, (K); the last is 1. */
  readonly attraction: Float64Array;
  /** a_k, (K), length⁶; the last is 0. */
  readonly softness: Float64Array;
  /** κ_k, (K); the last is the system's oscillator. */
  readonly confinement: Float64Array;
  /**
   * R, length: what a level's confinement has beyond the target's saturates at this distance from the
   * centre of mass, ½ κ |x_i|² + ½ (κ_k − κ) |x_i|²/(1 + |x_i|²/R²) for each particle with κ = κ_{K−1};
   * null or absent: nowhere. A particle that has left the cluster then feels the target's own confinement.
   */
  readonly saturation?: number | null;
}

/**
 * U_k = (1 − t_k)(−log q) + t_k U_t, q the Mint prior the executor was prepared with, U_t the
 * system's own soft core: any system.
 */
export interface MixtureLevels {
  /** Which levels these are. */
  readonly kind: "mixture";
  /** t_k, (K), rising, in (0, 1]; the last is 1. */
  readonly times: Float64Array;
}

/**
 * Radial maps of the pair flow, one table a level. A sweep visits all pairs (in the order of pairOrder,
 * flow.ts; from its end on odd levels) and moves r = |x_i − x_j| to R_k(r) with the midpoint held. R_k is linear within
 * cells of `width`, and proportional to r beyond the last node.
 */
export interface PairFlow {
  /** Cells of a table. */
  readonly cells: number;
  /** Width of a cell, length. */
  readonly width: number;
  /** R_k at nodes 0, width, …, cells·width: (K, cells + 1), rising from 0. */
  readonly tables: Float64Array;
}

/** The levels, and how a path gets from one to the next. */
export interface PathModel {
  /** Transition of every level. */
  readonly kernel: PathKernelName;
  /** L of the adjusted kernel, at least 1; 0 for the underdamped one. */
  readonly leapfrogs: number;
  /** U_k. */
  readonly levels: PairPathLevels | MixtureLevels;
  /** Δ_k: time step of the moves of level k, (K). Masses are 1, so it is a length. */
  readonly stepSize: Float64Array;
  /**
   * γ_k: friction, (K). Every m-th level k refreshes the velocities along one axis, k/m mod n, which
   * keep e^{−nmγΔ} of themselves, m = refreshInterval: random numbers for all axes at every level would
   * cost more than the forces. Not used by the adjusted kernel.
   */
  readonly friction: Float64Array;
  /** m ≥ 1; default 1. */
  readonly refreshInterval?: number;
  /** c_k: F_i → F_i/√(1 + |F_i|²/c²), (K); 0: no clipping. */
  readonly clip: Float64Array;
  /** Maps between the levels; null: none. */
  readonly flow: PairFlow | null;
}

/** The share e^{−nmγΔ} of its velocity that the refreshed axis keeps at a level; 1: no refreshment. */
export function keptVelocity(path: PathModel, level: number, dimension: 2 | 3): number {
  const { refreshInterval = 1 } = path;
  if (level % refreshInterval !== 0) return 1;
  return Math.exp(-dimension * refreshInterval * path.friction[level] * path.stepSize[level]);
}

/** K. */
export function levelCount(path: PathModel): number {
  return path.stepSize.length;
}

/** Gradient evaluations of one sample along the whole path. */
export function gradientsPerSample(path: PathModel): number {
  return levelCount(path) * (path.kernel === "adjusted" ? path.leapfrogs + 1 : 1);
}

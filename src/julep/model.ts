import type { WhitenedShape } from "./whitened.ts";
import type { JulepPairPath, PairVelocity } from "./pair_path.ts";
import type { PairFlow } from "../path/model.ts";
import type { DiffusionConfig, JulepConfig } from "../config/config.ts";

/** The shape of the network; everything a backend needs to lay its weights out. */
export interface NetworkShape {
  /** N. */
  readonly particles: number;
  /** n. */
  readonly dimension: 2 | 3;
  /** L ≥ 1, message-passing layers. */
  readonly layers: number;
  /** H, a multiple of 8. */
  readonly hidden: number;
  /** C, channels of A (0: no matrix head). */
  readonly channels: number;
  /** Lengths are divided by this before they enter the network. */
  readonly lengthScale: number;
  /** Whether a particle is flagged as the anchor, and radii are measured from it. */
  readonly anchored: boolean;
  /** Which one; absent: 0. */
  readonly anchor?: number;
  /** Type of each particle, 0 to T − 1: the network tells types apart; absent: all alike. */
  readonly types?: readonly number[];
  /** b, c and s are multiplied by it; absent: 1. */
  readonly outputScale?: number;
}

/** A trained (or initial) Julep transport: plain data. */
export interface JulepModel {
  /** How translation is removed along the paths. */
  readonly gauge: JulepConfig["gauge"];
  /** The particle held at the origin by the gauge "anchor"; absent: 0. */
  readonly anchor?: number;
  /** c: F → F/√(1 + |F|²/c²) for each particle, alike in both kernels; null: none. */
  readonly forceClip: number | null;
  /** null: no network (plain annealed Langevin dynamics). */
  readonly network: NetworkShape | null;
  /** Whether b acts. */
  readonly drift: boolean;
  /** Whether c acts. */
  readonly evenDrift: boolean;
  /** Whether A acts, and which signs s may take. */
  readonly matrix: "none" | "signed" | "positive";
  /** The network in whitened internal coordinates of a molecule, in place of `network`. */
  readonly whitened?: WhitenedShape;
  /** Parameters in the layout of egnn.ts, or of whitened.ts; empty without a network. */
  readonly parameters: Float64Array;
  /** Knots of log ε on equally spaced times in [0, 1]. */
  readonly logStepSize: Float64Array;
  /** A cluster's own annealing path in place of U_t; absent: the system's. */
  readonly path?: JulepPairPath;
  /** A fitted drift beside the network's b; absent: none. */
  readonly pairDrift?: PairVelocity;
  /**
   * A pair flow: every step first moves x to F(x), stretch k of K equal stretches of time by table k
   * (stepFlow, pair_path.ts); absent: none.
   */
  readonly pairFlow?: PairFlow;
  /** A comparator's kernels in place of Julep's (diffusion.ts); absent: Julep. */
  readonly diffusion?: Pick<
    DiffusionConfig,
    "kind" | "targetForce" | "stiffness" | "proximalSteps" | "adjointClip"
  >;
}

/**
 * Paths for Lennard-Jones clusters: the one tuned on LJ-13 (ε = 2, 100 levels, underdamped, with the
 * pair flow; CMA-ES on log knots) and the rule that carries it to other sizes and numbers of levels.
 */
import type { LennardJonesConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { type ClusterKnots, forwardKnots, twoSidedKnots } from "./cluster_knots.ts";
import { interpolateKnots } from "./knots.ts";
import type { PathKernelName, PathModel } from "./model.ts";

/** What the path was tuned for; see ClusterPathOptions. */
export type ClusterVariant = "tuned" | "robust" | "two_sided";

/** What a cluster's path is made by. */
export interface ClusterPathOptions {
  /** Transition of every level. */
  readonly kernel: PathKernelName;
  /** K. */
  readonly levels: number;
  /** adjusted only; default 4. */
  readonly leapfrogs?: number;
  /**
   * "tuned": as optimised for path ESS (LJ-13 only); "robust": weaker confinement, whose weights have
   * lighter tails; "two_sided": optimised for the ESS from both ends, with a confinement that saturates.
   * Default "robust". Sizes away from 13 loosen all further.
   */
  readonly variant?: ClusterVariant;
  /** Factor on every step size; default: for long underdamped paths (K/100)^−0.5, two_sided (K/100)^−0.25; 1.5 for adjusted. */
  readonly stepFactor?: number;
  /** s₂ and the exponent of the confinement k → k^p, in place of the rule's. */
  readonly priorVariance?: number;
  /** p of the confinement k → k^p. */
  readonly confinementExponent?: number;
  /** R of the confinement's saturation (see PairPathLevels), length, null: none; default: the rule's. */
  readonly saturation?: number | null;
}

export interface ClusterRule {
  /** s₂. */
  readonly priorVariance: number;
  /** p of k → k^p. */
  readonly confinementExponent: number;
  /** R, or null. */
  readonly saturation: number | null;
  /** On the knots' clip. */
  readonly clipFactor: number;
}

/** log N on a scale where 13 is 0 and 55 is 1, the sizes that were measured. */
function sizeOf(particles: number): number {
  return Math.log(particles / 13) / Math.log(55 / 13);
}

/**
 * What a path for N particles is made with: measured at N = 13 (p and s₂ 1 and .45; robust .8 and .48;
 * two_sided 1 and .432 with its own knots) and N = 55 (.25 and 1; two_sided with the others' knots, but
 * four times their clip), linear in log N between and beyond.
 */
export function clusterRule(particles: number, variant: ClusterVariant): ClusterRule {
  const size = sizeOf(particles);
  const both = variant === "two_sided";
  const [p13, s13] = both ? [1, 0.432] : variant === "tuned" ? [1, 0.45] : [0.8, 0.48];
  return {
    priorVariance: s13 * (1 / s13) ** size,
    confinementExponent: Math.min(1, Math.max(0, p13 + (0.25 - p13) * size)),
    saturation: both ? 5.8 * Math.cbrt(particles / 13) : null,
    clipFactor: both ? 4 ** Math.max(0, size) : 1,
  };
}

/**
 * The path for a Lennard-Jones system, without a flow. Throws InputError for a system that nothing
 * holds together (oscillator 0), or for numbers out of range.
 */
export function clusterPath(system: LennardJonesConfig, options: ClusterPathOptions): PathModel {
  const { kernel, levels: K, variant = "robust" } = options;
  if (!Number.isSafeInteger(K) || K < 2) {
    throw new InputError(`path.levels must be an integer >= 2, got ${K}`);
  }
  const leapfrogs = kernel === "adjusted" ? options.leapfrogs ?? 4 : 0;
  if (!Number.isSafeInteger(leapfrogs) || (kernel === "adjusted" && leapfrogs < 1)) {
    throw new InputError(`path.leapfrogs must be an integer >= 1, got ${leapfrogs}`);
  }
  if (!(system.oscillator > 0)) {
    throw new InputError(
      `system.oscillator must be above 0 for a cluster path, got ${system.oscillator}`,
    );
  }
  const rule = clusterRule(system.particles, variant);
  const {
    priorVariance = rule.priorVariance,
    confinementExponent = rule.confinementExponent,
    saturation = rule.saturation,
  } = options;
  const stepFactor = options.stepFactor ??
    (kernel === "adjusted"
      ? 1.5
      : Math.min(1, (K / 100) ** (variant === "two_sided" ? -0.25 : -0.5)));
  const at = Float64Array.from({ length: K }, (_, k) => k / (K - 1));
  const read = (from: ClusterKnots, what: Exclude<keyof ClusterKnots, "places">) =>
    interpolateKnots(from.places, from[what], at);
  const share = variant === "two_sided"
    ? 1 - Math.min(1, Math.max(0, sizeOf(system.particles)))
    : 0;
  const knots = (what: Exclude<keyof ClusterKnots, "places">): Float64Array => {
    if (share === 0) return read(forwardKnots, what);
    const own = read(twoSidedKnots, what);
    return share === 1
      ? own
      : read(forwardKnots, what).map((v, k) => v ** (1 - share) * own[k] ** share);
  };
  // Between the last two knots everything goes to the target; the target itself has no soft core.
  const softness = knots("softness");
  softness[K - 1] = 0;
  return {
    kernel,
    leapfrogs,
    levels: {
      kind: "pair_path",
      priorVariance,
      depth: knots("depth").map((e) => system.epsilon * e),
      attraction: knots("attraction"),
      softness,
      confinement: knots("confinement").map((k) => system.oscillator * k ** confinementExponent),
      saturation,
    },
    stepSize: knots("stepSize").map((d) => stepFactor * d),
    friction: knots("friction"),
    // Long paths have short levels: the friction's time is that of many of them. Never every level: the
    // random numbers of LJ-13 cost half its forces, and half of them do no harm (log Z − median W 1.66
    // against 1.68 at 100 levels).
    refreshInterval: Math.max(2, Math.round(K / 200)),
    // An adjusted transition rejects what a clipped force would have tamed.
    clip: kernel === "adjusted"
      ? new Float64Array(K)
      : knots("clip").map((c) => rule.clipFactor * c),
    flow: null,
  };
}

/**
 * Paths for Lennard-Jones clusters: the one tuned on LJ-13 (ε = 2, 100 levels, underdamped, with the
 * pair flow; CMA-ES on log knots) and the rule that carries it to other sizes and numbers of levels.
 */
import type { LennardJonesConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { interpolateKnots } from "./knots.ts";
import type { PathKernelName, PathModel } from "./model.ts";

/** Where the knots stand: level / 99 of the tuned path. */
const PLACES = [0, 7, 10, 16, 26, 35, 43, 53, 56, 59, 63, 72, 74, 75, 76, 77, 78, 80, 99]
  .map((level) => level / 99);

/** Knots, linear in their logarithms between; depth and confinement in units of the system's own. */
const KNOTS = {
  // deno-fmt-ignore
  depth: [0.0259, 0.051, 0.0604, 0.0764, 0.0943, 0.117, 0.142, 0.167, 0.181, 0.205, 0.278, 0.403,
    0.444, 0.478, 0.543, 0.724, 0.857, 0.892, 1],
  // deno-fmt-ignore
  attraction: [1.02, 1.18, 1.22, 1.29, 1.39, 1.53, 1.67, 1.83, 1.84, 1.71, 1.54, 1.38, 1.34, 1.31,
    1.25, 1.09, 1.01, 0.986, 1],
  // deno-fmt-ignore
  softness: [0.263, 0.201, 0.188, 0.172, 0.149, 0.142, 0.135, 0.129, 0.117, 0.0867, 0.0549, 0.0344,
    0.0285, 0.0239, 0.0162, 0.0053, 0.00273, 0.00232, 0.0004],
  // deno-fmt-ignore
  confinement: [2.7, 2.92, 2.98, 3.06, 3.19, 3.34, 2.98, 2.64, 2.5, 2.28, 1.99, 1.63, 1.55, 1.48,
    1.36, 1.05, 0.905, 0.873, 1],
  // deno-fmt-ignore
  stepSize: [0.0707, 0.0651, 0.0638, 0.062, 0.0586, 0.0473, 0.0388, 0.0318, 0.0299, 0.0291, 0.0279,
    0.0267, 0.0254, 0.024, 0.0212, 0.0147, 0.0119, 0.0113, 0.0113],
  // deno-fmt-ignore
  friction: [1.81, 2.64, 2.9, 3.31, 4.07, 5.24, 6.61, 8.35, 8.75, 8.37, 7.81, 7.28, 7.14, 7.04, 6.84,
    6.27, 5.95, 5.87, 5.87],
  // deno-fmt-ignore
  clip: [20.8, 28.9, 31.3, 35.1, 42.2, 52.6, 64.4, 79.1, 85.2, 91.7, 102, 115, 118, 121, 126, 145,
    158, 161, 161],
} as const;

export interface ClusterPathOptions {
  readonly kernel: PathKernelName;
  /** K. */
  readonly levels: number;
  /** adjusted only; default 4. */
  readonly leapfrogs?: number;
  /**
   * "tuned": as optimised for path ESS (LJ-13 only); "robust": weaker confinement, whose weights have
   * lighter tails. Default "robust". Sizes away from 13 loosen both further.
   */
  readonly variant?: "tuned" | "robust";
  /** Factor on every step size; default: (K/100)^−0.5 for long underdamped paths, 1.5 for adjusted. */
  readonly stepFactor?: number;
  /** s₂ and the exponent of the confinement k → k^p, in place of the rule's. */
  readonly priorVariance?: number;
  readonly confinementExponent?: number;
  /** R of the confinement's saturation (see PairPathLevels), length; null: none. */
  readonly saturation?: number | null;
}

/**
 * s₂ and the exponent p of k → k^p for N particles: measured at N = 13 (1 and .45; robust .8 and .48)
 * and N = 55 (.25 and 1), linear in log N between and beyond.
 */
export function clusterRule(
  particles: number,
  variant: "tuned" | "robust",
): { priorVariance: number; confinementExponent: number } {
  const size = Math.log(particles / 13) / Math.log(55 / 13);
  const [p13, s13] = variant === "tuned" ? [1, 0.45] : [0.8, 0.48];
  return {
    priorVariance: s13 * (1 / s13) ** size,
    confinementExponent: Math.min(1, Math.max(0, p13 + (0.25 - p13) * size)),
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
  const { priorVariance = rule.priorVariance, confinementExponent = rule.confinementExponent } =
    options;
  const stepFactor = options.stepFactor ??
    (kernel === "adjusted" ? 1.5 : Math.min(1, (K / 100) ** -0.5));
  const at = Float64Array.from({ length: K }, (_, k) => k / (K - 1));
  const knots = (values: readonly number[]) => interpolateKnots(PLACES, values, at);
  // Between the last two knots everything goes to the target; the target itself has no soft core.
  const softness = knots(KNOTS.softness);
  softness[K - 1] = 0;
  return {
    kernel,
    leapfrogs,
    levels: {
      kind: "pair_path",
      priorVariance,
      depth: knots(KNOTS.depth).map((e) => system.epsilon * e),
      attraction: knots(KNOTS.attraction),
      softness,
      confinement: knots(KNOTS.confinement).map((k) =>
        system.oscillator * k ** confinementExponent
      ),
      saturation: options.saturation ?? null,
    },
    stepSize: knots(KNOTS.stepSize).map((d) => stepFactor * d),
    friction: knots(KNOTS.friction),
    // Long paths have short levels: the friction's time is that of many of them.
    refreshInterval: Math.max(1, Math.round(K / 200)),
    // An adjusted transition rejects what a clipped force would have tamed.
    clip: kernel === "adjusted" ? new Float64Array(K) : knots(KNOTS.clip),
    flow: null,
  };
}

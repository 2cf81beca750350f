/** A path bent by factors: what `tune` searches for, and what a run then keeps. */
import { InputError } from "../errors.ts";
import type { PathModel } from "./model.ts";

/** Knots of a factor's logarithm, equally spaced along the path, linear between. */
const KNOTS = 4;

/** Factors with knots along the whole path, and those that must end at 1, on the target. */
const free = ["stepSize", "friction"] as const;
const bound = ["depth", "attraction", "softness", "confinement"] as const;

/**
 * How many numbers tune a path: (logarithms of) step size and friction along it; on a pair path also
 * depth, attraction, softness and confinement, and the prior's variance; on a mixture the exponent of
 * its times.
 */
export function tuningSize(path: PathModel): number {
  const own = path.levels.kind === "pair_path" ? bound.length * KNOTS + 1 : 1;
  return free.length * KNOTS + own;
}

/**
 * The path with factors e^{knots}: all zero gives it back. What belongs to the target stays as it is
 * at the last level; the flow, which belonged to the old levels, is dropped.
 *
 * @throws InputError where `tuning` has another length than `tuningSize`
 */
export function tunedPath(path: PathModel, tuning: ArrayLike<number>): PathModel {
  const size = tuningSize(path);
  if (tuning.length !== size) {
    throw new InputError(`path.tuning must have ${size} numbers, got ${tuning.length}`);
  }
  const K = path.stepSize.length;
  let next = 0;
  const factor = (values: Float64Array, ends: boolean): Float64Array => {
    const from = next;
    next += KNOTS;
    return values.map((v, k) => {
      const place = K > 1 ? k / (K - 1) * (ends ? KNOTS : KNOTS - 1) : 0;
      const j = Math.floor(place);
      const w = place - j;
      // A knot of 0 stands behind the last one where the factor must end at 1.
      const knot = (i: number) => i < KNOTS ? tuning[from + i] : 0;
      return v * Math.exp(w === 0 ? knot(j) : (1 - w) * knot(j) + w * knot(j + 1));
    });
  };
  const stepSize = factor(path.stepSize, false);
  const friction = factor(path.friction, false);
  const { levels } = path;
  if (levels.kind === "mixture") {
    const exponent = Math.exp(tuning[next]);
    const times = levels.times.map((t) => t ** exponent);
    return { ...path, stepSize, friction, levels: { kind: "mixture", times }, flow: null };
  }
  const bent = {
    depth: factor(levels.depth, true),
    attraction: factor(levels.attraction, true),
    softness: factor(levels.softness, true),
    confinement: factor(levels.confinement, true),
  };
  const priorVariance = levels.priorVariance * Math.exp(tuning[next]);
  return {
    ...path,
    stepSize,
    friction,
    levels: { ...levels, priorVariance, ...bent },
    flow: null,
  };
}

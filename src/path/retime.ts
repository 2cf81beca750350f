/** Levels put where they are needed: paths read at other places than their own levels. */
import { interpolateKnots } from "./knots.ts";
import { levelCount, type PathModel } from "./model.ts";

/** Softness 0 (the target's) is read as this between levels; below it has no effect. */
const SOFTEST = 4e-4;
/** Levels that the spread is averaged over, as a fraction of all. */
const SMOOTHING = 0.06;
/**
 * Added to the spread, in units of its mean: half of the levels are spread evenly. Levels also give
 * time to relax, which the spread does not see (LJ-55 with .15: ⟨U⟩ 3 too high at the end).
 */
const FLOOR = 1;

/**
 * The path with `levels` levels redistributed by the spread of the log-weights (the standard
 * deviation of what a level adds to W, as fits and islands give it): their number per unit of the old
 * path is proportional to the smoothed spread plus its mean. Parameters are linear in
 * their logarithms between the old levels. Drops the flow, which belonged to those.
 */
export function retimePath(
  path: PathModel,
  spread: Float64Array,
  levels = levelCount(path),
): PathModel {
  const K = levelCount(path);
  if (spread.length !== K) throw new RangeError(`${K} levels, but ${spread.length} spreads`);
  const half = Math.max(1, Math.round(SMOOTHING * K / 2));
  const smooth = spread.map((_, k) => {
    let sum = 0;
    for (let j = k - half; j <= k + half; j++) sum += spread[Math.min(K - 1, Math.max(0, j))];
    return sum / (2 * half + 1);
  });
  const mean = smooth.reduce((a, b) => a + b, 0) / K;
  const density = smooth.map((s) => mean > 0 ? s / mean + FLOOR : 1);
  const total = density.reduce((a, b) => a + b, 0);
  const places = new Float64Array(levels);
  // Level k of the old path stands for [k, k + 1]; a new level for an equal share of the density.
  let k = 0;
  let before = 0;
  for (let j = 0; j < levels; j++) {
    const wanted = (j + 1) / levels * total;
    while (k < K - 1 && before + density[k] < wanted) before += density[k++];
    places[j] = Math.min(K, k + (wanted - before) / density[k]) - 1;
  }
  places[levels - 1] = K - 1;
  return pathAt(path, places);
}

/** The path at places in [−1, K − 1], k being its own level k and −1 the prior. */
function pathAt(path: PathModel, places: Float64Array): PathModel {
  const K = levelCount(path);
  const own = Float64Array.from({ length: K }, (_, k) => k);
  const read = (values: Float64Array) => interpolateKnots(own, values, places);
  const { levels } = path;
  const clip = path.clip.every((c) => c > 0) ? read(path.clip) : nearest(path.clip, places);
  const model = { ...path, stepSize: read(path.stepSize), friction: read(path.friction), clip };
  if (levels.kind === "mixture") {
    return {
      ...model,
      levels: { kind: "mixture", times: linearFromZero(levels.times, places) },
      flow: null,
    };
  }
  const softness = read(levels.softness.map((a) => Math.max(a, SOFTEST)));
  softness[softness.length - 1] = levels.softness[K - 1];
  return {
    ...model,
    levels: {
      ...levels,
      depth: read(levels.depth),
      attraction: read(levels.attraction),
      softness,
      confinement: read(levels.confinement),
    },
    flow: null,
  };
}

const nearest = (values: Float64Array, places: Float64Array) =>
  places.map((p) => values[Math.max(0, Math.round(p))]);

/** Linear between the levels, and between 0 at place −1 and the first. */
function linearFromZero(values: Float64Array, places: Float64Array): Float64Array {
  return places.map((p) => {
    const k = Math.min(values.length - 1, Math.floor(p));
    const low = k < 0 ? 0 : values[k];
    const high = values[Math.min(values.length - 1, k + 1)];
    return low + (high - low) * (p - k);
  });
}

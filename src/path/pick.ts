import { levelCount, type PathModel } from "./model.ts";

/** The path at some of its own levels, in rising order; the flow, which belonged to all, is dropped. */
export function pickLevels(path: PathModel, chosen: Int32Array): PathModel {
  if (chosen[chosen.length - 1] !== levelCount(path) - 1) {
    throw new RangeError("the last level must be among the chosen, or the path misses the target");
  }
  const pick = (values: Float64Array) => Float64Array.from(chosen, (k) => values[k]);
  const { levels } = path;
  return {
    ...path,
    levels: levels.kind === "mixture" ? { kind: "mixture", times: pick(levels.times) } : {
      ...levels,
      depth: pick(levels.depth),
      attraction: pick(levels.attraction),
      softness: pick(levels.softness),
      confinement: pick(levels.confinement),
    },
    stepSize: pick(path.stepSize),
    friction: pick(path.friction),
    clip: pick(path.clip),
    flow: null,
  };
}

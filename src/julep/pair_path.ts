/**
 * A cluster's own annealing path under Julep's kernels: the soft-cored pair levels of docs/method.md
 * section 4 in place of U_t, and a fitted pair drift beside the network's b. The drift is the pair
 * flow's least-squares fit read as a velocity, v_i = Σ_j g_t(r_ij) (x_i − x_j); the kernels move by
 * ±v·Δt, so its weights are exact like any drift's.
 */
import type { LennardJonesConfig } from "../config/config.ts";
import { clusterPath } from "../path/cluster.ts";
import type { PairFlow, PairPathLevels, PathModel } from "../path/model.ts";

/** g at nodes 0, width, …, cells·width, for K equally spaced times from 0 to 1: (K, cells + 1). */
export interface PairVelocity {
  readonly cells: number;
  readonly width: number;
  readonly tables: Float64Array;
}

/** In place of U_t in a JulepModel. Levels and clip stand at K equally spaced times from 0 to 1. */
export interface JulepPairPath {
  readonly levels: PairPathLevels;
  /** c of the force's clip, (K); replaces JulepModel.forceClip. */
  readonly clip: Float64Array;
}

/** Times at which a path's knots are kept. */
const KNOTS = 101;

/** The underdamped path whose levels and flow Julep takes over. */
export function sourcePath(system: LennardJonesConfig, variant: "robust" | "tuned"): PathModel {
  return clusterPath(system, { kernel: "underdamped", levels: KNOTS, variant, stepFactor: 1 });
}

/** Levels and clip of a source path. */
export function julepPairPath(source: PathModel): JulepPairPath {
  if (source.levels.kind !== "pair_path") {
    throw new TypeError("a Julep pair path needs pair levels");
  }
  return { levels: source.levels, clip: source.clip };
}

/**
 * The fitted flow of a source path as a velocity. A sweep of level k moves r to R_k(r) = r (1 + f),
 * each particle by ½ f (x_i − x_j), between the times of levels k − 1 and k.
 */
export function flowVelocity(flow: PairFlow): PairVelocity {
  const { cells, width } = flow;
  const nodes = cells + 1;
  const K = flow.tables.length / nodes;
  const tables = new Float64Array(K * nodes);
  for (let k = 0; k < K; k++) {
    // At a level's time: the mean of the sweeps into it and out of it.
    const next = Math.min(k + 1, K - 1);
    for (let c = 1; c <= cells; c++) {
      const f = 0.5 * (flow.tables[k * nodes + c] + flow.tables[next * nodes + c]) / (c * width) -
        1;
      tables[k * nodes + c] = 0.5 * f * (K - 1);
    }
    tables[k * nodes] = tables[k * nodes + 1];
  }
  return { cells, width, tables };
}

/**
 * ε that gives the Langevin step h = Δ² of the source path's moves Δ, at `steps` equal steps; tried on
 * LJ-13: ½Δ² leaves lag, 1.5Δ² adds error of the discretisation.
 */
export function overdampedStepSizes(source: PathModel, knots: number, steps: number): Float64Array {
  const K = source.stepSize.length;
  return Float64Array.from({ length: knots }, (_, i) => {
    const at = knots === 1 ? (K - 1) >> 1 : Math.round(i * (K - 1) / (knots - 1));
    return source.stepSize[at] ** 2 * steps;
  });
}

/** Rows (ε, s, a, κ) at `times`, (times, 4): the logarithms are linear, a linear. */
export function levelsAt({ levels }: JulepPairPath, times: ArrayLike<number>): Float64Array {
  const { depth, attraction, softness, confinement } = levels;
  const out = new Float64Array(4 * times.length);
  for (let i = 0; i < times.length; i++) {
    const [k, w] = placeOf(depth.length, times[i]);
    const log = (v: Float64Array) => w === 0 ? v[k] : v[k] ** (1 - w) * v[k + 1] ** w;
    out[4 * i] = log(depth);
    out[4 * i + 1] = log(attraction);
    out[4 * i + 2] = w === 0 ? softness[k] : (1 - w) * softness[k] + w * softness[k + 1];
    out[4 * i + 3] = log(confinement);
  }
  return out;
}

/** Values at `times` of numbers (K, width) at equally spaced times: (times, width), linear. */
export function rowsAt(
  values: Float64Array,
  width: number,
  times: ArrayLike<number>,
): Float64Array {
  const K = values.length / width;
  const out = new Float64Array(times.length * width);
  for (let i = 0; i < times.length; i++) {
    const [k, w] = placeOf(K, times[i]);
    for (let c = 0; c < width; c++) {
      const low = values[k * width + c];
      out[i * width + c] = w === 0 ? low : low + w * (values[(k + 1) * width + c] - low);
    }
  }
  return out;
}

/** Knot below t and the weight of the next one. */
function placeOf(knots: number, t: number): [number, number] {
  const place = Math.min(Math.max(t, 0), 1) * (knots - 1);
  const k = Math.min(Math.floor(place), knots - 1);
  return [k, k === knots - 1 ? 0 : place - k];
}

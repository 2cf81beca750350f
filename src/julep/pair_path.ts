/**
 * A cluster's own annealing path under Julep's kernels: the soft-cored pair levels of docs/method.md
 * section 4 in place of U_t, and the fitted pair flow in one of two forms. As a drift beside the
 * network's b it is a velocity, v_i = Σ_j g_t(r_ij) (x_i − x_j); the kernels move by ±v·Δt, so its
 * weights are exact like any drift's. As a flow every step first moves x to F(x), and the step's
 * increment of W gains log|∂F/∂x|.
 */
import type { LennardJonesConfig } from "../config/config.ts";
import { clusterPath, type ClusterVariant } from "../path/cluster.ts";
import { SLOPES } from "../path/fit.ts";
import type { PairFlow, PairPathLevels, PathModel } from "../path/model.ts";

/** g at nodes 0, width, …, cells·width, for K equally spaced times from 0 to 1: (K, cells + 1). */
export interface PairVelocity {
  /** Cells of a table. */
  readonly cells: number;
  /** Width of a cell, length. */
  readonly width: number;
  /** g, 1 / time, (K, cells + 1). */
  readonly tables: Float64Array;
}

/** In place of U_t in a JulepModel. Levels and clip stand at K equally spaced times from 0 to 1. */
export interface JulepPairPath {
  /** U_k; the last is the target's. */
  readonly levels: PairPathLevels;
  /** c of the force's clip, (K); replaces JulepModel.forceClip. */
  readonly clip: Float64Array;
}

/** Times at which a path's knots are kept. */
const KNOTS = 101;

/** The underdamped path whose levels and flow Julep takes over; an exact flow has one a step. */
export function sourcePath(
  system: LennardJonesConfig,
  variant: ClusterVariant,
  levels = KNOTS,
): PathModel {
  return clusterPath(system, { kernel: "underdamped", levels, variant, stepFactor: 1 });
}

/**
 * Levels and clip of a source path: its K levels at times 0 … 1, or with `fromPrior` at 1/K … 1, as
 * its flow has them, which goes from the prior to the first level too.
 */
export function julepPairPath(source: PathModel, fromPrior = false): JulepPairPath {
  const { levels, clip } = source;
  if (levels.kind !== "pair_path") {
    throw new TypeError("a Julep pair path needs pair levels");
  }
  if (!fromPrior) return { levels, clip };
  const withFirst = (v: Float64Array) => Float64Array.of(v[0], ...v);
  return {
    levels: {
      ...levels,
      depth: withFirst(levels.depth),
      attraction: withFirst(levels.attraction),
      softness: withFirst(levels.softness),
      confinement: withFirst(levels.confinement),
    },
    clip: withFirst(clip),
  };
}

/**
 * A flow of K equal stretches of time on another grid: step i, from t_i to t_{i+1}, has the radial
 * map R = r (1 + Σ_k o_k f_k(r)), o_k the part of stretch k that it covers, f_k = R_k/r − 1. Slopes are
 * kept within those of the fit. On K equal steps these are the tables themselves.
 */
export function stepFlow(flow: PairFlow, times: ArrayLike<number>): PairFlow {
  const nodes = flow.cells + 1;
  const K = flow.tables.length / nodes;
  const T = times.length - 1;
  const tables = new Float64Array(T * nodes);
  for (let i = 0; i < T; i++) {
    const [from, to] = [times[i] * K, times[i + 1] * K];
    const table = tables.subarray(i * nodes, (i + 1) * nodes);
    for (let c = 0; c < nodes; c++) table[c] = c * flow.width;
    for (let k = Math.max(0, Math.floor(from)); k < Math.min(K, Math.ceil(to)); k++) {
      const part = Math.min(to, k + 1) - Math.max(from, k);
      // Rounded times: a neighbour's hair's breadth.
      if (part < 1e-9) continue;
      for (let c = 0; c < nodes; c++) {
        table[c] += part * (flow.tables[k * nodes + c] - c * flow.width);
      }
    }
    let before = 0;
    for (let c = 1; c < nodes; c++) {
      const slope = (table[c] - before) / flow.width;
      before = table[c];
      table[c] = table[c - 1] +
        Math.min(SLOPES[1], Math.max(SLOPES[0], slope)) * flow.width;
    }
  }
  return { cells: flow.cells, width: flow.width, tables };
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
 * ε that gives the Langevin step h = factor·Δ² of the source path's moves Δ, at `steps` equal steps;
 * tried on LJ-13: with the drift ½Δ² leaves lag, 1.5Δ² adds error of the discretisation; the exact
 * flow leaves less to relax (EXACT_FLOW_STEP).
 */
export function overdampedStepSizes(
  source: PathModel,
  knots: number,
  steps: number,
  factor = 1,
): Float64Array {
  const K = source.stepSize.length;
  return Float64Array.from({ length: knots }, (_, i) => {
    const at = knots === 1 ? (K - 1) >> 1 : Math.round(i * (K - 1) / (knots - 1));
    return factor * source.stepSize[at] ** 2 * steps;
  });
}

/** h/Δ² to start from with the exact flow: of .15, .25, .4, .55, 1 the best on LJ-13, 100 steps. */
export const EXACT_FLOW_STEP = 0.4;

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

// Annealed paths on populations of blocks of four systems (lane = system), level by level: the pair
// flow, then an underdamped (OABA) or an adjusted (HMC) transition, with what W + U gains in float64
// (docs/method.md section 4). The float64 oracle is src/backends/reference/path.ts.
import { accumulate, fma, fnma, LANES } from "./simd";
import { normals, thriftyNormals } from "./threefry";
import {
  countersPerLevel, hmcFrom, hmcGradient, hmcScratch, hmcTransition, RESULTS,
} from "./hmc";
import {
  centre, clipAndMean, clippedEnergy, GRADIENT_MEAN, levelEnergy, Levels, rowOf,
} from "./level_energy";
import { kickedLennardJones, setKickedLevel } from "./pair_energies";
import { KICK_MEAN, kickProducts, kickSquares } from "./pair_kick";
import { kick, moveAlong, SQUARES } from "./underdamped";
import {
  inversePairFlow, PairFlow, pairFlow, pairFlowWith, SECOND, twoPairFlows,
} from "./pair_flow";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/path.ts). */
@unmanaged
class PathJob {
  levels: usize;
  /** 0: no flow. */
  flow: usize;
  /** Leapfrogs of an adjusted transition; 0: underdamped. */
  leapfrogs: i32;
  key0: u32;
  key1: u32;
  /** The population: blocks, number of its first sample. */
  blocks: i32;
  first: u32;
  /**
   * (blocks, N, n) f32x4 each. Velocities are the underdamped kernel's: those after the whole kick of
   * the level at hand, whose second half counts, with `gains`, when the level is completed.
   */
  x: usize;
  v: usize;
  /** f32[4·blocks]: what W + U gains by the second half of the kick. */
  gains: usize;
  /** f64[4·blocks]: W + U. */
  accumulated: usize;
  /** f32[4·blocks]: U_k where the level's weight is taken. */
  energies: usize;
  /** f32[4·blocks]: acceptance probabilities of the last level. */
  acceptance: usize;
  scratch: usize;
  /** m of PathModel.refreshInterval. */
  refreshInterval: i32;
  /** (blocks, 3) f32x4: the mean velocity that the last kick left in v, to be taken off by `move`. */
  means: usize;
}

// Σ d·v of a kick, d its half; Σ d² goes to SQUARES.
const PRODUCTS = memory.data(16, 16);

/** Bytes of PathJob.scratch. */
export function pathScratchBytes(N: i32, n: i32): i32 { return hmcScratch(N * n); }

/**
 * v ← v − mean; then, where the level refreshes an axis (PathModel.friction) and `refreshing`, along it
 * v ← ηv + √(1 − η²) ξ with ξ centred. x moves for the time `before` with the velocities before that and
 * for `after` with those after. The centre of mass is set for the energy at x; the mean becomes zero.
 */
function move(
  job: PathJob, level: i32, block: i32, x: usize, v: usize, before: f32, after: f32, refreshing: bool,
): void {
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const row = rowOf(levels, level);
  const mean = meanOf(job, block);
  if (!refreshing || load<f32>(row, 24) == 0) {
    if (n == 3) moveAlong(3, -1, x, v, 0, row, mean, before, after, N);
    else moveAlong(2, -1, x, v, 0, row, mean, before, after, N);
    return;
  }
  const noise = job.scratch + (<usize>(N * n) << 4);
  const counter = <u32>level * countersPerLevel(N * n);
  thriftyNormals(noise, N - 1, job.key0, job.key1, sampleOf(job, block), counter);
  const axis = level / job.refreshInterval % n;
  if (n == 3) {
    if (axis == 0) moveAlong(3, 0, x, v, noise, row, mean, before, after, N);
    else if (axis == 1) moveAlong(3, 1, x, v, noise, row, mean, before, after, N);
    else moveAlong(3, 2, x, v, noise, row, mean, before, after, N);
  } else if (axis == 0) moveAlong(2, 0, x, v, noise, row, mean, before, after, N);
  else moveAlong(2, 1, x, v, noise, row, mean, before, after, N);
}

/** Before kickAt, for all blocks. */
function prepareKicks(levels: Levels, level: i32, factor: f32): void {
  const row = rowOf(levels, level);
  if (!isKicked(levels, row)) return;
  const target = load<f32>(levels.rows, 16);
  setKickedLevel(row, target, load<f32>(levels.rows, 20), load<f32>(row, 28), factor);
}

/**
 * The kick of an underdamped transition by twice `factor` times the level's clipped gradient, at an x
 * that `move` went to. Returns U_k; PRODUCTS ← Σ d·v of the v before, SQUARES ← Σ d², d the half kick.
 * `gradient` is clear, and left so, where `isKicked`; prepareKicks was called.
 */
// @ts-ignore: decorator
@inline function kickAt(
  job: PathJob, level: i32, block: i32, x: usize, v: usize, factor: f32, gradient: usize,
): v128 {
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const row = rowOf(levels, level);
  if (!isKicked(levels, row)) {
    const energy = clippedEnergy(levels, level, x, gradient);
    v128.store(PRODUCTS, kick(v, gradient, N, levels.dimension, factor));
    return energy;
  }
  const energy = kickedLennardJones(row, load<f32>(levels.rows, 20) != 0, x, gradient, v, N);
  const mean = meanOf(job, block);
  v128.store(mean, v128.load(KICK_MEAN));
  v128.store(mean, v128.load(KICK_MEAN, 16), 16);
  v128.store(mean, v128.load(KICK_MEAN, 32), 32);
  v128.store(PRODUCTS, f32x4.mul(f32x4.splat(0.5), kickProducts()));
  v128.store(SQUARES, f32x4.mul(f32x4.splat(0.25), kickSquares()));
  return energy;
}

/** Whether force and kick are one pass: pair paths at levels with pairs. */
// @ts-ignore: decorator
@inline function isKicked(levels: Levels, row: usize): bool {
  return levels.kind == 0 && load<f32>(row) != 0;
}

/** Where a block's mean velocity is; n f32x4. */
// @ts-ignore: decorator
@inline function meanOf(job: PathJob, block: i32): usize { return job.means + <usize>block * 48; }

/** Clears N·n f32x4. */
function clear(at: usize, levels: Levels): void {
  const zero = f32x4.splat(0);
  const end = at + (<usize>(levels.particles * levels.dimension) << 4);
  for (; at < end; at += 16) v128.store(at, zero);
}

// @ts-ignore: decorator
@inline function scale(v: usize, size: usize, factor: f32): void {
  const by = f32x4.splat(factor);
  for (let a: usize = 0; a < size; a += 16) v128.store(v + a, f32x4.mul(by, v128.load(v + a)));
}

// @ts-ignore: decorator
@inline function sampleOf(job: PathJob, block: i32): v128 {
  return i32x4.add(i32x4.splat(job.first + block * LANES), i32x4(0, 1, 2, 3));
}

/** Velocities of all blocks: normals of the counters of `level`. */
export function pathVelocities(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = levels.particles * levels.dimension;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const counter = <u32>level * countersPerLevel(size);
    normals(v, size, job.key0, job.key1, sampleOf(job, block), counter);
    centre(v, levels.particles, levels.dimension);
    v += <usize>size << 4;
  }
}

/** Standard normals without a centre-of-mass part, times `factor`: draws of a pair path's prior. */
export function pathPrior(address: usize, key0: u32, key1: u32, factor: f32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = levels.particles * levels.dimension;
  let x = job.x;
  for (let block = 0; block < job.blocks; block++) {
    normals(x, size, key0, key1, sampleOf(job, block), 0);
    centre(x, levels.particles, levels.dimension);
    scale(x, <usize>size << 4, factor);
    x += <usize>size << 4;
  }
}

function adjusted(job: PathJob, levels: Levels, level: i32, block: i32, x: usize): void {
  const size = levels.particles * levels.dimension;
  const dt = f32x4.splat(load<f32>(rowOf(levels, level), 16));
  hmcTransition(
    levels, level, x, dt, true, 0, job.leapfrogs, job.key0, job.key1, sampleOf(job, block),
    <u32>level * countersPerLevel(size), job.scratch,
  );
  v128.store(job.acceptance + (<usize>block << 4), v128.load(RESULTS, 32));
}

/** Whether x has yet to flow: two blocks do so together, with the first of them. */
// @ts-ignore: decorator
@inline function isFlowDue(block: i32): bool { return (block & 1) == 0; }

/** log|J| of the sweep of a block that has flowed or does so here; blocks come in order. */
// @ts-ignore: decorator
@inline function flowOf(job: PathJob, level: i32, block: i32, x: usize, size: usize): v128 {
  if (!isFlowDue(block)) return v128.load(SECOND);
  const flow = changetype<PairFlow>(job.flow);
  if (block + 1 == job.blocks) return pairFlow(flow, level, x);
  return twoPairFlows(flow, level, x, x + size);
}

/**
 * Flow and transition of `level`, as far as the point where its weight is taken; before it the rest of
 * the transition of level `last`, −1 for none.
 */
export function pathAdvance(address: usize, level: i32, last: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const dt = load<f32>(rowOf(levels, level), 16);
  const late: f32 = last < 0 ? 0 : 0.5 * load<f32>(rowOf(levels, last), 16);
  const gradient = job.scratch;
  clear(gradient, levels);
  prepareKicks(levels, level, -0.5 * dt);
  let x = job.x;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const energies = job.energies + (<usize>block << 4);
    const gains = job.gains + (<usize>block << 4);
    let gained = f32x4.splat(0);
    if (job.leapfrogs) {
      if (job.flow) gained = flowOf(job, level, block, x, size);
      adjusted(job, levels, level, block, x);
      const after = v128.load(RESULTS, 16);
      gained = f32x4.add(gained, f32x4.sub(after, v128.load(RESULTS)));
      v128.store(energies, after);
    } else {
      if (last >= 0) gained = v128.load(gains);
      let behind = late;
      if (job.flow) {
        behind = 0;
        if (last >= 0 && isFlowDue(block)) {
          move(job, last, block, x, v, late, 0, false);
          if (block + 1 < job.blocks) move(job, last, block + 1, x + size, v + size, late, 0, false);
        }
        gained = f32x4.add(gained, flowOf(job, level, block, x, size));
      }
      move(job, level, block, x, v, behind, 0.5 * dt, true);
      v128.store(energies, kickAt(job, level, block, x, v, -0.5 * dt, gradient));
      gained = f32x4.add(gained, storeGains(gains));
      v += size;
    }
    accumulate(job.accumulated + (<usize>block << 5), gained);
    x += size;
  }
}

/** What W + U gains by the second half of a kick to `gains`; returns what it gains by the first. */
// @ts-ignore: decorator
@inline function storeGains(gains: usize): v128 {
  const squares = v128.load(SQUARES);
  const first = fnma(f32x4.splat(0.5), squares, f32x4.neg(v128.load(PRODUCTS)));
  v128.store(gains, f32x4.sub(first, squares));
  return first;
}

/**
 * `transitions` HMC transitions of every sample for U_k at the point that pathAdvance stopped at; W
 * stays. The half kick still to come is that of the new positions.
 */
export function pathMove(
  address: usize, level: i32, transitions: i32, leapfrogs: i32, stepFactor: f32, key0: u32, key1: u32,
): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const row = rowOf(levels, level);
  const dt = load<f32>(row, 16);
  const clip = load<f32>(row, 28);
  const step = f32x4.splat(stepFactor * dt);
  const known = hmcGradient(job.scratch, N * n);
  let x = job.x;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const energies = job.energies + (<usize>block << 4);
    const before = levelEnergy(levels, level, x, known);
    if (!job.leapfrogs) addHalfKick(v, known, clip, 0.5 * dt, job.scratch, N, n);
    let energy = before;
    for (let move = 0; move < transitions; move++) {
      hmcFrom(
        levels, level, x, energy, step, leapfrogs, key0, key1, sampleOf(job, block),
        <u32>(level * transitions + move) * countersPerLevel(N * n), job.scratch,
      );
      energy = v128.load(RESULTS, 16);
    }
    v128.store(energies, energy);
    accumulate(job.accumulated + (<usize>block << 5), f32x4.sub(energy, before));
    if (!job.leapfrogs) {
      const lost = addHalfKick(v, known, clip, -0.5 * dt, job.scratch, N, n);
      v128.store(job.gains + (<usize>block << 4), lost);
      v += size;
    }
    x += size;
  }
}

/**
 * v ← v + d, d = factor·∂U/∂x clipped; returns −Σ d·(v + ½ d) of the v before, the kinetic energy lost.
 * `gradient`, not clipped, stays. scratch: N·n f32x4.
 */
function addHalfKick(
  v: usize, gradient: usize, clip: f32, factor: f32, scratch: usize, N: i32, n: i32,
): v128 {
  clipAndMean(gradient, scratch, N, n, clip);
  if (clip != 0) gradient = scratch;
  return n == 3 ? halfKick(3, v, gradient, factor, N) : halfKick(2, v, gradient, factor, N);
}

// @ts-ignore: decorator
@inline function halfKick(n: i32, v: usize, force: usize, factor: f32, N: i32): v128 {
  const stride = <usize>n << 4;
  const half = f32x4.splat(0.5);
  const by = f32x4.splat(factor);
  const less = f32x4.splat(-factor);
  let lost = f32x4.splat(0);
  for (const end = v + <usize>N * stride; v < end; v += stride, force += stride) {
    for (let a: usize = 0; a < stride; a += 16) {
      const d = fma(by, v128.load(force + a), f32x4.mul(less, v128.load(GRADIENT_MEAN + a)));
      const p = v128.load(v + a);
      lost = fnma(d, fma(half, d, p), lost);
      v128.store(v + a, f32x4.add(p, d));
    }
  }
  return lost;
}

/** The second half of an underdamped transition's kick, and the drift after it. */
export function pathComplete(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  if (job.leapfrogs) return;
  const levels = changetype<Levels>(job.levels);
  const size = <usize>(levels.particles * levels.dimension) << 4;
  const dt = load<f32>(rowOf(levels, level), 16);
  let v = job.v;
  let x = job.x;
  for (let block = 0; block < job.blocks; block++) {
    move(job, level, block, x, v, 0.5 * dt, 0, false);
    accumulate(job.accumulated + (<usize>block << 5), v128.load(job.gains + (<usize>block << 4)));
    v += size;
    x += size;
  }
}

/** The reverse of the whole transition and flow of `level`; W + U gains as on the way there. */
export function pathRetreat(address: usize, level: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const row = rowOf(levels, level);
  const dt = load<f32>(row, 16);
  const gradient = job.scratch;
  clear(gradient, levels);
  prepareKicks(levels, level, 0.5 * dt);
  let x = job.x;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const accumulated = job.accumulated + (<usize>block << 5);
    if (job.leapfrogs) {
      adjusted(job, levels, level, block, x);
      accumulate(accumulated, f32x4.sub(v128.load(RESULTS), v128.load(RESULTS, 16)));
    } else {
      move(job, level, block, x, v, -0.5 * dt, 0, false);
      kickAt(job, level, block, x, v, 0.5 * dt, gradient);
      // The kinetic energy gained here, 2 Σ d·v + 2 Σ d², is what the forward kick loses.
      const gained = f32x4.add(v128.load(PRODUCTS), v128.load(SQUARES));
      accumulate(accumulated, f32x4.mul(f32x4.splat(2), gained));
      move(job, level, block, x, v, -0.5 * dt, 0, true);
      v += size;
    }
    if (job.flow) {
      accumulate(accumulated, inversePairFlow(changetype<PairFlow>(job.flow), level, x));
    }
    x += size;
  }
}

/**
 * Sample s becomes a copy of sample ancestors[s] with W = 0; whoever has descendants keeps its place.
 * ancestors: i32[count].
 */
export function pathResample(address: usize, ancestors: usize, count: i32): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = levels.particles * levels.dimension;
  for (let s = 0; s < count; s++) {
    const ancestor = load<i32>(ancestors + (<usize>s << 2));
    if (ancestor != s) {
      copyLane(job.x, s, ancestor, size);
      copyLane(job.energies, s, ancestor, 1);
      if (!job.leapfrogs) {
        copyLane(job.v, s, ancestor, size);
        copyLane(job.gains, s, ancestor, 1);
        copyLane(job.means, s, ancestor, 3);
      }
    }
    store<f64>(job.accumulated + (<usize>s << 3), load<f32>(job.energies + (<usize>s << 2)));
  }
}

// @ts-ignore: decorator
@inline function laneOf(base: usize, sample: i32, size: i32): usize {
  return base + ((<usize>(sample >> 2) * <usize>size) << 4) + (<usize>(sample & 3) << 2);
}

function copyLane(base: usize, to: i32, from: i32, size: i32): void {
  let source = laneOf(base, from, size);
  let target = laneOf(base, to, size);
  // Four at a time: what is not in the first cache is asked for together.
  for (; size >= 4; size -= 4, target += 64, source += 64) {
    const a = load<f32>(source);
    const b = load<f32>(source, 16);
    const c = load<f32>(source, 32);
    const d = load<f32>(source, 48);
    store<f32>(target, a);
    store<f32>(target, b, 16);
    store<f32>(target, c, 32);
    store<f32>(target, d, 48);
  }
  for (; size > 0; size--, target += 16, source += 16) store<f32>(target, load<f32>(source));
}

/** U_k(x′) − log|J| of the flow of `level` with another table; x is left alone. */
export function pathTryFlow(address: usize, level: i32, table: usize, out: usize): void {
  const job = changetype<PathJob>(address);
  const levels = changetype<Levels>(job.levels);
  const size = <usize>(levels.particles * levels.dimension) << 4;
  const moved = job.scratch;
  let x = job.x;
  for (let block = 0; block < job.blocks; block++) {
    memory.copy(moved, x, size);
    const logDeterminant = pairFlowWith(changetype<PairFlow>(job.flow), table, level, moved);
    const energy = levelEnergy(levels, level, moved, moved + size);
    v128.store(out, f32x4.sub(energy, logDeterminant));
    x += size;
    out += 16;
  }
}

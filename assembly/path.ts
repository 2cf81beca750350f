// Annealed paths on populations of blocks of four systems (lane = system), level by level: the pair
// flow, then an underdamped (OABA) or an adjusted (HMC) transition, with what W + U gains in float64
// (docs/method.md section 4). The float64 oracle is src/backends/reference/path.ts.
import { accumulate, fma, fnma, LANES } from "./simd";
import { normals } from "./threefry";
import {
  countersPerLevel, hmcFrom, hmcGradient, hmcScratch, hmcTransition, RESULTS,
} from "./hmc";
import {
  centre, clippedEnergy, clipForce, GRADIENT_MEAN, isPrepared, levelEnergy, Levels, moveAndPrepare, rowOf,
} from "./level_energy";
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
}

// Σ d² of a kick, d its half.
const SQUARES = memory.data(16, 16);

/** Bytes of PathJob.scratch. */
export function pathScratchBytes(N: i32, n: i32): i32 { return hmcScratch(N * n); }

/**
 * v ← v + 2d, d = factor·(∂U/∂x − its mean), n a literal. Returns Σ d·v of the v before, and Σ d² to
 * SQUARES: the first half of the kick gains Σ d·v + ½ Σ d² of kinetic energy, the second Σ d² more.
 */
// @ts-ignore: decorator
@inline function kickAlong(n: i32, v: usize, gradient: usize, N: i32, factor: f32): v128 {
  const stride: usize = n == 3 ? 48 : 32;
  const by = f32x4.splat(factor);
  const two = f32x4.splat(2);
  const less = f32x4.splat(-factor);
  const shiftX = f32x4.mul(less, v128.load(GRADIENT_MEAN));
  const shiftY = f32x4.mul(less, v128.load(GRADIENT_MEAN, 16));
  const shiftZ = f32x4.mul(less, v128.load(GRADIENT_MEAN, 32));
  const zero = f32x4.splat(0);
  // A sum for each axis: one alone would wait for itself at every step.
  let productsX = zero, productsY = zero, productsZ = zero;
  let squaresX = zero, squaresY = zero, squaresZ = zero;
  for (const end = v + <usize>N * stride; v < end; v += stride, gradient += stride) {
    let d = fma(by, v128.load(gradient), shiftX);
    let p = v128.load(v);
    productsX = fma(d, p, productsX);
    squaresX = fma(d, d, squaresX);
    v128.store(v, fma(two, d, p));
    d = fma(by, v128.load(gradient, 16), shiftY);
    p = v128.load(v, 16);
    productsY = fma(d, p, productsY);
    squaresY = fma(d, d, squaresY);
    v128.store(v, fma(two, d, p), 16);
    if (n == 3) {
      d = fma(by, v128.load(gradient, 32), shiftZ);
      p = v128.load(v, 32);
      productsZ = fma(d, p, productsZ);
      squaresZ = fma(d, d, squaresZ);
      v128.store(v, fma(two, d, p), 32);
    }
  }
  v128.store(SQUARES, f32x4.add(squaresX, f32x4.add(squaresY, squaresZ)));
  return f32x4.add(productsX, f32x4.add(productsY, productsZ));
}

function kick(v: usize, gradient: usize, N: i32, n: i32, factor: f32): v128 {
  return n == 3
    ? kickAlong(3, v, gradient, N, factor)
    : kickAlong(2, v, gradient, N, factor);
}

/**
 * v ← ηv + √(1 − η²) ξ with ξ centred, along one axis (see PathModel.friction; η = 1: not at all). Along
 * it, x moves back by `moved` of what v gains, which is as if it had moved with the old v for that time
 * before: the next drift may then be by `moved` too much.
 */
// @ts-ignore: decorator
@inline function refresh(
  job: PathJob, levels: Levels, level: i32, block: i32, v: usize, noise: usize, x: usize, moved: f32,
): void {
  const row = rowOf(levels, level);
  if (load<f32>(row, 24) == 0) return;
  const N = levels.particles;
  const n = levels.dimension;
  const stride = <usize>n << 4;
  const eta = f32x4.splat(load<f32>(row, 20));
  const rest = f32x4.splat(load<f32>(row, 24));
  const back = f32x4.splat(moved);
  const counter = <u32>level * countersPerLevel(N * n);
  normals(noise, N, job.key0, job.key1, sampleOf(job, block), counter);
  let mean = f32x4.splat(0);
  const end = noise + (<usize>N << 4);
  for (let i = noise; i < end; i += 16) mean = f32x4.add(mean, v128.load(i));
  mean = f32x4.mul(f32x4.splat(-load<f32>(row, 24) / <f32>N), mean);
  const axis = <usize>(level / job.refreshInterval % n) << 4;
  v += axis;
  x += axis;
  for (let i = noise; i < end; i += 16) {
    const p = v128.load(v);
    const q = fma(eta, p, fma(rest, v128.load(i), mean));
    v128.store(v, q);
    v128.store(x, fma(back, f32x4.sub(p, q), v128.load(x)));
    v += stride;
    x += stride;
  }
}

// @ts-ignore: decorator
@inline function drift(x: usize, v: usize, size: usize, dt: f32): void {
  const step = f32x4.splat(dt);
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(x + a, fma(step, v128.load(v + a), v128.load(x + a)));
  }
}

/** drift, ready for clippedEnergy. */
// @ts-ignore: decorator
@inline function driftTo(levels: Levels, x: usize, v: usize, dt: f32, gradient: usize): void {
  const N = levels.particles;
  if (isPrepared(levels)) moveAndPrepare(x, v, f32x4.splat(dt), gradient, N);
  else drift(x, v, <usize>(N * levels.dimension) << 4, dt);
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
    levels, level, x, dt, 0, job.leapfrogs, job.key0, job.key1, sampleOf(job, block),
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
          drift(x, v, block + 1 < job.blocks ? 2 * size : size, late);
        }
        gained = f32x4.add(gained, flowOf(job, level, block, x, size));
      }
      refresh(job, levels, level, block, v, gradient, x, behind);
      driftTo(levels, x, v, behind + 0.5 * dt, gradient);
      v128.store(energies, clippedEnergy(levels, level, x, gradient));
      const products = kick(v, gradient, N, n, -0.5 * dt);
      gained = f32x4.add(gained, storeGains(gains, products));
      v += size;
    }
    accumulate(job.accumulated + (<usize>block << 5), gained);
    x += size;
  }
}

/** What W + U gains by the second half of a kick to `gains`; returns what it gains by the first. */
// @ts-ignore: decorator
@inline function storeGains(gains: usize, products: v128): v128 {
  const squares = v128.load(SQUARES);
  const first = fnma(f32x4.splat(0.5), squares, f32x4.neg(products));
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
    clipForce(known, N, n, clip);
    if (!job.leapfrogs) addHalfKick(v, known, size, 0.5 * dt);
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
      v128.store(job.gains + (<usize>block << 4), addHalfKick(v, known, size, -0.5 * dt));
      v += size;
    }
    x += size;
  }
}

/** v ← v + d, d = factor·∂U/∂x; returns −Σ d·(v + ½ d) of the v before, the kinetic energy lost. */
// @ts-ignore: decorator
@inline function addHalfKick(v: usize, gradient: usize, size: usize, factor: f32): v128 {
  const half = f32x4.splat(0.5);
  const by = f32x4.splat(factor);
  let lost = f32x4.splat(0);
  for (let a: usize = 0; a < size; a += 16) {
    const d = f32x4.mul(by, v128.load(gradient + a));
    const p = v128.load(v + a);
    lost = fnma(d, fma(half, d, p), lost);
    v128.store(v + a, f32x4.add(p, d));
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
    drift(x, v, size, 0.5 * dt);
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
  let x = job.x;
  let v = job.v;
  for (let block = 0; block < job.blocks; block++) {
    const accumulated = job.accumulated + (<usize>block << 5);
    if (job.leapfrogs) {
      adjusted(job, levels, level, block, x);
      accumulate(accumulated, f32x4.sub(v128.load(RESULTS), v128.load(RESULTS, 16)));
    } else {
      driftTo(levels, x, v, -0.5 * dt, gradient);
      clippedEnergy(levels, level, x, gradient);
      // The kinetic energy gained here, 2 Σ d·v + 2 Σ d², is what the forward kick loses.
      const products = kick(v, gradient, N, n, 0.5 * dt);
      accumulate(accumulated, f32x4.mul(f32x4.splat(2), f32x4.add(products, v128.load(SQUARES))));
      drift(x, v, size, -0.5 * dt);
      refresh(job, levels, level, block, v, gradient, x, 0);
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
  for (const end = target + (<usize>size << 4); target < end; target += 16, source += 16) {
    store<f32>(target, load<f32>(source));
  }
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

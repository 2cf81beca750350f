// Hamiltonian Monte Carlo on blocks of four systems (lane = system): one transition for the energy of
// a path's level, and steps of independent chains. Each lane has its own time step and its own
// decision. The float64 oracle is src/backends/reference/hmc.ts.
//
// Energies are float32, but one function of the position: what is accepted by them and what a weight
// gains from them agree, so that weights are exact for the target that float64 puts at the end.
import { fma, fnma, LANES } from "./simd";
import { exp4, log4 } from "./math";
import { normals, thriftyNormals, words } from "./threefry";
import { clipForce, isPrepared, levelEnergy, Levels, rowOf } from "./level_energy";
import { leaptLennardJones, preparedLennardJones, setCentre, setLeaptLevel } from "./pair_energies";

// 0 one half, 1 2^-24, 2 one.
const CONSTANTS = memory.data<f32>([0.5, 5.9604644775390625e-8, 1], 16);
// The words of a level's uniforms.
const WORDS = memory.data(2 * 16, 16);

/** Results of hmcTransition, one f32x4 each: U before, U after, acceptance probability. */
export const RESULTS = memory.data(3 * 16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load_splat<f32>(CONSTANTS + (k << 2)); }

/** Counters of one level's random numbers: N·n normals and one pair of uniforms. */
// @ts-ignore: decorator
@inline export function countersPerLevel(size: i32): u32 { return <u32>((size + 1) >> 1) + 1; }

/** Uniform in (0, 1) from the upper 24 bits of a word. */
// @ts-ignore: decorator
@inline function uniformOf(word: v128): v128 {
  const integer = f32x4.convert_i32x4_u(i32x4.shr_u(word, 8));
  return f32x4.mul(f32x4.add(integer, constant(0)), constant(1));
}

/** Bytes of the scratch of a transition. */
// @ts-ignore: decorator
@inline export function hmcScratch(size: i32): i32 { return 4 * size * 16; }

/** Where a transition wants, and leaves, the gradient at x: in its scratch. */
// @ts-ignore: decorator
@inline export function hmcGradient(scratch: usize, size: i32): usize {
  return scratch + (<usize>size * 48);
}

/**
 * The first half kick and drift, v ← v − v̄ − half·∂U/∂x, y ← x + dt v; returns |v − v̄|². Like `leap`, it
 * clears the gradient to come and sets the centre of mass: see preparedLennardJones. n is a literal. `last`,
 * unless 0: the last particle's v is yet to be made, the sum of the others' times that (LevelNoise.centred in
 * src/backends/reference/hmc.ts).
 */
// @ts-ignore: decorator
@inline function firstLeap(
  n: i32, N: i32, last: f32, x: usize, known: usize, half: v128, dt: v128, v: usize, y: usize,
  gradient: usize,
): v128 {
  const stride: usize = n == 3 ? 48 : 32;
  const end = v + <usize>N * stride;
  const zero = f32x4.splat(0);
  let sumX = zero, sumY = zero, sumZ = zero;
  const drawn = last == 0 ? end : end - stride;
  for (let at = v; at < drawn; at += stride) {
    sumX = f32x4.add(sumX, v128.load(at));
    sumY = f32x4.add(sumY, v128.load(at, 16));
    if (n == 3) sumZ = f32x4.add(sumZ, v128.load(at, 32));
  }
  if (last != 0) {
    const by = f32x4.splat(last);
    v128.store(drawn, f32x4.mul(by, sumX));
    sumX = fma(by, sumX, sumX);
    v128.store(drawn, f32x4.mul(by, sumY), 16);
    sumY = fma(by, sumY, sumY);
    if (n == 3) {
      v128.store(drawn, f32x4.mul(by, sumZ), 32);
      sumZ = fma(by, sumZ, sumZ);
    }
  }
  const share = f32x4.splat(<f32>(-1.0 / <f64>N));
  const meanX = f32x4.mul(share, sumX);
  const meanY = f32x4.mul(share, sumY);
  const meanZ = f32x4.mul(share, sumZ);
  // A sum for each axis: one alone would wait for itself at every step.
  let squaresX = zero, squaresY = zero, squaresZ = zero;
  sumX = zero;
  sumY = zero;
  sumZ = zero;
  for (; v < end; v += stride) {
    let p = f32x4.add(v128.load(v), meanX);
    squaresX = fma(p, p, squaresX);
    p = fnma(half, v128.load(known), p);
    v128.store(v, p);
    p = fma(dt, p, v128.load(x));
    sumX = f32x4.add(sumX, p);
    v128.store(y, p);
    v128.store(gradient, zero);
    p = f32x4.add(v128.load(v, 16), meanY);
    squaresY = fma(p, p, squaresY);
    p = fnma(half, v128.load(known, 16), p);
    v128.store(v, p, 16);
    p = fma(dt, p, v128.load(x, 16));
    sumY = f32x4.add(sumY, p);
    v128.store(y, p, 16);
    v128.store(gradient, zero, 16);
    if (n == 3) {
      p = f32x4.add(v128.load(v, 32), meanZ);
      squaresZ = fma(p, p, squaresZ);
      p = fnma(half, v128.load(known, 32), p);
      v128.store(v, p, 32);
      p = fma(dt, p, v128.load(x, 32));
      sumZ = f32x4.add(sumZ, p);
      v128.store(y, p, 32);
      v128.store(gradient, zero, 32);
    }
    x += stride;
    known += stride;
    y += stride;
    gradient += stride;
  }
  setCentre(sumX, sumY, sumZ, N);
  return f32x4.add(squaresX, f32x4.add(squaresY, squaresZ));
}

/** |v − half·∂U/∂y|². */
// @ts-ignore: decorator
@inline function lastSquares(n: i32, N: i32, half: v128, v: usize, gradient: usize): v128 {
  const stride: usize = n == 3 ? 48 : 32;
  const zero = f32x4.splat(0);
  let squaresX = zero, squaresY = zero, squaresZ = zero;
  for (const end = v + <usize>N * stride; v < end; v += stride, gradient += stride) {
    let p = fnma(half, v128.load(gradient), v128.load(v));
    squaresX = fma(p, p, squaresX);
    p = fnma(half, v128.load(gradient, 16), v128.load(v, 16));
    squaresY = fma(p, p, squaresY);
    if (n == 3) {
      p = fnma(half, v128.load(gradient, 32), v128.load(v, 32));
      squaresZ = fma(p, p, squaresZ);
    }
  }
  return f32x4.add(squaresX, f32x4.add(squaresY, squaresZ));
}

/** v ← v − dt ∂U/∂y, y ← y + dt v. */
// @ts-ignore: decorator
@inline function leap(n: i32, N: i32, dt: v128, v: usize, y: usize, gradient: usize): void {
  const stride: usize = n == 3 ? 48 : 32;
  const zero = f32x4.splat(0);
  let sumX = zero, sumY = zero, sumZ = zero;
  for (const end = v + <usize>N * stride; v < end; v += stride) {
    let p = fnma(dt, v128.load(gradient), v128.load(v));
    v128.store(gradient, zero);
    v128.store(v, p);
    p = fma(dt, p, v128.load(y));
    sumX = f32x4.add(sumX, p);
    v128.store(y, p);
    p = fnma(dt, v128.load(gradient, 16), v128.load(v, 16));
    v128.store(gradient, zero, 16);
    v128.store(v, p, 16);
    p = fma(dt, p, v128.load(y, 16));
    sumY = f32x4.add(sumY, p);
    v128.store(y, p, 16);
    if (n == 3) {
      p = fnma(dt, v128.load(gradient, 32), v128.load(v, 32));
      v128.store(gradient, zero, 32);
      v128.store(v, p, 32);
      p = fma(dt, p, v128.load(y, 32));
      sumZ = f32x4.add(sumZ, p);
      v128.store(y, p, 32);
    }
    y += stride;
    gradient += stride;
  }
  setCentre(sumX, sumY, sumZ, N);
}

/** U_k at a point that `firstLeap` or `leap` went to, and its gradient, clipped. */
// @ts-ignore: decorator
@inline function energyAfterLeap(
  levels: Levels, level: i32, y: usize, gradient: usize, clip: f32,
): v128 {
  const N = levels.particles;
  const row = rowOf(levels, level);
  const energy = isPrepared(levels)
    ? preparedLennardJones(row, y, gradient, N)
    : levelEnergy(levels, level, y, gradient);
  clipForce(gradient, N, levels.dimension, clip);
  return energy;
}

/** What the sum of the other particles' normals is to be multiplied by: see `firstLeap`. */
// @ts-ignore: decorator
@inline export function lastOfCentred(N: i32): f32 { return <f32>(1 / (Math.sqrt(<f64>N) - 1)); }

/**
 * One transition of a block for exp(−U_k): fresh velocities, by thriftyNormals where `thrifty`, `leapfrogs`
 * steps of dt (jittered by up to the fraction `jitter`), forces clipped; x moves where it is accepted.
 * `counter`: first of the level.
 */
export function hmcTransition(
  levels: Levels, level: i32, x: usize, dt: v128, thrifty: bool, jitter: f32, leapfrogs: i32,
  key0: u32, key1: u32, sample: v128, counter: u32, scratch: usize,
): void {
  const N = levels.particles;
  const n = levels.dimension;
  const known = hmcGradient(scratch, N * n);
  const energy = levelEnergy(levels, level, x, known);
  const clip = load<f32>(rowOf(levels, level), 28);
  clipForce(known, N, n, clip);
  transition(
    false, levels, level, x, energy, clip, dt, thrifty, jitter, leapfrogs, key0, key1, sample, counter,
    scratch,
  );
}

/**
 * hmcTransition, thrifty and by the force as it is, not clipped, from an x whose energy and gradient (at
 * hmcGradient) are known; leaves those of the new x.
 */
export function hmcFrom(
  levels: Levels, level: i32, x: usize, energy: v128, dt: v128, leapfrogs: i32,
  key0: u32, key1: u32, sample: v128, counter: u32, scratch: usize,
): void {
  transition(
    true, levels, level, x, energy, 0, dt, true, 0, leapfrogs, key0, key1, sample, counter, scratch,
  );
}

/** Whether a leapfrog is one pass with its forces: levels of pair paths with pairs, unclipped. */
// @ts-ignore: decorator
@inline function isLeapt(levels: Levels, row: usize, clip: f32): bool {
  return levels.kind == 0 && load<f32>(row) != 0 && clip == 0;
}

/** `keep`, a literal: whether the gradient at the new x is wanted. */
// @ts-ignore: decorator
@inline function transition(
  keep: bool, levels: Levels, level: i32, x: usize, before: v128, clip: f32, dt: v128, thrifty: bool,
  jitter: f32, leapfrogs: i32, key0: u32, key1: u32, sample: v128, counter: u32, scratch: usize,
): void {
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const v = scratch;
  const vEnd = v + size;
  const y = vEnd;
  const gradient = y + size;
  const known = gradient + size;
  if (thrifty) thriftyNormals(v, (N - 1) * n, key0, key1, sample, counter);
  else normals(v, N * n, key0, key1, sample, counter);
  words(WORDS, 1, key0, key1, sample, counter + countersPerLevel(N * n) - 1);
  if (jitter != 0) {
    const u = uniformOf(v128.load(WORDS, 16));
    const swing = f32x4.sub(f32x4.add(u, u), constant(2));
    dt = f32x4.mul(dt, fma(f32x4.splat(jitter), swing, constant(2)));
  }
  const half = f32x4.mul(dt, constant(0));
  const last: f32 = thrifty ? lastOfCentred(N) : 0;
  const start = n == 3
    ? firstLeap(3, N, last, x, known, half, dt, v, y, gradient)
    : firstLeap(2, N, last, x, known, half, dt, v, y, gradient);
  const row = rowOf(levels, level);
  if (isLeapt(levels, row, clip)) {
    const target = load<f32>(levels.rows, 16);
    const inverse = load<f32>(levels.rows, 20);
    setLeaptLevel(row, target, inverse, dt);
    for (let step = 1; step < leapfrogs; step++) {
      leaptLennardJones(inverse != 0, y, gradient, v, N);
    }
  } else {
    for (let step = 1; step < leapfrogs; step++) {
      energyAfterLeap(levels, level, y, gradient, clip);
      if (n == 3) leap(3, N, dt, v, y, gradient);
      else leap(2, N, dt, v, y, gradient);
    }
  }
  const after = energyAfterLeap(levels, level, y, gradient, clip);
  const end = n == 3
    ? lastSquares(3, N, half, v, gradient)
    : lastSquares(2, N, half, v, gradient);
  const gain = fma(constant(0), f32x4.sub(start, end), f32x4.sub(before, after));
  // A proposal that is not a number is refused: comparisons with NaN are false.
  const accept = f32x4.lt(log4(uniformOf(v128.load(WORDS))), gain);
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(x + a, v128.bitselect(v128.load(y + a), v128.load(x + a), accept));
    if (keep) {
      const g = v128.bitselect(v128.load(gradient + a), v128.load(known + a), accept);
      v128.store(known + a, g);
    }
  }
  const probability = exp4(f32x4.pmin(gain, f32x4.splat(0)));
  v128.store(RESULTS, before);
  v128.store(RESULTS, v128.bitselect(after, before, accept), 16);
  v128.store(RESULTS, v128.and(probability, f32x4.eq(gain, gain)), 32);
}

/**
 * Transition number `step` of `blocks` blocks of chains on level `level`. stepSizes and acceptance:
 * `blocks` f32x4. Chains keep the normals that their published states were drawn with.
 */
export function hmcChains(
  address: usize, level: i32, blocks: i32, first: u32, x: usize, stepSizes: usize, jitter: f32,
  leapfrogs: i32, step: u32, key0: u32, key1: u32, acceptance: usize, scratch: usize,
): void {
  const levels = changetype<Levels>(address);
  const size = levels.particles * levels.dimension;
  for (let b = 0; b < blocks; b++) {
    const sample = i32x4.add(i32x4.splat(first + b * LANES), i32x4(0, 1, 2, 3));
    hmcTransition(
      levels, level, x, v128.load(stepSizes), false, jitter, leapfrogs, key0, key1, sample,
      step * countersPerLevel(size), scratch,
    );
    v128.store(acceptance, v128.load(RESULTS, 32));
    x += <usize>size << 4;
    stepSizes += 16;
    acceptance += 16;
  }
}

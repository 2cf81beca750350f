// Hamiltonian Monte Carlo on blocks of four systems (lane = system): one transition for the energy of
// a path's level, and steps of independent chains. Each lane has its own time step and its own
// decision. The float64 oracle is src/backends/reference/hmc.ts.
//
// Energies are float32, but one function of the position: what is accepted by them and what a weight
// gains from them agree, so that weights are exact for the target that float64 puts at the end.
import { fma, fnma, LANES } from "./simd";
import { exp4, log4 } from "./math";
import { normals, words } from "./threefry";
import { centre, clipForce, levelEnergy, Levels, rowOf } from "./level_energy";

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

/** Bytes of the scratch of hmcTransition. */
// @ts-ignore: decorator
@inline export function hmcScratch(size: i32): i32 { return 3 * size * 16; }

// @ts-ignore: decorator
@inline function kinetic(v: usize, end: usize): v128 {
  let sum = f32x4.splat(0);
  for (; v < end; v += 16) {
    const p = v128.load(v);
    sum = fma(p, p, sum);
  }
  return f32x4.mul(sum, constant(0));
}

/**
 * One transition of a block for exp(−U_k): fresh velocities, `leapfrogs` steps of dt (jittered by up to
 * the fraction `jitter`), forces clipped; x moves where it is accepted. `counter`: first of the level.
 */
export function hmcTransition(
  levels: Levels, level: i32, x: usize, dt: v128, jitter: f32, leapfrogs: i32,
  key0: u32, key1: u32, sample: v128, counter: u32, scratch: usize,
): void {
  const N = levels.particles;
  const n = levels.dimension;
  const size = <usize>(N * n) << 4;
  const clip = load<f32>(rowOf(levels, level), 28);
  const v = scratch;
  const vEnd = v + size;
  const y = vEnd;
  const gradient = y + size;
  normals(v, N * n, key0, key1, sample, counter);
  centre(v, N, n);
  words(WORDS, 1, key0, key1, sample, counter + countersPerLevel(N * n) - 1);
  if (jitter != 0) {
    const u = uniformOf(v128.load(WORDS, 16));
    const swing = f32x4.sub(f32x4.add(u, u), constant(2));
    dt = f32x4.mul(dt, fma(f32x4.splat(jitter), swing, constant(2)));
  }
  const before = levelEnergy(levels, level, x, gradient);
  clipForce(gradient, N, n, clip);
  const start = kinetic(v, vEnd);
  const half = f32x4.mul(dt, constant(0));
  for (let a: usize = 0; a < size; a += 16) {
    const p = fnma(half, v128.load(gradient + a), v128.load(v + a));
    v128.store(v + a, p);
    v128.store(y + a, fma(dt, p, v128.load(x + a)));
  }
  let after = levelEnergy(levels, level, y, gradient);
  clipForce(gradient, N, n, clip);
  for (let step = 1; step < leapfrogs; step++) {
    for (let a: usize = 0; a < size; a += 16) {
      const p = fnma(dt, v128.load(gradient + a), v128.load(v + a));
      v128.store(v + a, p);
      v128.store(y + a, fma(dt, p, v128.load(y + a)));
    }
    after = levelEnergy(levels, level, y, gradient);
    clipForce(gradient, N, n, clip);
  }
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(v + a, fnma(half, v128.load(gradient + a), v128.load(v + a)));
  }
  const gain = f32x4.add(f32x4.sub(before, after), f32x4.sub(start, kinetic(v, vEnd)));
  // A proposal that is not a number is refused: comparisons with NaN are false.
  const accept = f32x4.lt(log4(uniformOf(v128.load(WORDS))), gain);
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(x + a, v128.bitselect(v128.load(y + a), v128.load(x + a), accept));
  }
  const probability = exp4(f32x4.pmin(gain, f32x4.splat(0)));
  v128.store(RESULTS, before);
  v128.store(RESULTS, v128.bitselect(after, before, accept), 16);
  v128.store(RESULTS, v128.and(probability, f32x4.eq(gain, gain)), 32);
}

/**
 * Transition number `step` of `blocks` blocks of chains on level `level`. stepSizes and acceptance:
 * `blocks` f32x4.
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
      levels, level, x, v128.load(stepSizes), jitter, leapfrogs, key0, key1, sample,
      step * countersPerLevel(size), scratch,
    );
    v128.store(acceptance, v128.load(RESULTS, 32));
    x += <usize>size << 4;
    stepSizes += 16;
    acceptance += 16;
  }
}

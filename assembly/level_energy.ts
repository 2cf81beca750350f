// Energies of a path's levels on blocks of four systems, U_k and ∂U_k/∂x, and the clipping of forces
// (docs/method.md section 4). The float64 oracle is src/backends/reference/level_energy.ts.
import { fma, fnma } from "./simd";
import { mintPrior } from "./mint_prior";
import { pairEnergies, softLennardJones } from "./pair_energies";

/** What the host writes, field by field, 4 bytes each (src/backends/wasm/path.ts). */
@unmanaged
export class Levels {
  particles: i32;
  dimension: i32;
  /** 0: pair path; 1: mixture of the prior and the system. */
  kind: i32;
  /** f32[8] a level, level −1 (the prior) first: ε, s, a, κ or t, -, -, -; Δ, η, √(1 − η²), clip.
   * Level −1 has no transition: there stand κ of the target and 1/R² of PairPathLevels.saturation (0: none). */
  rows: usize;
  /** The system's own pairs, and the prior (mixture only). */
  pairKind: i32;
  pairParameters: usize;
  prior: usize;
  priorScratch: usize;
  /** N·n f32x4. */
  gradient: usize;
}

// @ts-ignore: decorator
@inline export function rowOf(levels: Levels, level: i32): usize {
  return levels.rows + ((<usize>(level + 1)) << 5);
}

/** U_k of one block; overwrites gradient (N·n f32x4). Level −1 is the prior. */
export function levelEnergy(levels: Levels, level: i32, x: usize, gradient: usize): v128 {
  const N = levels.particles;
  const n = levels.dimension;
  const row = rowOf(levels, level);
  if (levels.kind == 0) {
    const energy = softLennardJones(row, x, gradient, N);
    const inverse = load<f32>(levels.rows, 20);
    if (inverse == 0 || level < 0) return energy;
    const excess = load<f32>(row, 12) - load<f32>(levels.rows, 16);
    return f32x4.add(energy, saturate(excess, inverse, x, gradient, N));
  }
  const t = load<f32>(row);
  // The ends are exact: a prior that vanishes, or a colliding pair, must not reach them as 0·∞.
  if (t == 1) return pairEnergies(levels.pairKind, levels.pairParameters, x, gradient, N, n, t);
  const size = <usize>(N * n) << 4;
  const weight = f32x4.splat(t - 1);
  let energy = f32x4.mul(weight, mintPrior(levels.prior, x, gradient, levels.priorScratch));
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(gradient + a, f32x4.mul(weight, v128.load(gradient + a)));
  }
  if (t == 0) return energy;
  const share = f32x4.splat(t);
  const own = levels.gradient;
  const target = pairEnergies(levels.pairKind, levels.pairParameters, x, own, N, n, t);
  for (let a: usize = 0; a < size; a += 16) {
    v128.store(gradient + a, fma(share, v128.load(own + a), v128.load(gradient + a)));
  }
  return fma(share, target, energy);
}

/**
 * ½ κ′ Σ_i r_i² [1/(1 + u_i) − 1], u = r²/R², r from the centre of mass: what a harmonic confinement
 * loses where it saturates. Its gradient is added to `gradient` (n = 3).
 */
export function saturate(excess: f32, inverse: f32, x: usize, gradient: usize, N: i32): v128 {
  const stride: usize = 48;
  const end = x + <usize>N * stride;
  const zero = f32x4.splat(0);
  let cx = zero, cy = zero, cz = zero;
  for (let at = x; at < end; at += stride) {
    cx = f32x4.add(cx, v128.load(at));
    cy = f32x4.add(cy, v128.load(at, 16));
    cz = f32x4.add(cz, v128.load(at, 32));
  }
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  cx = f32x4.mul(cx, share);
  cy = f32x4.mul(cy, share);
  cz = f32x4.mul(cz, share);
  const one = f32x4.splat(1);
  const by = f32x4.splat(inverse);
  const strength = f32x4.splat(excess);
  let energy = zero;
  let sumX = zero, sumY = zero, sumZ = zero;
  let to = gradient;
  for (let at = x; at < end; at += stride, to += stride) {
    const dx = f32x4.sub(v128.load(at), cx);
    const dy = f32x4.sub(v128.load(at, 16), cy);
    const dz = f32x4.sub(v128.load(at, 32), cz);
    const squared = fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx)));
    const left = f32x4.div(one, fma(squared, by, one));
    const lost = f32x4.sub(left, one);
    energy = fma(squared, lost, energy);
    // left² − 1 = (left + 1)(left − 1).
    const slope = f32x4.mul(strength, f32x4.mul(f32x4.add(left, one), lost));
    const gx = f32x4.mul(slope, dx);
    const gy = f32x4.mul(slope, dy);
    const gz = f32x4.mul(slope, dz);
    sumX = f32x4.add(sumX, gx);
    sumY = f32x4.add(sumY, gy);
    sumZ = f32x4.add(sumZ, gz);
    v128.store(to, f32x4.add(v128.load(to), gx));
    v128.store(to, f32x4.add(v128.load(to, 16), gy), 16);
    v128.store(to, f32x4.add(v128.load(to, 32), gz), 32);
  }
  // The centre of mass moves with every particle; the pairs' and oscillators' gradient has no mean.
  subtractMean(gradient, to, 3, N, sumX, sumY, sumZ);
  return f32x4.mul(f32x4.mul(f32x4.splat(0.5), strength), energy);
}

/** Mean of the gradient that clippedEnergy leaves to be subtracted: n f32x4. */
export const GRADIENT_MEAN = memory.data(3 * 16, 16);

/** Whether moves prepare the next energy on the way (preparedLennardJones): pair paths that do not saturate. */
// @ts-ignore: decorator
@inline export function isPrepared(levels: Levels): bool {
  return levels.kind == 0 && load<f32>(levels.rows, 20) == 0;
}

/** levelEnergy with the gradient clipped (clipForce) but for its mean, which goes to GRADIENT_MEAN. */
// @ts-ignore: decorator
@inline export function clippedEnergy(
  levels: Levels, level: i32, x: usize, gradient: usize,
): v128 {
  const energy = levelEnergy(levels, level, x, gradient);
  const clip = load<f32>(rowOf(levels, level), 28);
  clipAndMean(gradient, gradient, levels.particles, levels.dimension, clip);
  return energy;
}

/**
 * F_i/√(1 + |F_i|²/c²) of the forces at `force` to `to`, their mean to GRADIENT_MEAN. c = 0 writes nothing to
 * `to`, and 0 there: the force has no mean.
 */
export function clipAndMean(force: usize, to: usize, N: i32, n: i32, clip: f32): void {
  const zero = f32x4.splat(0);
  let sumX = zero, sumY = zero, sumZ = zero;
  if (clip != 0) {
    const inverse = f32x4.splat(1 / (clip * clip));
    const one = f32x4.splat(1);
    const stride = <usize>n << 4;
    for (const end = force + <usize>N * stride; force < end; force += stride, to += stride) {
      let x = v128.load(force);
      let y = v128.load(force, 16);
      let z = n == 3 ? v128.load(force, 32) : zero;
      const norm = fma(z, z, fma(y, y, f32x4.mul(x, x)));
      const factor = f32x4.div(one, f32x4.sqrt(fma(norm, inverse, one)));
      x = f32x4.mul(x, factor);
      y = f32x4.mul(y, factor);
      z = f32x4.mul(z, factor);
      sumX = f32x4.add(sumX, x);
      sumY = f32x4.add(sumY, y);
      sumZ = f32x4.add(sumZ, z);
      v128.store(to, x);
      v128.store(to, y, 16);
      if (n == 3) v128.store(to, z, 32);
    }
  }
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  v128.store(GRADIENT_MEAN, f32x4.mul(share, sumX));
  v128.store(GRADIENT_MEAN, f32x4.mul(share, sumY), 16);
  v128.store(GRADIENT_MEAN, f32x4.mul(share, sumZ), 32);
}

/** F_i → F_i/√(1 + |F_i|²/c²), then zero mean; c = 0 leaves the force alone. */
export function clipForce(force: usize, N: i32, n: i32, clip: f32): void {
  if (clip == 0) return;
  clipAndMean(force, force, N, n, clip);
  const stride = <usize>n << 4;
  const x = v128.load(GRADIENT_MEAN);
  const y = v128.load(GRADIENT_MEAN, 16);
  const z = v128.load(GRADIENT_MEAN, 32);
  for (const end = force + <usize>N * stride; force < end; force += stride) {
    v128.store(force, f32x4.sub(v128.load(force), x));
    v128.store(force, f32x4.sub(v128.load(force, 16), y), 16);
    if (n == 3) v128.store(force, f32x4.sub(v128.load(force, 32), z), 32);
  }
}

/** Removes the mean of N rows: the part along the centre of mass. */
export function centre(v: usize, N: i32, n: i32): void {
  const stride = <usize>n << 4;
  const end = v + <usize>N * stride;
  let sumX = f32x4.splat(0);
  let sumY = sumX;
  let sumZ = sumX;
  for (let at = v; at < end; at += stride) {
    sumX = f32x4.add(sumX, v128.load(at));
    sumY = f32x4.add(sumY, v128.load(at, 16));
    if (n == 3) sumZ = f32x4.add(sumZ, v128.load(at, 32));
  }
  subtractMean(v, end, n, N, sumX, sumY, sumZ);
}

// @ts-ignore: decorator
@inline function subtractMean(
  v: usize, end: usize, n: i32, N: i32, sumX: v128, sumY: v128, sumZ: v128,
): void {
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  for (let at = v; at < end; at += <usize>n << 4) {
    v128.store(at, fnma(share, sumX, v128.load(at)));
    v128.store(at, fnma(share, sumY, v128.load(at, 16)), 16);
    if (n == 3) v128.store(at, fnma(share, sumZ, v128.load(at, 32)), 32);
  }
}

/** levelEnergy of `blocks` blocks, gradients as they are (not clipped). energies: `blocks` f32x4. */
export function levelEnergies(
  address: usize, level: i32, x: usize, gradient: usize, energies: usize, blocks: i32,
): void {
  const levels = changetype<Levels>(address);
  const size = <usize>(levels.particles * levels.dimension) << 4;
  for (let b = 0; b < blocks; b++) {
    v128.store(energies, levelEnergy(levels, level, x, gradient));
    x += size;
    gradient += size;
    energies += 16;
  }
}

/** clipForce of `blocks` blocks, for the tests. */
export function clipForces(force: usize, blocks: i32, N: i32, n: i32, clip: f32): void {
  for (let b = 0; b < blocks; b++) {
    clipForce(force, N, n, clip);
    force += <usize>(N * n) << 4;
  }
}

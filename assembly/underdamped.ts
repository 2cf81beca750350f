// Parts of an underdamped (OABA) transition of one block of four systems: kick, refreshment, drift. The
// kick of pair paths is in pair_kick.ts. The float64 oracle is src/backends/reference/path.ts.
import { fma } from "./simd";
import { lastOfCentred } from "./hmc";
import { GRADIENT_MEAN } from "./level_energy";
import { setCentre } from "./pair_energies";

/** Σ d² of a kick, d its half. */
export const SQUARES = memory.data(16, 16);

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

export function kick(v: usize, gradient: usize, N: i32, n: i32, factor: f32): v128 {
  return n == 3
    ? kickAlong(3, v, gradient, N, factor)
    : kickAlong(2, v, gradient, N, factor);
}

/**
 * v ← v − mean; then along `axis` (−1: none) v ← ηv + √(1 − η²) ξ, ξ of the N − 1 f32x4 at `noise`, before
 * room for one more, centred here (LevelNoise.centred in src/backends/reference/hmc.ts).
 * x moves for the time `before` with the velocities before that and for `after` with those after. Sets the
 * centre of mass for an energy at x; the mean becomes zero. n and axis are literals.
 */
// @ts-ignore: decorator
@inline export function moveAlong(
  n: i32, axis: i32, x: usize, v: usize, noise: usize, row: usize, mean: usize, before: f32, after: f32,
  N: i32,
): void {
  const stride: usize = n == 3 ? 48 : 32;
  const zero = f32x4.splat(0);
  const whole = f32x4.splat(before + after);
  const early = f32x4.splat(before);
  const late = f32x4.splat(after);
  const eta = f32x4.splat(load<f32>(row, 20));
  const rest = f32x4.splat(load<f32>(row, 24));
  let shift = zero;
  if (axis >= 0) {
    let sum = zero;
    const end = noise + (<usize>(N - 1) << 4);
    for (let i = noise; i < end; i += 16) sum = f32x4.add(sum, v128.load(i));
    const last = f32x4.mul(f32x4.splat(lastOfCentred(N)), sum);
    v128.store(end, last);
    shift = f32x4.mul(f32x4.splat(-load<f32>(row, 24) / <f32>N), f32x4.add(sum, last));
  }
  const meanX = v128.load(mean);
  const meanY = v128.load(mean, 16);
  const meanZ = n == 3 ? v128.load(mean, 32) : zero;
  let sumX = zero, sumY = zero, sumZ = zero;
  for (const end = x + <usize>N * stride; x < end; x += stride, v += stride) {
    let p = f32x4.sub(v128.load(v), meanX);
    let q = p;
    let to = v128.load(x);
    if (axis == 0) {
      q = fma(eta, p, fma(rest, v128.load(noise), shift));
      to = fma(late, q, fma(early, p, to));
    } else {
      to = fma(whole, p, to);
    }
    sumX = f32x4.add(sumX, to);
    v128.store(v, q);
    v128.store(x, to);
    p = f32x4.sub(v128.load(v, 16), meanY);
    q = p;
    to = v128.load(x, 16);
    if (axis == 1) {
      q = fma(eta, p, fma(rest, v128.load(noise), shift));
      to = fma(late, q, fma(early, p, to));
    } else {
      to = fma(whole, p, to);
    }
    sumY = f32x4.add(sumY, to);
    v128.store(v, q, 16);
    v128.store(x, to, 16);
    if (n == 3) {
      p = f32x4.sub(v128.load(v, 32), meanZ);
      q = p;
      to = v128.load(x, 32);
      if (axis == 2) {
        q = fma(eta, p, fma(rest, v128.load(noise), shift));
        to = fma(late, q, fma(early, p, to));
      } else {
        to = fma(whole, p, to);
      }
      sumZ = f32x4.add(sumZ, to);
      v128.store(v, q, 32);
      v128.store(x, to, 32);
    }
    if (axis >= 0) noise += 16;
  }
  v128.store(mean, zero);
  v128.store(mean, zero, 16);
  if (n == 3) v128.store(mean, zero, 32);
  setCentre(sumX, sumY, sumZ, N);
}

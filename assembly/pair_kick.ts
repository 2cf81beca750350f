// The kick of an underdamped transition on a pair path, made where the forces are: what the energy kernel
// does with a particle when its last pair is done (`kickRow`), and one pass after the last particle
// (`endKick`). One block of four systems, n = 3.
//
// With g = (∂U/∂x_i)/scale the sum that the loops of pair_energies.ts leave, scale = −12 ε:
//   F = scale·g + κ_i (x_i − x_com),  F → F/√(1 + |F|²/c²),  D = 2·factor·F,  v_i ← v_i + D.
// The mean of D over particles is known only after the last one; whoever moves x next takes it from v.
import { fma, fnma } from "./simd";

// Constants of one call: 0 κ/scale (of the target where the confinement saturates), 1 scale²/c²,
// 2 2·factor·scale, 3 κ excess/scale, 4 1/R², 5 one, 6 κ of the energy, 7 its excess.
const CONSTANTS = memory.data(8 * 16, 16);
// Centre of mass of the block at hand.
export const CENTRE = memory.data(3 * 16, 16);
// Sums over particles: 0 D·v, 1 D², 2 pair energy/ε, 3 confinement, twice its energy/κ or twice itself;
// or those of a leap: 0-2 positions.
const SUMS = memory.data(4 * 16, 16);
// Of a leap: 0 −dt·scale, 1 dt.
const LEAP = memory.data(2 * 16, 16);
// What a saturating confinement pulls at every particle because the centre of mass moves with each: less the
// mean of κ excess (1/(1 + u)² − 1)(x_i − x_com), over scale.
const RECOIL = memory.data(3 * 16, 16);
/** Mean of D, three f32x4. */
export const KICK_MEAN = memory.data(3 * 16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load(CONSTANTS + (k << 4)); }

// @ts-ignore: decorator
@inline function setConstant(k: usize, value: f32): void {
  v128.store(CONSTANTS + (k << 4), f32x4.splat(value));
}

// @ts-ignore: decorator
@inline function add(address: usize, value: v128): void {
  v128.store(address, f32x4.add(v128.load(address), value));
}

/**
 * For all kicks or leaps to come: ε not 0, κ of the level and of the target, 1/R² of the saturation
 * (0: none), clip (0: none) and the half kick's factor.
 */
export function setKick(
  epsilon: f32, confinement: f32, target: f32, inverse: f32, clip: f32, factor: f32,
): void {
  const scale: f32 = -12 * epsilon;
  const base = inverse == 0 ? confinement : target;
  setConstant(0, base / scale);
  setConstant(1, clip == 0 ? 0 : (scale / clip) * (scale / clip));
  setConstant(2, 2 * factor * scale);
  setConstant(3, (confinement - target) / scale);
  setConstant(4, inverse);
  setConstant(5, 1);
  setConstant(6, base);
  setConstant(7, confinement - target);
}

/** After setKick, before the rows of a kick. */
// @ts-ignore: decorator
@inline export function beginKick(): void {
  const zero = f32x4.splat(0);
  v128.store(SUMS, zero, 32);
  v128.store(SUMS, zero, 48);
}

/** For all leaps of dt to come, after setKick (without clip or factor). */
export function setLeap(epsilon: f32, dt: v128): void {
  v128.store(LEAP, f32x4.mul(f32x4.splat(12 * epsilon), dt));
  v128.store(LEAP, dt, 16);
}

/** After setLeap, before the rows of a leap. */
// @ts-ignore: decorator
@inline export function beginLeap(): void {
  const zero = f32x4.splat(0);
  v128.store(SUMS, zero);
  v128.store(SUMS, zero, 16);
  v128.store(SUMS, zero, 32);
}

/** After the rows of a leap: CENTRE is that of the new positions. */
export function endLeap(N: i32): void {
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  for (let k: usize = 0; k < 48; k += 16) v128.store(CENTRE + k, f32x4.mul(share, v128.load(SUMS + k)));
}

/** Before the rows where the confinement saturates. `keep`, unless 0: N f32x4, every particle's 1/(1 + u). */
export function setRecoil(x: usize, N: i32, keep: usize): void {
  const zero = f32x4.splat(0);
  const one = constant(5);
  let sumX = zero, sumY = zero, sumZ = zero;
  for (const end = x + <usize>N * 48; x < end; x += 48) {
    const dx = f32x4.sub(v128.load(x), v128.load(CENTRE));
    const dy = f32x4.sub(v128.load(x, 16), v128.load(CENTRE, 16));
    const dz = f32x4.sub(v128.load(x, 32), v128.load(CENTRE, 32));
    const squared = fma(dx, dx, fma(dy, dy, f32x4.mul(dz, dz)));
    const left = f32x4.div(one, fma(squared, constant(4), one));
    if (keep) {
      v128.store(keep, left);
      keep += 16;
    }
    const lost = fma(left, left, f32x4.neg(one));
    sumX = fma(lost, dx, sumX);
    sumY = fma(lost, dy, sumY);
    sumZ = fma(lost, dz, sumZ);
  }
  const share = f32x4.mul(f32x4.splat(<f32>(-1.0 / <f64>N)), constant(3));
  v128.store(RECOIL, f32x4.mul(share, sumX));
  v128.store(RECOIL, f32x4.mul(share, sumY), 16);
  v128.store(RECOIL, f32x4.mul(share, sumZ), 32);
}

/**
 * One particle at (x, y, z): its sums g and pair energies `own`; F/scale goes to `to`, its square to `norm`.
 * The particle before it, whose square is 16 bytes before `norm`, gets its factor there: root and division
 * wait for nothing by now, and keep no pair waiting.
 */
// @ts-ignore: decorator
@inline export function kickRow(
  saturating: bool, x: v128, y: v128, z: v128, gx: v128, gy: v128, gz: v128, own: v128,
  to: usize, norm: usize,
): void {
  endRow(false, saturating, x, y, z, gx, gy, gz, own, to, norm, 0);
  v128.store(norm - 16, factorOf(v128.load(norm - 16)));
}

/** A leapfrog's v ← v − dt F, position ← position + dt v for one particle at (x, y, z); clears `to`. */
// @ts-ignore: decorator
@inline export function leapRow(
  saturating: bool, x: v128, y: v128, z: v128, gx: v128, gy: v128, gz: v128,
  to: usize, position: usize, v: usize,
): void {
  endRow(true, saturating, x, y, z, gx, gy, gz, x, to, position, v);
}

// @ts-ignore: decorator
@inline function endRow(
  leaping: bool, saturating: bool, x: v128, y: v128, z: v128, gx: v128, gy: v128, gz: v128, own: v128,
  to: usize, out: usize, v: usize,
): void {
  const dx = f32x4.sub(x, v128.load(CENTRE));
  const dy = f32x4.sub(y, v128.load(CENTRE, 16));
  const dz = f32x4.sub(z, v128.load(CENTRE, 32));
  let confined = fma(dx, dx, fma(dy, dy, f32x4.mul(dz, dz)));
  const one = constant(5);
  let spring = constant(0);
  if (saturating) {
    // ½ (κ + κ′/(1 + u)) r², u = r²/R²; its gradient (κ + κ′/(1 + u)²) r.
    // A kick finds what setRecoil kept where the square will go.
    const left = leaping ? f32x4.div(one, fma(confined, constant(4), one)) : v128.load(out);
    spring = fma(constant(3), f32x4.mul(left, left), spring);
    confined = f32x4.mul(confined, fma(constant(7), left, constant(6)));
    gx = f32x4.add(gx, v128.load(RECOIL));
    gy = f32x4.add(gy, v128.load(RECOIL, 16));
    gz = f32x4.add(gz, v128.load(RECOIL, 32));
  }
  gx = fma(spring, dx, gx);
  gy = fma(spring, dy, gy);
  gz = fma(spring, dz, gz);
  if (leaping) {
    const by = v128.load(LEAP);
    const dt = v128.load(LEAP, 16);
    const zero = f32x4.splat(0);
    v128.store(to, zero);
    v128.store(to, zero, 16);
    v128.store(to, zero, 32);
    gx = fma(by, gx, v128.load(v));
    gy = fma(by, gy, v128.load(v, 16));
    gz = fma(by, gz, v128.load(v, 32));
    v128.store(v, gx);
    v128.store(v, gy, 16);
    v128.store(v, gz, 32);
    x = fma(dt, gx, x);
    y = fma(dt, gy, y);
    z = fma(dt, gz, z);
    v128.store(out, x);
    v128.store(out, y, 16);
    v128.store(out, z, 32);
    add(SUMS, x);
    add(SUMS + 16, y);
    add(SUMS + 32, z);
    return;
  }
  v128.store(to, gx);
  v128.store(to, gy, 16);
  v128.store(to, gz, 32);
  v128.store(out, fma(gx, gx, fma(gy, gy, f32x4.mul(gz, gz))));
  add(SUMS + 32, own);
  add(SUMS + 48, confined);
}

/** 2·factor·scale/√(1 + |F|²/c²) from |F/scale|². */
// @ts-ignore: decorator
@inline function factorOf(norm: v128): v128 {
  return f32x4.div(constant(2), f32x4.sqrt(fma(norm, constant(1), constant(5))));
}

/**
 * After the rows: v ← v + D, the gradient cleared; returns U of the level. `factors`: N f32x4, what kickRow
 * left.
 */
export function endKick(
  saturating: bool, epsilon: f32, gradient: usize, factors: usize, v: usize, N: i32,
): v128 {
  const zero = f32x4.splat(0);
  const last = factors + (<usize>(N - 1) << 4);
  v128.store(last, factorOf(v128.load(last)));
  // A sum for each axis: one alone would wait for itself at every step.
  let productsX = zero, productsY = zero, productsZ = zero;
  let squaresX = zero, squaresY = zero, squaresZ = zero;
  let sumX = zero, sumY = zero, sumZ = zero;
  for (const end = v + <usize>N * 48; v < end; v += 48, gradient += 48) {
    const by = v128.load(factors);
    factors += 16;
    const dx = f32x4.mul(by, v128.load(gradient));
    const vx = v128.load(v);
    productsX = fma(dx, vx, productsX);
    squaresX = fma(dx, dx, squaresX);
    sumX = f32x4.add(sumX, dx);
    v128.store(v, f32x4.add(vx, dx));
    v128.store(gradient, zero);
    const dy = f32x4.mul(by, v128.load(gradient, 16));
    const vy = v128.load(v, 16);
    productsY = fma(dy, vy, productsY);
    squaresY = fma(dy, dy, squaresY);
    sumY = f32x4.add(sumY, dy);
    v128.store(v, f32x4.add(vy, dy), 16);
    v128.store(gradient, zero, 16);
    const dz = f32x4.mul(by, v128.load(gradient, 32));
    const vz = v128.load(v, 32);
    productsZ = fma(dz, vz, productsZ);
    squaresZ = fma(dz, dz, squaresZ);
    sumZ = f32x4.add(sumZ, dz);
    v128.store(v, f32x4.add(vz, dz), 32);
    v128.store(gradient, zero, 32);
  }
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  const meanX = f32x4.mul(share, sumX);
  const meanY = f32x4.mul(share, sumY);
  const meanZ = f32x4.mul(share, sumZ);
  v128.store(KICK_MEAN, meanX);
  v128.store(KICK_MEAN, meanY, 16);
  v128.store(KICK_MEAN, meanZ, 32);
  v128.store(SUMS, f32x4.add(productsX, f32x4.add(productsY, productsZ)));
  // Σ |D − mean|².
  squaresX = fnma(sumX, meanX, squaresX);
  squaresY = fnma(sumY, meanY, squaresY);
  squaresZ = fnma(sumZ, meanZ, squaresZ);
  v128.store(SUMS, f32x4.add(squaresX, f32x4.add(squaresY, squaresZ)), 16);
  let confined = f32x4.mul(f32x4.splat(0.5), v128.load(SUMS, 48));
  if (!saturating) confined = f32x4.mul(constant(6), confined);
  return fma(f32x4.splat(epsilon), v128.load(SUMS, 32), confined);
}

/** Σ D·v of the v before the kick; its mean velocity is zero. */
// @ts-ignore: decorator
@inline export function kickProducts(): v128 { return v128.load(SUMS); }

/** Σ |D − mean|². */
// @ts-ignore: decorator
@inline export function kickSquares(): v128 { return v128.load(SUMS, 16); }

// Pair energies and gradients, U_t(x) = Σ_{i<j} u(r_ij, t) + ½ k Σ_i |x_i − x_com|², of a block of four
// systems (lane = system). Same formulas as src/systems/double_well.ts and lennard_jones.ts.
//
// kind 0: double well, parameters offset, linear, quadratic, quartic (n = 2 or 3, t unused);
// kind 1: Lennard-Jones "shifted", kind 2: "beutler", parameters ε, k, alpha (n = 3);
// kind 3: a molecule, see molecule_energies.ts (n = 3, t unused).
//
// Each pair is visited once (Newton's third law). Energies are summed in two levels, per particle and
// then over particles: one running f32 sum loses digits when thousands of pairs are far apart.
import { moleculeEnergies } from "./molecule_energies";
import {
  beginKick, beginLeap, CENTRE, endKick, endLeap, kickRow, leapRow, setKick, setLeap, setRecoil,
} from "./pair_kick";
import { fma, fnma } from "./simd";

// Constants of one call, splatted, read back with v128.load inside the loops (see simd.ts):
// double well: 0 offset, 1 linear, 2 quadratic, 3 quartic, 4 2·quadratic, 5 4·quartic, 6 one;
// Lennard-Jones: 0 soft core (α(1 − t)², a, or 1 − t), 1 c ("shifted") or s, 2 two·c or s², 3 ε, 4 −12 ε,
// 5 k, 6 one, 7 ½ k.
const CONSTANTS = memory.data(8 * 16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 {
  return v128.load(CONSTANTS + (k << 4));
}

// @ts-ignore: decorator
@inline function setConstant(k: usize, value: f32): void {
  v128.store(CONSTANTS + (k << 4), f32x4.splat(value));
}

// @ts-ignore: decorator
@inline const DOUBLE_WELL: i32 = 0;
// @ts-ignore: decorator
@inline const SHIFTED: i32 = 1;
// @ts-ignore: decorator
@inline const BEUTLER: i32 = 2;
// @ts-ignore: decorator
@inline const MOLECULE: i32 = 3;

// What happens to a particle when its last pair is done: its gradient is stored, or it is kicked or leaps
// (see pair_kick.ts), in an oscillator or in one that saturates.
// @ts-ignore: decorator
@inline const STORE: i32 = 0;
// @ts-ignore: decorator
@inline const KICK: i32 = 1;
// @ts-ignore: decorator
@inline const KICK_SATURATING: i32 = 2;
// A leapfrog, whose energy nobody asks for.
// @ts-ignore: decorator
@inline const LEAP: i32 = 3;
// @ts-ignore: decorator
@inline const LEAP_SATURATING: i32 = 4;

/** Clears the gradient; CENTRE ← x_com (n = 3). */
function prepare(x: usize, gradient: usize, N: i32): void {
  const zero = f32x4.splat(0);
  let cx = zero, cy = zero, cz = zero;
  for (let end = x + <usize>N * 48; x < end; x += 48, gradient += 48) {
    cx = f32x4.add(cx, v128.load(x));
    cy = f32x4.add(cy, v128.load(x, 16));
    cz = f32x4.add(cz, v128.load(x, 32));
    v128.store(gradient, zero);
    v128.store(gradient, zero, 16);
    v128.store(gradient, zero, 32);
  }
  setCentre(cx, cy, cz, N);
}

/** CENTRE from the sums of the coordinates. */
// @ts-ignore: decorator
@inline export function setCentre(x: v128, y: v128, z: v128, N: i32): void {
  const share = f32x4.splat(<f32>(1.0 / <f64>N));
  v128.store(CENTRE, f32x4.mul(x, share));
  v128.store(CENTRE, f32x4.mul(y, share), 16);
  v128.store(CENTRE, f32x4.mul(z, share), 32);
}

// Beutler: q = 1/(r⁶ + core), u/ε = q (q − 2 s), u′/r = −12 ε (q − s)(q r²)²; s = 1 but on pair paths.
// @ts-ignore: decorator
@inline function beutlerQ(squared: v128, one: v128): v128 {
  return f32x4.div(one, fma(f32x4.mul(squared, squared), squared, constant(0)));
}
// Below, `less` is q − s. A kick sums (q − s)², which takes less than q (q − 2 s) and is as much
// more as its row has been given s² less; where every pair is far away, the other has more digits.
// @ts-ignore: decorator
@inline function beutlerEnergy(ending: i32, q: v128, s: v128, less: v128, sum: v128): v128 {
  if (ending >= LEAP) return sum;
  if (ending != STORE) return fma(less, less, sum);
  return fma(q, f32x4.sub(less, s), sum);
}
// @ts-ignore: decorator
@inline function beutlerSlope(q: v128, less: v128, squared: v128): v128 {
  const qr2 = f32x4.mul(q, squared);
  return f32x4.mul(f32x4.mul(qr2, qr2), less);
}

/**
 * U_t and, in a cleared gradient, ∂U_t/∂x. The Lennard-Jones loops leave out a factor of u (ε) and of
 * u′/r (−12 ε); a particle gets it, and its oscillator, when its last pair is done. `kind`, `n` and
 * `ending` are literals, so each call compiles to its own loop without branches. `beside`: norms of a kick or
 * velocities of a leap, which return nothing of use.
 */
// @ts-ignore: decorator
@inline function pairs(
  kind: i32, n: i32, ending: i32, x: usize, gradient: usize, beside: usize, N: i32,
): v128 {
  const stride: usize = n == 3 ? 48 : 32;
  const distance = gradient - x;
  const end = x + <usize>N * stride;
  let energy = f32x4.splat(0);
  // Less the pairs of the row at hand.
  let partners = -N;
  for (let at = x; at < end; at += stride) {
    const xi = v128.load(at);
    const yi = v128.load(at, 16);
    const zi = n == 3 ? v128.load(at, 32) : xi;
    const gi = at + distance;
    let gx = v128.load(gi);
    let gy = v128.load(gi, 16);
    let gz = n == 3 ? v128.load(gi, 32) : gx;
    let own = f32x4.splat(0);
    let to = at + stride;
    if (ending == KICK || ending == KICK_SATURATING) {
      own = f32x4.splat(<f32>(++partners) * load<f32>(CONSTANTS, 32));
    }
    if (kind == BEUTLER) {
      // Two pairs at a time: the second's division runs beside the first's arithmetic, and no load of a
      // position waits for a store.
      for (const last = end - stride; to < last; to += 2 * stride) {
        const dx0 = f32x4.sub(xi, v128.load(to));
        const dy0 = f32x4.sub(yi, v128.load(to, 16));
        const dz0 = f32x4.sub(zi, v128.load(to, 32));
        const squared0 = fma(dz0, dz0, fma(dy0, dy0, f32x4.mul(dx0, dx0)));
        const one = constant(6);
        const s = constant(1);
        const q0 = beutlerQ(squared0, one);
        const dx1 = f32x4.sub(xi, v128.load(to, 48));
        const dy1 = f32x4.sub(yi, v128.load(to, 64));
        const dz1 = f32x4.sub(zi, v128.load(to, 80));
        const squared1 = fma(dz1, dz1, fma(dy1, dy1, f32x4.mul(dx1, dx1)));
        const q1 = beutlerQ(squared1, one);
        const gj = to + distance;
        const less0 = f32x4.sub(q0, s);
        own = beutlerEnergy(ending, q0, s, less0, own);
        const slope0 = beutlerSlope(q0, less0, squared0);
        gx = fma(slope0, dx0, gx);
        gy = fma(slope0, dy0, gy);
        gz = fma(slope0, dz0, gz);
        v128.store(gj, fnma(slope0, dx0, v128.load(gj)));
        v128.store(gj, fnma(slope0, dy0, v128.load(gj, 16)), 16);
        v128.store(gj, fnma(slope0, dz0, v128.load(gj, 32)), 32);
        const less1 = f32x4.sub(q1, s);
        own = beutlerEnergy(ending, q1, s, less1, own);
        const slope1 = beutlerSlope(q1, less1, squared1);
        gx = fma(slope1, dx1, gx);
        gy = fma(slope1, dy1, gy);
        gz = fma(slope1, dz1, gz);
        v128.store(gj, fnma(slope1, dx1, v128.load(gj, 48)), 48);
        v128.store(gj, fnma(slope1, dy1, v128.load(gj, 64)), 64);
        v128.store(gj, fnma(slope1, dz1, v128.load(gj, 80)), 80);
      }
    }
    for (; to < end; to += stride) {
      const dx = f32x4.sub(xi, v128.load(to));
      const dy = f32x4.sub(yi, v128.load(to, 16));
      const dz = n == 3 ? f32x4.sub(zi, v128.load(to, 32)) : dx;
      let squared = fma(dy, dy, f32x4.mul(dx, dx));
      if (n == 3) squared = fma(dz, dz, squared);
      let slope: v128;
      if (kind == DOUBLE_WELL) {
        const r = f32x4.sqrt(squared);
        const d = f32x4.sub(r, constant(0));
        const d2 = f32x4.mul(d, d);
        own = fma(d, fma(d, fma(d2, constant(3), constant(2)), constant(1)), own);
        slope = f32x4.div(fma(d, fma(d2, constant(5), constant(4)), constant(1)), r);
      } else if (kind == SHIFTED) {
        const r = f32x4.sqrt(squared);
        const shifted = f32x4.add(r, constant(0));
        const inverse = f32x4.div(constant(6), shifted);
        const inverse2 = f32x4.mul(inverse, inverse);
        const s = f32x4.mul(f32x4.mul(inverse2, inverse2), inverse2);
        own = fma(s, f32x4.sub(s, constant(2)), own);
        slope = f32x4.div(
          f32x4.mul(f32x4.mul(s, inverse), f32x4.sub(s, constant(1))),
          r,
        );
      } else {
        const s = constant(1);
        const q = beutlerQ(squared, constant(6));
        const less = f32x4.sub(q, s);
        own = beutlerEnergy(ending, q, s, less, own);
        slope = beutlerSlope(q, less, squared);
      }
      gx = fma(slope, dx, gx);
      gy = fma(slope, dy, gy);
      const gj = to + distance;
      v128.store(gj, fnma(slope, dx, v128.load(gj)));
      v128.store(gj, fnma(slope, dy, v128.load(gj, 16)), 16);
      if (n == 3) {
        gz = fma(slope, dz, gz);
        v128.store(gj, fnma(slope, dz, v128.load(gj, 32)), 32);
      }
    }
    if (kind == DOUBLE_WELL) {
      v128.store(gi, gx);
      v128.store(gi, gy, 16);
      if (n == 3) v128.store(gi, gz, 32);
      energy = f32x4.add(energy, own);
    } else if (ending >= LEAP) {
      leapRow(ending == LEAP_SATURATING, xi, yi, zi, gx, gy, gz, gi, at, beside);
      beside += 48;
    } else if (ending != STORE) {
      kickRow(ending == KICK_SATURATING, xi, yi, zi, gx, gy, gz, own, gi, beside);
      beside += 16;
    } else {
      const dx = f32x4.sub(xi, v128.load(CENTRE));
      const dy = f32x4.sub(yi, v128.load(CENTRE, 16));
      const dz = f32x4.sub(zi, v128.load(CENTRE, 32));
      const scale = constant(4);
      const spring = constant(5);
      gx = fma(scale, gx, f32x4.mul(spring, dx));
      gy = fma(scale, gy, f32x4.mul(spring, dy));
      gz = fma(scale, gz, f32x4.mul(spring, dz));
      v128.store(gi, gx);
      v128.store(gi, gy, 16);
      v128.store(gi, gz, 32);
      const squares = fma(dx, dx, fma(dy, dy, f32x4.mul(dz, dz)));
      energy = f32x4.add(energy, fma(constant(3), own, f32x4.mul(constant(7), squares)));
    }
  }
  return energy;
}

function doubleWell2(x: usize, gradient: usize, N: i32): v128 {
  return pairs(DOUBLE_WELL, 2, STORE, x, gradient, x, N);
}
function doubleWell3(x: usize, gradient: usize, N: i32): v128 {
  return pairs(DOUBLE_WELL, 3, STORE, x, gradient, x, N);
}
function shifted3(x: usize, gradient: usize, N: i32): v128 {
  return pairs(SHIFTED, 3, STORE, x, gradient, x, N);
}
function beutler3(x: usize, gradient: usize, N: i32): v128 {
  return pairs(BEUTLER, 3, STORE, x, gradient, x, N);
}
function kicked3(x: usize, gradient: usize, factors: usize, N: i32): void {
  pairs(BEUTLER, 3, KICK, x, gradient, factors, N);
}
function kickedSaturating3(x: usize, gradient: usize, factors: usize, N: i32): void {
  pairs(BEUTLER, 3, KICK_SATURATING, x, gradient, factors, N);
}

/** U_t of one block; overwrites gradient (N·n f32x4) with ∂U_t/∂x. `parameters`: f32[]. */
export function pairEnergies(
  kind: i32, parameters: usize, x: usize, gradient: usize, N: i32, n: i32, t: f32,
): v128 {
  if (kind == MOLECULE) return moleculeEnergies(parameters, x, gradient, t);
  setConstant(6, 1);
  if (kind == DOUBLE_WELL) {
    const quadratic = load<f32>(parameters, 8);
    const quartic = load<f32>(parameters, 12);
    setConstant(0, load<f32>(parameters));
    setConstant(1, load<f32>(parameters, 4));
    setConstant(2, quadratic);
    setConstant(3, quartic);
    setConstant(4, 2 * quadratic);
    setConstant(5, 4 * quartic);
    // Not memory.fill: a call out of the module costs as much as a small system's pairs.
    const zero = f32x4.splat(0);
    for (let at = gradient, end = at + (<usize>(N * n) << 4); at < end; at += 16) {
      v128.store(at, zero);
    }
    return n == 3 ? doubleWell3(x, gradient, N) : doubleWell2(x, gradient, N);
  }
  const epsilon = load<f32>(parameters);
  const k = load<f32>(parameters, 4);
  setConstant(3, epsilon);
  setConstant(4, -12 * epsilon);
  setConstant(5, k);
  setConstant(7, 0.5 * k);
  prepare(x, gradient, N);
  const left: f32 = 1 - t;
  // At t = 1 both soft cores are the target, which needs no square root.
  if (kind == SHIFTED && left != 0) {
    const outer: f32 = 1 / (1 + left);
    const cube = outer * outer * outer;
    setConstant(0, left);
    setConstant(1, cube * cube);
    setConstant(2, 2 * cube * cube);
    return shifted3(x, gradient, N);
  }
  setConstant(0, kind == SHIFTED ? 0 : load<f32>(parameters, 8) * left * left);
  setConstant(1, 1);
  return beutler3(x, gradient, N);
}

/**
 * ε Σ_{i<j} (q² − 2 s q) + ½ k Σ_i |x_i − x_com|², q = 1/(r⁶ + a), of one block (n = 3), the energy of a
 * pair path's level; overwrites gradient. `parameters`: f32[4], ε, s, a, k.
 */
export function softLennardJones(parameters: usize, x: usize, gradient: usize, N: i32): v128 {
  prepare(x, gradient, N);
  return preparedLennardJones(parameters, x, gradient, N);
}

/** The same where the gradient is clear and `setCentre` was called: whoever moved x did both on the way. */
// @ts-ignore: decorator
@inline export function preparedLennardJones(
  parameters: usize, x: usize, gradient: usize, N: i32,
): v128 {
  setLevel(parameters);
  return beutler3(x, gradient, N);
}
function leapt3(x: usize, gradient: usize, v: usize, N: i32): void {
  pairs(BEUTLER, 3, LEAP, x, gradient, v, N);
}
function leaptSaturating3(x: usize, gradient: usize, v: usize, N: i32): void {
  pairs(BEUTLER, 3, LEAP_SATURATING, x, gradient, v, N);
}

/**
 * What kickedLennardJones needs of a level, for all blocks. ε is not 0; `target` and `inverse`: κ of the
 * target and 1/R² of PairPathLevels.saturation, 0 for none; `factor` is that of the half kick.
 */
export function setKickedLevel(parameters: usize, target: f32, inverse: f32, clip: f32, factor: f32): void {
  const s = load<f32>(parameters, 4);
  setConstant(0, load<f32>(parameters, 8));
  setConstant(1, s);
  setConstant(2, s * s);
  setConstant(6, 1);
  setKick(load<f32>(parameters), load<f32>(parameters, 12), target, inverse, clip, factor);
}

/**
 * What leaptLennardJones needs of a level and of dt, that of each lane. ε, target and inverse as in
 * setKickedLevel.
 */
export function setLeaptLevel(parameters: usize, target: f32, inverse: f32, dt: v128): void {
  setKickedLevel(parameters, target, inverse, 0, 0);
  setLeap(load<f32>(parameters), dt);
}

/**
 * A leapfrog of the force of the level last set by setLeaptLevel, v ← v − dt F, x ← x + dt v, where
 * preparedLennardJones could be called, and can be after it.
 */
export function leaptLennardJones(
  saturating: bool, x: usize, gradient: usize, v: usize, N: i32,
): void {
  beginLeap();
  if (saturating) {
    setRecoil(x, N, 0);
    leaptSaturating3(x, gradient, v, N);
  } else {
    leapt3(x, gradient, v, N);
  }
  endLeap(N);
}

/**
 * preparedLennardJones at the level last set by setKickedLevel, and the whole kick of an underdamped
 * transition by its clipped force, but for the mean of the kick (KICK_MEAN). `gradient`: N·n + N + 1
 * f32x4. Leaves the gradient clear.
 */
export function kickedLennardJones(
  parameters: usize, saturating: bool, x: usize, gradient: usize, v: usize, N: i32,
): v128 {
  // The first particle has none before it: a place for what kickRow makes of that.
  const factors = gradient + <usize>N * 48 + 16;
  beginKick();
  if (saturating) {
    setRecoil(x, N, factors);
    kickedSaturating3(x, gradient, factors, N);
  } else {
    kicked3(x, gradient, factors, N);
  }
  return endKick(saturating, load<f32>(parameters), gradient, factors, v, N);
}

// @ts-ignore: decorator
@inline function setLevel(parameters: usize): void {
  const epsilon = load<f32>(parameters);
  const k = load<f32>(parameters, 12);
  setConstant(0, load<f32>(parameters, 8));
  setConstant(1, load<f32>(parameters, 4));
  setConstant(3, epsilon);
  setConstant(4, -12 * epsilon);
  setConstant(5, k);
  setConstant(6, 1);
  setConstant(7, 0.5 * k);
}

/** pairEnergies of `blocks` consecutive blocks; energies: `blocks` f32x4. */
export function pairEnergiesBatch(
  kind: i32, parameters: usize, x: usize, gradient: usize, energies: usize,
  N: i32, n: i32, t: f32, blocks: i32,
): void {
  const size = <usize>(N * n) << 4;
  for (let b = 0; b < blocks; b++) {
    v128.store(energies, pairEnergies(kind, parameters, x, gradient, N, n, t));
    x += size;
    gradient += size;
    energies += 16;
  }
}

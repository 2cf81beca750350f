// Internal coordinates z = (r, θ, τ) of a block of four molecules (lane = system): positions, the
// logarithm of the volume element and the chain rule. The formulas are those of
// src/systems/molecule/zmatrix.ts, the rows are packed by src/backends/wasm/internal_path.ts.
import { fma, fnma } from "./simd";
import { log4, sincos4 } from "./math";

/** A row, i32[8]: byte offsets of the atom, its bond, angle and dihedral partners; the row of the bond
 * partner (−1: the root); rows whose atoms turn with this torsion, from this one on; ends of the
 * symmetric rotor that starts here (0: none); unused. */
// @ts-ignore: decorator
@inline const ROW: usize = 32;

// 0 one, 1 1/2π, 2 one half, 3 one third, 4 LEAST_BOND, 5 LEAST_ANGLE, 6 π − LEAST_ANGLE, 7 two.
const CONSTANTS = memory.data<f32>([
  1, 0.15915494309189535, 0.5, 0.3333333333333333, 0.02, 0.05, 3.0915926535897933, 2,
], 16);
// cos θ, sin θ, cos τ, sin τ of the row at hand.
const ANGLES = memory.data(4 * 16, 16);
const DIRECTION = memory.data(3 * 16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load_splat<f32>(CONSTANTS + (k << 2)); }

// @ts-ignore: decorator
@inline function rowAt(rows: usize, k: i32, field: usize): usize {
  return <usize>load<i32>(rows + <usize>k * ROW + (field << 2));
}

// @ts-ignore: decorator
@inline function coordinate(z: usize, k: i32): v128 { return v128.load(z + (<usize>k << 4)); }

/** Unit vector from one atom to another, to DIRECTION. */
// @ts-ignore: decorator
@inline function direction(x: usize, from: usize, to: usize): void {
  const dx = f32x4.sub(v128.load(x + to), v128.load(x + from));
  const dy = f32x4.sub(v128.load(x + to, 16), v128.load(x + from, 16));
  const dz = f32x4.sub(v128.load(x + to, 32), v128.load(x + from, 32));
  const inverse = f32x4.div(
    constant(0), f32x4.sqrt(fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx)))),
  );
  v128.store(DIRECTION, f32x4.mul(dx, inverse));
  v128.store(DIRECTION, f32x4.mul(dy, inverse), 16);
  v128.store(DIRECTION, f32x4.mul(dz, inverse), 32);
}

/** The dihedral that row k is placed by: that of a rotor's first end is χ − Σd/m. */
// @ts-ignore: decorator
@inline function torsion(rows: usize, k: i32, z: usize, N: i32): v128 {
  const at = z + (<usize>(2 * N - 5 + k) << 4);
  const ends = rowAt(rows, k, 6);
  const value = v128.load(at);
  if (ends == 2) return fnma(constant(2), v128.load(at, 16), value);
  if (ends == 3) return fnma(constant(3), f32x4.add(v128.load(at, 16), v128.load(at, 32)), value);
  return value;
}

/** Positions (3N f32x4) of z; the root, at byte offset `root`, at the origin. */
export function internalToCartesian(rows: usize, root: usize, N: i32, z: usize, x: usize): void {
  const zero = f32x4.splat(0);
  v128.store(x + root, zero);
  v128.store(x + root, zero, 16);
  v128.store(x + root, zero, 32);
  const first = x + rowAt(rows, 0, 0);
  v128.store(first, coordinate(z, 0));
  v128.store(first, zero, 16);
  v128.store(first, zero, 32);
  const perTurn = constant(1);
  for (let k = 1; k < N - 1; k++) {
    const atom = x + rowAt(rows, k, 0);
    const bonded = rowAt(rows, k, 1);
    const r = coordinate(z, k);
    sincos4(f32x4.mul(coordinate(z, N - 2 + k), perTurn), ANGLES, ANGLES + 16);
    const cosine = v128.load(ANGLES), sine = v128.load(ANGLES, 16);
    const bx = v128.load(x + bonded), by = v128.load(x + bonded, 16), bz = v128.load(x + bonded, 32);
    if (k == 1) {
      v128.store(atom, fma(r, cosine, bx));
      v128.store(atom, fma(r, sine, by), 16);
      v128.store(atom, zero, 32);
      continue;
    }
    sincos4(f32x4.mul(torsion(rows, k, z, N), perTurn), ANGLES + 32, ANGLES + 48);
    const angle = rowAt(rows, k, 2);
    direction(x, rowAt(rows, k, 3), angle);
    const px = v128.load(DIRECTION), py = v128.load(DIRECTION, 16), pz = v128.load(DIRECTION, 32);
    direction(x, angle, bonded);
    const ux = v128.load(DIRECTION), uy = v128.load(DIRECTION, 16), uz = v128.load(DIRECTION, 32);
    let nx = fnma(pz, uy, f32x4.mul(py, uz));
    let ny = fnma(px, uz, f32x4.mul(pz, ux));
    let nz = fnma(py, ux, f32x4.mul(px, uy));
    const inverse = f32x4.div(
      constant(0), f32x4.sqrt(fma(nz, nz, fma(ny, ny, f32x4.mul(nx, nx)))),
    );
    nx = f32x4.mul(nx, inverse);
    ny = f32x4.mul(ny, inverse);
    nz = f32x4.mul(nz, inverse);
    const mx = fnma(nz, uy, f32x4.mul(ny, uz));
    const my = fnma(nx, uz, f32x4.mul(nz, ux));
    const mz = fnma(ny, ux, f32x4.mul(nx, uy));
    const along = f32x4.neg(f32x4.mul(r, cosine));
    const across = f32x4.mul(r, sine);
    const side = f32x4.mul(across, v128.load(ANGLES, 32));
    const out = f32x4.mul(across, v128.load(ANGLES, 48));
    v128.store(atom, f32x4.add(bx, fma(out, nx, fma(side, mx, f32x4.mul(along, ux)))));
    v128.store(atom, f32x4.add(by, fma(out, ny, fma(side, my, f32x4.mul(along, uy)))), 16);
    v128.store(atom, f32x4.add(bz, fma(out, nz, fma(side, mz, f32x4.mul(along, uz)))), 32);
  }
}

/** All ones where z is a molecule: bonds and angles within their bounds. NaN is none. */
export function internalDomain(N: i32, z: usize): v128 {
  let inside = i32x4.splat(-1);
  for (let k = 0; k < N - 1; k++) {
    inside = v128.and(inside, f32x4.gt(coordinate(z, k), constant(4)));
  }
  for (let k = N - 1; k < 2 * N - 3; k++) {
    const angle = coordinate(z, k);
    inside = v128.and(inside, f32x4.gt(angle, constant(5)));
    inside = v128.and(inside, f32x4.lt(angle, constant(6)));
  }
  return inside;
}

/** Σ 2 log r + Σ log sin θ; subtracts its gradient from `gradient`. */
export function internalLogJacobian(N: i32, z: usize, gradient: usize): v128 {
  let sum = f32x4.splat(0);
  for (let k = 0; k < N - 1; k++) {
    const r = coordinate(z, k);
    const atR = gradient + (<usize>k << 4);
    v128.store(atR, f32x4.sub(v128.load(atR), f32x4.div(constant(7), r)));
    let volume = f32x4.mul(r, r);
    if (k > 0) {
      sincos4(f32x4.mul(coordinate(z, N - 2 + k), constant(1)), ANGLES, ANGLES + 16);
      const sine = v128.load(ANGLES, 16);
      volume = f32x4.mul(volume, sine);
      const atAngle = gradient + (<usize>(N - 2 + k) << 4);
      v128.store(atAngle, f32x4.sub(v128.load(atAngle), f32x4.div(v128.load(ANGLES), sine)));
    }
    sum = f32x4.add(sum, log4(volume));
  }
  return sum;
}

/** Derivative by a turn of branch l about the axis (ax, ay, az) through the atom at p. */
// @ts-ignore: decorator
@inline function turn(branch: usize, ax: v128, ay: v128, az: v128, p: usize): v128 {
  const px = v128.load(p), py = v128.load(p, 16), pz = v128.load(p, 32);
  const fx = v128.load(branch), fy = v128.load(branch, 16), fz = v128.load(branch, 32);
  const tx = f32x4.sub(v128.load(branch, 48), fnma(pz, fy, f32x4.mul(py, fz)));
  const ty = f32x4.sub(v128.load(branch, 64), fnma(px, fz, f32x4.mul(pz, fx)));
  const tz = f32x4.sub(v128.load(branch, 80), fnma(py, fx, f32x4.mul(px, fy)));
  return fma(az, tz, fma(ay, ty, f32x4.mul(ax, tx)));
}

// @ts-ignore: decorator
@inline const BRANCH: usize = 96; // bytes of a branch's force and torque

/** Bytes of the scratch of internalChain. */
export function internalChainScratch(N: i32): i32 { return (N - 1) * <i32>BRANCH; }

/** ∂E/∂z (overwritten) from ∂E/∂x at positions x of z, by forces and torques of whole branches. */
export function internalChain(
  rows: usize, N: i32, x: usize, byX: usize, byZ: usize, scratch: usize,
): void {
  const zero = f32x4.splat(0);
  const n = N - 1;
  for (let at = scratch, end = scratch + <usize>n * BRANCH; at < end; at += 16) v128.store(at, zero);
  for (let k = n - 1; k >= 0; k--) {
    const atom = rowAt(rows, k, 0);
    const to = scratch + <usize>k * BRANCH;
    const px = v128.load(x + atom), py = v128.load(x + atom, 16), pz = v128.load(x + atom, 32);
    const gx = v128.load(byX + atom), gy = v128.load(byX + atom, 16), gz = v128.load(byX + atom, 32);
    const fx = f32x4.add(v128.load(to), gx);
    const fy = f32x4.add(v128.load(to, 16), gy);
    const fz = f32x4.add(v128.load(to, 32), gz);
    const tx = f32x4.add(v128.load(to, 48), fnma(pz, gy, f32x4.mul(py, gz)));
    const ty = f32x4.add(v128.load(to, 64), fnma(px, gz, f32x4.mul(pz, gx)));
    const tz = f32x4.add(v128.load(to, 80), fnma(py, gx, f32x4.mul(px, gy)));
    v128.store(to, fx);
    v128.store(to, fy, 16);
    v128.store(to, fz, 32);
    v128.store(to, tx, 48);
    v128.store(to, ty, 64);
    v128.store(to, tz, 80);
    const parent = <i32>rowAt(rows, k, 4);
    if (parent < 0) continue;
    const up = scratch + <usize>parent * BRANCH;
    v128.store(up, f32x4.add(v128.load(up), fx));
    v128.store(up, f32x4.add(v128.load(up, 16), fy), 16);
    v128.store(up, f32x4.add(v128.load(up, 32), fz), 32);
    v128.store(up, f32x4.add(v128.load(up, 48), tx), 48);
    v128.store(up, f32x4.add(v128.load(up, 64), ty), 64);
    v128.store(up, f32x4.add(v128.load(up, 80), tz), 80);
  }
  for (let k = 0; k < n; k++) {
    const branch = scratch + <usize>k * BRANCH;
    const bonded = rowAt(rows, k, 1);
    direction(x, bonded, rowAt(rows, k, 0));
    const ax = v128.load(DIRECTION), ay = v128.load(DIRECTION, 16), az = v128.load(DIRECTION, 32);
    v128.store(
      byZ + (<usize>k << 4),
      fma(az, v128.load(branch, 32), fma(ay, v128.load(branch, 16), f32x4.mul(ax, v128.load(branch)))),
    );
    if (k == 0) continue;
    direction(x, bonded, rowAt(rows, k, 2));
    const bx = v128.load(DIRECTION), by = v128.load(DIRECTION, 16), bz = v128.load(DIRECTION, 32);
    const nx = fnma(bz, ay, f32x4.mul(by, az));
    const ny = fnma(bx, az, f32x4.mul(bz, ax));
    const nz = fnma(by, ax, f32x4.mul(bx, ay));
    const length = f32x4.sqrt(fma(nz, nz, fma(ny, ny, f32x4.mul(nx, nx))));
    v128.store(
      byZ + (<usize>(N - 2 + k) << 4), f32x4.div(turn(branch, nx, ny, nz, x + bonded), length),
    );
    if (k == 1) continue;
    let sum = zero;
    const turned = load<i32>(rows + <usize>k * ROW, 20);
    for (let l = 0; l < turned; l++) {
      sum = f32x4.sub(sum, turn(branch + <usize>l * BRANCH, bx, by, bz, x + bonded));
    }
    v128.store(byZ + (<usize>(2 * N - 5 + k) << 4), sum);
  }
  // t = χ − Σd/m.
  for (let k = 2; k < n; k++) {
    const ends = rowAt(rows, k, 6);
    if (ends == 0) continue;
    const at = byZ + (<usize>(2 * N - 5 + k) << 4);
    const share = f32x4.mul(v128.load(at), constant(ends == 2 ? 2 : 3));
    v128.store(at, f32x4.sub(v128.load(at, 16), share), 16);
    if (ends == 3) v128.store(at, f32x4.sub(v128.load(at, 32), share), 32);
  }
}

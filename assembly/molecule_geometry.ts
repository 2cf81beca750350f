// Bonds, angles and torsions of a block of four molecules (lane = system): energies over kT, their
// gradients added to a block. Tables as src/systems/molecule/packed.ts writes them; the formulas are
// those of src/systems/molecule/bonded.ts.
import { fma, fnma } from "./simd";
import { atan24 } from "./math";

// @ts-ignore: decorator
@inline const ONE: usize = memory.data<f32>([1, 1, 1, 1], 16);

/** The byte offset of an atom that stands at `at`. */
// @ts-ignore: decorator
@inline export function atomAt(at: usize, k: usize): usize {
  return <usize>load<f32>(at + (k << 2));
}

// @ts-ignore: decorator
@inline export function numberAt(at: usize, k: usize): v128 {
  return v128.load_splat<f32>(at + (k << 2));
}

/** gradient += (x, y, z). */
// @ts-ignore: decorator
@inline export function addForce(at: usize, x: v128, y: v128, z: v128): void {
  v128.store(at, f32x4.add(v128.load(at), x));
  v128.store(at, f32x4.add(v128.load(at, 16), y), 16);
  v128.store(at, f32x4.add(v128.load(at, 32), z), 32);
}

/** Σ ½ k (r − r₀)²; rows i, j, r₀, k. */
export function bondEnergies(row: usize, count: i32, x: usize, gradient: usize): v128 {
  let energy = f32x4.splat(0);
  for (const end = row + <usize>count * 16; row < end; row += 16) {
    const i = atomAt(row, 0), j = atomAt(row, 1);
    const dx = f32x4.sub(v128.load(x + i), v128.load(x + j));
    const dy = f32x4.sub(v128.load(x + i, 16), v128.load(x + j, 16));
    const dz = f32x4.sub(v128.load(x + i, 32), v128.load(x + j, 32));
    const r = f32x4.sqrt(fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx))));
    const stretch = f32x4.sub(r, numberAt(row, 2));
    const force = f32x4.mul(numberAt(row, 3), stretch);
    energy = fma(force, stretch, energy);
    const slope = f32x4.div(force, r);
    const fx = f32x4.mul(slope, dx), fy = f32x4.mul(slope, dy), fz = f32x4.mul(slope, dz);
    addForce(gradient + i, fx, fy, fz);
    addForce(gradient + j, f32x4.neg(fx), f32x4.neg(fy), f32x4.neg(fz));
  }
  return f32x4.mul(energy, f32x4.splat(0.5));
}

/** Σ ½ k (θ − θ₀)²; rows i, j, k, θ₀, constant. */
export function angleEnergies(row: usize, count: i32, x: usize, gradient: usize): v128 {
  let energy = f32x4.splat(0);
  for (const end = row + <usize>count * 20; row < end; row += 20) {
    const i = atomAt(row, 0), j = atomAt(row, 1), k = atomAt(row, 2);
    const xj = v128.load(x + j), yj = v128.load(x + j, 16), zj = v128.load(x + j, 32);
    const ux = f32x4.sub(v128.load(x + i), xj);
    const uy = f32x4.sub(v128.load(x + i, 16), yj);
    const uz = f32x4.sub(v128.load(x + i, 32), zj);
    const vx = f32x4.sub(v128.load(x + k), xj);
    const vy = f32x4.sub(v128.load(x + k, 16), yj);
    const vz = f32x4.sub(v128.load(x + k, 32), zj);
    const nx = fnma(uz, vy, f32x4.mul(uy, vz));
    const ny = fnma(ux, vz, f32x4.mul(uz, vx));
    const nz = fnma(uy, vx, f32x4.mul(ux, vy));
    const cross = f32x4.sqrt(fma(nz, nz, fma(ny, ny, f32x4.mul(nx, nx))));
    const dot = fma(uz, vz, fma(uy, vy, f32x4.mul(ux, vx)));
    const bend = f32x4.sub(atan24(cross, dot), numberAt(row, 3));
    const slope = f32x4.mul(numberAt(row, 4), bend);
    energy = fma(slope, bend, energy);
    const u2 = fma(uz, uz, fma(uy, uy, f32x4.mul(ux, ux)));
    const v2 = fma(vz, vz, fma(vy, vy, f32x4.mul(vx, vx)));
    // On a line there is no direction to turn in: u × v = 0 makes the gradient 0, not NaN.
    const divisor = f32x4.max(cross, f32x4.splat(1e-18));
    const su = f32x4.div(slope, f32x4.mul(u2, divisor));
    const sv = f32x4.div(slope, f32x4.mul(v2, divisor));
    const ix = f32x4.mul(fnma(uz, ny, f32x4.mul(uy, nz)), su);
    const iy = f32x4.mul(fnma(ux, nz, f32x4.mul(uz, nx)), su);
    const iz = f32x4.mul(fnma(uy, nx, f32x4.mul(ux, ny)), su);
    const kx = f32x4.mul(fnma(nz, vy, f32x4.mul(ny, vz)), sv);
    const ky = f32x4.mul(fnma(nx, vz, f32x4.mul(nz, vx)), sv);
    const kz = f32x4.mul(fnma(ny, vx, f32x4.mul(nx, vy)), sv);
    addForce(gradient + i, ix, iy, iz);
    addForce(gradient + k, kx, ky, kz);
    addForce(
      gradient + j,
      f32x4.neg(f32x4.add(ix, kx)),
      f32x4.neg(f32x4.add(iy, ky)),
      f32x4.neg(f32x4.add(iz, kz)),
    );
  }
  return f32x4.mul(energy, f32x4.splat(0.5));
}

/**
 * Σ constant + Σ_n a_n cos nφ + b_n sin nφ; rows i, j, k, l, M, constant, a_1, b_1, ..., a_M, b_M.
 * cos nφ and sin nφ come from those of φ by rotation, so that no angle is taken.
 */
export function torsionEnergies(row: usize, count: i32, x: usize, gradient: usize): v128 {
  let energy = f32x4.splat(0);
  for (; count > 0; count--) {
    const i = atomAt(row, 0), j = atomAt(row, 1), k = atomAt(row, 2), l = atomAt(row, 3);
    const one = v128.load(ONE);
    const xj = v128.load(x + j), yj = v128.load(x + j, 16), zj = v128.load(x + j, 32);
    const xk = v128.load(x + k), yk = v128.load(x + k, 16), zk = v128.load(x + k, 32);
    const fx = f32x4.sub(v128.load(x + i), xj);
    const fy = f32x4.sub(v128.load(x + i, 16), yj);
    const fz = f32x4.sub(v128.load(x + i, 32), zj);
    const gx = f32x4.sub(xj, xk), gy = f32x4.sub(yj, yk), gz = f32x4.sub(zj, zk);
    const hx = f32x4.sub(v128.load(x + l), xk);
    const hy = f32x4.sub(v128.load(x + l, 16), yk);
    const hz = f32x4.sub(v128.load(x + l, 32), zk);
    const ax = fnma(fz, gy, f32x4.mul(fy, gz));
    const ay = fnma(fx, gz, f32x4.mul(fz, gx));
    const az = fnma(fy, gx, f32x4.mul(fx, gy));
    const bx = fnma(hz, gy, f32x4.mul(hy, gz));
    const by = fnma(hx, gz, f32x4.mul(hz, gx));
    const bz = fnma(hy, gx, f32x4.mul(hx, gy));
    const inverseA = f32x4.div(one, fma(az, az, fma(ay, ay, f32x4.mul(ax, ax))));
    const inverseB = f32x4.div(one, fma(bz, bz, fma(by, by, f32x4.mul(bx, bx))));
    const g2 = fma(gz, gz, fma(gy, gy, f32x4.mul(gx, gx)));
    const g = f32x4.sqrt(g2);
    const scale = f32x4.mul(f32x4.sqrt(inverseA), f32x4.sqrt(inverseB));
    const cosine = f32x4.mul(fma(az, bz, fma(ay, by, f32x4.mul(ax, bx))), scale);
    const fb = fma(fz, bz, fma(fy, by, f32x4.mul(fx, bx)));
    const sine = f32x4.neg(f32x4.mul(f32x4.mul(fb, g), scale));
    let c = cosine, s = sine;
    energy = f32x4.add(energy, numberAt(row, 5));
    let slope = f32x4.splat(0);
    const last = <i32>load<f32>(row, 16);
    row += 24;
    let n = one;
    for (let m = 0; m < last; m++, row += 8) {
      const a = numberAt(row, 0), b = numberAt(row, 1);
      energy = fma(a, c, fma(b, s, energy));
      slope = fma(n, fnma(a, s, f32x4.mul(b, c)), slope);
      n = f32x4.add(n, one);
      const next = fnma(s, sine, f32x4.mul(c, cosine));
      s = fma(s, cosine, f32x4.mul(c, sine));
      c = next;
    }
    const inverseG2 = f32x4.div(one, g2);
    const sa = f32x4.mul(slope, f32x4.mul(g, inverseA));
    const sb = f32x4.mul(slope, f32x4.mul(g, inverseB));
    const fg = f32x4.mul(fma(fz, gz, fma(fy, gy, f32x4.mul(fx, gx))), inverseG2);
    const hg = f32x4.mul(fma(hz, gz, fma(hy, gy, f32x4.mul(hx, gx))), inverseG2);
    const ix = f32x4.mul(ax, sa), iy = f32x4.mul(ay, sa), iz = f32x4.mul(az, sa);
    const lx = f32x4.mul(bx, sb), ly = f32x4.mul(by, sb), lz = f32x4.mul(bz, sb);
    const mx = fnma(hg, lx, f32x4.mul(fg, ix));
    const my = fnma(hg, ly, f32x4.mul(fg, iy));
    const mz = fnma(hg, lz, f32x4.mul(fg, iz));
    addForce(gradient + i, f32x4.neg(ix), f32x4.neg(iy), f32x4.neg(iz));
    addForce(gradient + j, f32x4.add(ix, mx), f32x4.add(iy, my), f32x4.add(iz, mz));
    addForce(
      gradient + k,
      f32x4.neg(f32x4.add(mx, lx)),
      f32x4.neg(f32x4.add(my, ly)),
      f32x4.neg(f32x4.add(mz, lz)),
    );
    addForce(gradient + l, lx, ly, lz);
  }
  return energy;
}

/** Angles and dihedrals of points in a flat array, with their derivatives. */

/** Three numbers. */
export type Vector = Float64Array;

/** |u × v| (nm²) below which three points are on a line. */
const COLLINEAR = 1e-100;

/**
 * Angle i-j-k in [0, π], by atan2; out ← ∂θ/∂x_i (0..2) and ∂θ/∂x_k (3..5). That of j is minus their
 * sum. At 0 and π, where there is no direction to turn in, derivatives are 0 (linear groups rest there).
 */
export function angle(x: Vector, i: number, j: number, k: number, out?: Vector): number {
  const ux = x[3 * i] - x[3 * j],
    uy = x[3 * i + 1] - x[3 * j + 1],
    uz = x[3 * i + 2] - x[3 * j + 2];
  const vx = x[3 * k] - x[3 * j],
    vy = x[3 * k + 1] - x[3 * j + 1],
    vz = x[3 * k + 2] - x[3 * j + 2];
  const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
  const cross = Math.sqrt(nx * nx + ny * ny + nz * nz);
  const dot = ux * vx + uy * vy + uz * vz;
  if (out) {
    // ∂θ/∂u = (u × (u × v))/(|u|² |u × v|), ∂θ/∂v = ((u × v) × v)/(|v|² |u × v|)
    const divisor = Math.max(cross, COLLINEAR);
    const su = 1 / ((ux * ux + uy * uy + uz * uz) * divisor);
    const sv = 1 / ((vx * vx + vy * vy + vz * vz) * divisor);
    out[0] = (uy * nz - uz * ny) * su;
    out[1] = (uz * nx - ux * nz) * su;
    out[2] = (ux * ny - uy * nx) * su;
    out[3] = (ny * vz - nz * vy) * sv;
    out[4] = (nz * vx - nx * vz) * sv;
    out[5] = (nx * vy - ny * vx) * sv;
  }
  return Math.atan2(cross, dot);
}

/**
 * Dihedral i-j-k-l in (−π, π], positive clockwise looking along j → k (IUPAC; 0 is cis); out ← its
 * derivatives by x_i, x_j, x_k, x_l (12 numbers). Blondel and Karplus (1996), which has no
 * singularity but at collinear atoms.
 */
export function dihedral(
  x: Vector,
  i: number,
  j: number,
  k: number,
  l: number,
  out?: Vector,
): number {
  const fx = x[3 * i] - x[3 * j],
    fy = x[3 * i + 1] - x[3 * j + 1],
    fz = x[3 * i + 2] - x[3 * j + 2];
  const gx = x[3 * j] - x[3 * k],
    gy = x[3 * j + 1] - x[3 * k + 1],
    gz = x[3 * j + 2] - x[3 * k + 2];
  const hx = x[3 * l] - x[3 * k],
    hy = x[3 * l + 1] - x[3 * k + 1],
    hz = x[3 * l + 2] - x[3 * k + 2];
  const ax = fy * gz - fz * gy, ay = fz * gx - fx * gz, az = fx * gy - fy * gx;
  const bx = hy * gz - hz * gy, by = hz * gx - hx * gz, bz = hx * gy - hy * gx;
  const g = Math.sqrt(gx * gx + gy * gy + gz * gz);
  // cos φ ∝ a·b, sin φ ∝ (b × a)·g/|g|
  const cosine = ax * bx + ay * by + az * bz;
  const sine = ((by * az - bz * ay) * gx + (bz * ax - bx * az) * gy + (bx * ay - by * ax) * gz) / g;
  if (out) {
    const sa = g / (ax * ax + ay * ay + az * az);
    const sb = g / (bx * bx + by * by + bz * bz);
    const fg = (fx * gx + fy * gy + fz * gz) / (g * g);
    const hg = (hx * gx + hy * gy + hz * gz) / (g * g);
    const a = [ax * sa, ay * sa, az * sa];
    const b = [bx * sb, by * sb, bz * sb];
    for (let c = 0; c < 3; c++) {
      const s = fg * a[c] - hg * b[c];
      out[c] = -a[c];
      out[3 + c] = a[c] + s;
      out[6 + c] = -s - b[c];
      out[9 + c] = b[c];
    }
  }
  return Math.atan2(sine, cosine);
}

/**
 * Singular value decomposition of a 3×3 matrix by one-sided Jacobi rotations (Hestenes; Demmel and
 * Veselić 1992): robust for repeated and zero singular values, which a closed form is not.
 */

/** A = U diag(s) Vᵀ, s₁ ≥ s₂ ≥ s₃ ≥ 0; matrices row-major, 9 numbers. */
export interface Svd3 {
  readonly u: Float64Array;
  readonly s: Float64Array;
  readonly v: Float64Array;
}

export function newSvd3(): Svd3 {
  return { u: new Float64Array(9), s: new Float64Array(3), v: new Float64Array(9) };
}

const MAX_SWEEPS = 30;

/** Decomposes the row-major `a` (left untouched) into `out`. Entries that are not finite give NaN. */
export function svd3(a: ArrayLike<number>, out: Svd3): void {
  const { u, s, v } = out;
  let largest = 0;
  for (let i = 0; i < 9; i++) {
    u[i] = a[i];
    v[i] = i % 4 === 0 ? 1 : 0;
    // Not Math.max: it must let NaN through.
    if (!(Math.abs(a[i]) <= largest)) largest = Math.abs(a[i]);
  }
  if (!Number.isFinite(largest)) {
    u.fill(NaN), s.fill(NaN), v.fill(NaN);
    return;
  }
  if (largest > 0) {
    for (let i = 0; i < 9; i++) u[i] /= largest;
    for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
      let rotated = false;
      for (let p = 0; p < 2; p++) {
        for (let q = p + 1; q < 3; q++) rotated = rotate(u, v, p, q) || rotated;
      }
      if (!rotated) break;
    }
  }
  for (let c = 0; c < 3; c++) s[c] = largest * Math.hypot(u[c], u[3 + c], u[6 + c]);
  order(u, s, v, 0, 1);
  order(u, s, v, 1, 2);
  order(u, s, v, 0, 1);
  normaliseColumns(u, s, largest);
}

/** Makes columns p and q of u orthogonal, by one rotation of u and v from the right. */
function rotate(u: Float64Array, v: Float64Array, p: number, q: number): boolean {
  const alpha = u[p] * u[p] + u[3 + p] * u[3 + p] + u[6 + p] * u[6 + p];
  const beta = u[q] * u[q] + u[3 + q] * u[3 + q] + u[6 + q] * u[6 + q];
  const gamma = u[p] * u[q] + u[3 + p] * u[3 + q] + u[6 + p] * u[6 + q];
  if (gamma === 0 || Math.abs(gamma) <= 1e-16 * Math.sqrt(alpha * beta)) return false;
  const zeta = (beta - alpha) / (2 * gamma);
  const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  const c = 1 / Math.sqrt(1 + t * t);
  for (const m of [u, v]) {
    for (let row = 0; row < 9; row += 3) {
      const x = m[row + p];
      const y = m[row + q];
      m[row + p] = c * (x - t * y);
      m[row + q] = c * (t * x + y);
    }
  }
  return true;
}

/** Exchanges columns i and j where they are in ascending order. */
function order(u: Float64Array, s: Float64Array, v: Float64Array, i: number, j: number): void {
  if (s[i] >= s[j]) return;
  [s[i], s[j]] = [s[j], s[i]];
  for (const m of [u, v]) {
    for (let row = 0; row < 9; row += 3) [m[row + i], m[row + j]] = [m[row + j], m[row + i]];
  }
}

/** Unit columns of u; where a singular value is zero, any completion to an orthogonal matrix. */
function normaliseColumns(u: Float64Array, s: Float64Array, largest: number): void {
  const tiny = 1e-15 * s[0];
  for (let c = 0; c < 3; c++) {
    if (s[c] > tiny) {
      const scale = largest / s[c];
      for (let row = 0; row < 9; row += 3) u[row + c] *= scale;
    } else if (c < 2) {
      // Any unit vector orthogonal to the columns before it.
      const best = smallestRow(u, c);
      const e = [0, 0, 0];
      e[best] = 1;
      for (let before = 0; before < c; before++) {
        const dot = u[3 * best + before];
        for (let r = 0; r < 3; r++) e[r] -= dot * u[3 * r + before];
      }
      const norm = Math.hypot(e[0], e[1], e[2]);
      for (let r = 0; r < 3; r++) u[3 * r + c] = e[r] / norm;
    } else {
      u[2] = u[3] * u[7] - u[6] * u[4];
      u[5] = u[6] * u[1] - u[0] * u[7];
      u[8] = u[0] * u[4] - u[3] * u[1];
    }
  }
}

/** The axis along which the first `columns` columns reach least. */
function smallestRow(u: Float64Array, columns: number): number {
  let best = 0;
  let least = Infinity;
  for (let r = 0; r < 3; r++) {
    let size = 0;
    for (let c = 0; c < columns; c++) size += u[3 * r + c] ** 2;
    if (size < least) [least, best] = [size, r];
  }
  return best;
}

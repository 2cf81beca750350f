// The action of e^{τA}, A = H S Hᵀ of rank C ≤ 4, and its derivative; four systems side by side.
//   e^{τA} x − x = τ H S φ(M) Z,  M = τ HᵀH S,  Z = Hᵀx,  φ by its Taylor polynomial (Horner).
// The formulas are derived in src/backends/reference/matrix_exponential.ts, the float64 oracle.
import { at, fma, VEC } from "./simd";

const TERMS: i32 = 12;

// Scratch, in f32x4: gram CC | m CC | z Cn | pz Cn | k Cn | sk Cn | zBar Cn | mBar CC | a CC | b CC
// | q (TERMS + 1) CC.
export function exponentialScratchBytes(n: i32, C: i32): i32 {
  return (C * C * (5 + TERMS + 1) + C * n * 5) * 16;
}

// 1/2, 1/3, ... 1/13, four lanes each.
const RECIPROCALS: usize = memory.data<f32>([
  0.5, 0.5, 0.5, 0.5, 0.33333333333, 0.33333333333, 0.33333333333, 0.33333333333,
  0.25, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2,
  0.16666666667, 0.16666666667, 0.16666666667, 0.16666666667,
  0.14285714286, 0.14285714286, 0.14285714286, 0.14285714286,
  0.125, 0.125, 0.125, 0.125, 0.11111111111, 0.11111111111, 0.11111111111, 0.11111111111,
  0.1, 0.1, 0.1, 0.1, 0.09090909091, 0.09090909091, 0.09090909091, 0.09090909091,
  0.08333333333, 0.08333333333, 0.08333333333, 0.08333333333,
  0.07692307692, 0.07692307692, 0.07692307692, 0.07692307692,
], 16);

// @ts-ignore: decorator
@inline function reciprocal(k: i32): v128 { return v128.load(RECIPROCALS + (<usize>(k - 2) << 4)); }

// Fills gram, m, z, q, pz.
function prepare(h: usize, s: usize, x: usize, tau: v128, N: i32, n: i32, C: i32, scratch: usize): void {
  const CC = C * C;
  const Cn = C * n;
  const gram = scratch;
  const m = at(gram, CC);
  const z = at(m, CC);
  const pz = at(z, Cn);
  const q = at(scratch, 5 * CC + 5 * Cn);
  const zero = f32x4.splat(0);
  for (let c = 0; c < C; c++) {
    for (let d = 0; d < C; d++) {
      let sum = zero;
      for (let i = 0; i < N; i++) {
        sum = fma(v128.load(at(h, i * C + c)), v128.load(at(h, i * C + d)), sum);
      }
      v128.store(at(gram, c * C + d), sum);
      v128.store(at(m, c * C + d), f32x4.mul(f32x4.mul(tau, sum), v128.load(at(s, d))));
    }
    for (let e = 0; e < n; e++) {
      let sum = zero;
      for (let i = 0; i < N; i++) {
        sum = fma(v128.load(at(h, i * C + c)), v128.load(at(x, i * n + e)), sum);
      }
      v128.store(at(z, c * n + e), sum);
    }
  }
  const one = f32x4.splat(1);
  const top = at(q, TERMS * CC);
  for (let c = 0; c < C; c++) {
    for (let d = 0; d < C; d++) v128.store(at(top, c * C + d), c == d ? one : zero);
  }
  for (let k = TERMS - 1; k >= 1; k--) {
    const next = at(q, (k + 1) * CC);
    const out = at(q, k * CC);
    const factor = reciprocal(k + 1);
    for (let c = 0; c < C; c++) {
      for (let d = 0; d < C; d++) {
        let sum = zero;
        for (let e = 0; e < C; e++) {
          sum = fma(v128.load(at(m, c * C + e)), v128.load(at(next, e * C + d)), sum);
        }
        sum = f32x4.mul(sum, factor);
        v128.store(at(out, c * C + d), c == d ? f32x4.add(sum, one) : sum);
      }
    }
  }
  const phi = at(q, CC);
  for (let c = 0; c < C; c++) {
    for (let e = 0; e < n; e++) {
      let sum = zero;
      for (let d = 0; d < C; d++) {
        sum = fma(v128.load(at(phi, c * C + d)), v128.load(at(z, d * n + e)), sum);
      }
      v128.store(at(pz, c * n + e), sum);
    }
  }
}

/** out += e^{τA} x − x. h (N, C), s (C), x and out (N, n), all f32x4. */
export function addExponentialDisplacement(
  h: usize, s: usize, x: usize, tau: v128, out: usize, N: i32, n: i32, C: i32, scratch: usize,
): void {
  prepare(h, s, x, tau, N, n, C, scratch);
  const pz = at(scratch, 2 * C * C + C * n);
  for (let i = 0; i < N; i++) {
    for (let e = 0; e < n; e++) {
      let sum = v128.load(at(out, i * n + e));
      for (let c = 0; c < C; c++) {
        const hs = f32x4.mul(f32x4.mul(tau, v128.load(at(h, i * C + c))), v128.load(at(s, c)));
        sum = fma(hs, v128.load(at(pz, c * n + e)), sum);
      }
      v128.store(at(out, i * n + e), sum);
    }
  }
}

/** Adds ∂L/∂h and ∂L/∂s for ȳ = ∂L/∂(e^{τA} x), (N, n). */
export function addExponentialAdjoint(
  h: usize, s: usize, x: usize, tau: v128, yAdjoint: usize, hAdjoint: usize, sAdjoint: usize,
  N: i32, n: i32, C: i32, scratch: usize,
): void {
  prepare(h, s, x, tau, N, n, C, scratch);
  const CC = C * C;
  const Cn = C * n;
  const gram = scratch;
  const m = at(gram, CC);
  const z = at(m, CC);
  const pz = at(z, Cn);
  const k = at(pz, Cn);
  const sk = at(k, Cn);
  const zBar = at(sk, Cn);
  const mBar = at(zBar, Cn);
  let qBar = at(mBar, CC);
  let qNext = at(qBar, CC);
  const q = at(scratch, 5 * CC + 5 * Cn);
  const zero = f32x4.splat(0);
  for (let c = 0; c < C; c++) {
    const sc = v128.load(at(s, c));
    for (let e = 0; e < n; e++) {
      let sum = zero;
      for (let i = 0; i < N; i++) {
        sum = fma(v128.load(at(h, i * C + c)), v128.load(at(yAdjoint, i * n + e)), sum);
      }
      sum = f32x4.mul(sum, tau);
      v128.store(at(k, c * n + e), sum);
      v128.store(at(sk, c * n + e), f32x4.mul(sum, sc));
    }
  }
  const phi = at(q, CC);
  for (let c = 0; c < C; c++) {
    let sBar = v128.load(at(sAdjoint, c));
    for (let e = 0; e < n; e++) {
      sBar = fma(v128.load(at(k, c * n + e)), v128.load(at(pz, c * n + e)), sBar);
    }
    v128.store(at(sAdjoint, c), sBar);
    for (let d = 0; d < C; d++) {
      let sum = zero;
      for (let e = 0; e < n; e++) {
        sum = fma(v128.load(at(sk, c * n + e)), v128.load(at(z, d * n + e)), sum);
      }
      v128.store(at(qBar, c * C + d), sum);
      v128.store(at(mBar, c * C + d), zero);
    }
  }
  for (let d = 0; d < C; d++) {
    for (let e = 0; e < n; e++) {
      let sum = zero;
      for (let c = 0; c < C; c++) {
        sum = fma(v128.load(at(phi, c * C + d)), v128.load(at(sk, c * n + e)), sum);
      }
      v128.store(at(zBar, d * n + e), sum);
    }
  }
  for (let j = 1; j < TERMS; j++) {
    const upper = at(q, (j + 1) * CC);
    const factor = reciprocal(j + 1);
    for (let c = 0; c < C; c++) {
      for (let d = 0; d < C; d++) {
        let sum = zero;
        let next = zero;
        for (let e = 0; e < C; e++) {
          sum = fma(v128.load(at(qBar, c * C + e)), v128.load(at(upper, d * C + e)), sum);
          next = fma(v128.load(at(m, e * C + c)), v128.load(at(qBar, e * C + d)), next);
        }
        v128.store(at(mBar, c * C + d), fma(sum, factor, v128.load(at(mBar, c * C + d))));
        v128.store(at(qNext, c * C + d), f32x4.mul(next, factor));
      }
    }
    const swap = qBar;
    qBar = qNext;
    qNext = swap;
  }
  for (let d = 0; d < C; d++) {
    let sBar = v128.load(at(sAdjoint, d));
    for (let c = 0; c < C; c++) {
      const g = f32x4.mul(tau, v128.load(at(gram, c * C + d)));
      sBar = fma(v128.load(at(mBar, c * C + d)), g, sBar);
    }
    v128.store(at(sAdjoint, d), sBar);
  }
  for (let i = 0; i < N; i++) {
    for (let c = 0; c < C; c++) {
      const sc = v128.load(at(s, c));
      let sum = v128.load(at(hAdjoint, i * C + c));
      for (let e = 0; e < n; e++) {
        const ts = f32x4.mul(f32x4.mul(tau, sc), v128.load(at(yAdjoint, i * n + e)));
        sum = fma(ts, v128.load(at(pz, c * n + e)), sum);
        sum = fma(v128.load(at(x, i * n + e)), v128.load(at(zBar, c * n + e)), sum);
      }
      for (let d = 0; d < C; d++) {
        let g = f32x4.mul(v128.load(at(mBar, d * C + c)), sc);
        g = fma(v128.load(at(mBar, c * C + d)), v128.load(at(s, d)), g);
        sum = fma(f32x4.mul(tau, v128.load(at(h, i * C + d))), g, sum);
      }
      v128.store(at(hAdjoint, i * C + c), sum);
    }
  }
}

/** ⟨g, ∂(e^{τA}x)/∂log τ⟩ = τ ⟨g, A y⟩ for y = e^{τA}x; g and y are (N, n). */
export function exponentialRate(
  h: usize, s: usize, y: usize, tau: v128, g: usize, N: i32, n: i32, C: i32,
): v128 {
  let rate = f32x4.splat(0);
  for (let c = 0; c < C; c++) {
    const ts = f32x4.mul(tau, v128.load(at(s, c)));
    for (let e = 0; e < n; e++) {
      let hg = f32x4.splat(0);
      let hy = f32x4.splat(0);
      for (let i = 0; i < N; i++) {
        const v = v128.load(at(h, i * C + c));
        hg = fma(v, v128.load(at(g, i * n + e)), hg);
        hy = fma(v, v128.load(at(y, i * n + e)), hy);
      }
      rate = fma(f32x4.mul(ts, hg), hy, rate);
    }
  }
  return rate;
}

/** For tests: one τ for all lanes. */
export function exponentialDisplacement(
  h: usize, s: usize, x: usize, tau: f32, out: usize, N: i32, n: i32, C: i32, scratch: usize,
): void {
  addExponentialDisplacement(h, s, x, f32x4.splat(tau), out, N, n, C, scratch);
}

/** For tests: one τ for all lanes. */
export function exponentialAdjoint(
  h: usize, s: usize, x: usize, tau: f32, yAdjoint: usize, hAdjoint: usize, sAdjoint: usize,
  N: i32, n: i32, C: i32, scratch: usize,
): void {
  addExponentialAdjoint(h, s, x, f32x4.splat(tau), yAdjoint, hAdjoint, sAdjoint, N, n, C, scratch);
}

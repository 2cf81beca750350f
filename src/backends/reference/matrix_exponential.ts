/**
 * The action of e^{τA}, A = H S Hᵀ of rank C, on N points in n dimensions, without N×N matrices:
 *
 *   e^{τA} x − x = τ H S φ(M) Z,   M = τ HᵀH S,   Z = Hᵀx,   φ(M) = Σ_{j≥0} Mʲ/(j+1)!
 *
 * H is (N, C), S = diag(s). φ is its Taylor polynomial of degree TERMS, in Horner form: relative
 * error below 1e-13 for |M| ≤ 1, 1e-9 for |M| ≤ 2. The polynomial itself is what both transition
 * kernels use, so the truncation never touches the exactness of the weights.
 *
 * Float64 reference of assembly/matrix_exponential.ts.
 */
const TERMS = 12;

export interface LowRank {
  /** (N, C). */
  readonly h: Float64Array;
  /** (C). */
  readonly s: Float64Array;
  readonly particles: number;
  readonly dimension: number;
  readonly channels: number;
}

interface Intermediates {
  /** HᵀH, (C, C). */
  gram: Float64Array;
  /** M = τ HᵀH S. */
  m: Float64Array;
  /** Z = Hᵀx, (C, n). */
  z: Float64Array;
  /** Horner iterates Q_TERMS = 1, Q_k = 1 + M Q_{k+1}/(k+1); φ = Q_1. */
  q: Float64Array[];
  /** φ Z, (C, n). */
  pz: Float64Array;
}

function intermediates(a: LowRank, x: Float64Array, tau: number): Intermediates {
  const { h, s, particles: N, dimension: n, channels: C } = a;
  const gram = new Float64Array(C * C);
  const m = new Float64Array(C * C);
  const z = new Float64Array(C * n);
  for (let c = 0; c < C; c++) {
    for (let d = 0; d < C; d++) {
      for (let i = 0; i < N; i++) gram[c * C + d] += h[i * C + c] * h[i * C + d];
      m[c * C + d] = tau * gram[c * C + d] * s[d];
    }
    for (let i = 0; i < N; i++) {
      for (let k = 0; k < n; k++) z[c * n + k] += h[i * C + c] * x[i * n + k];
    }
  }
  const identity = Float64Array.from({ length: C * C }, (_, e) => e % (C + 1) === 0 ? 1 : 0);
  const q: Float64Array[] = [];
  q[TERMS] = identity;
  for (let k = TERMS - 1; k >= 1; k--) {
    const next = multiply(m, q[k + 1], C, C, C);
    q[k] = identity.map((e, i) => e + next[i] / (k + 1));
  }
  return { gram, m, z, q, pz: multiply(q[1], z, C, C, n) };
}

/** (rows, inner)·(inner, columns). */
function multiply(a: Float64Array, b: Float64Array, rows: number, inner: number, columns: number) {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      for (let j = 0; j < columns; j++) {
        out[i * columns + j] += a[i * inner + k] * b[k * columns + j];
      }
    }
  }
  return out;
}

/** out += e^{τA} x − x; x and out are (N, n). */
export function addExponentialDisplacement(
  a: LowRank,
  x: Float64Array,
  tau: number,
  out: Float64Array,
): void {
  const { h, s, particles: N, dimension: n, channels: C } = a;
  const { pz } = intermediates(a, x, tau);
  for (let i = 0; i < N; i++) {
    for (let k = 0; k < n; k++) {
      let sum = 0;
      for (let c = 0; c < C; c++) sum += h[i * C + c] * s[c] * pz[c * n + k];
      out[i * n + k] += tau * sum;
    }
  }
}

/**
 * Derivative with respect to H and s: given ȳ = ∂L/∂(e^{τA}x), (N, n), adds ∂L/∂H to hAdjoint
 * (N, C) and ∂L/∂s to sAdjoint (C). x is held fixed.
 */
export function addExponentialAdjoint(
  a: LowRank,
  x: Float64Array,
  tau: number,
  yAdjoint: Float64Array,
  hAdjoint: Float64Array,
  sAdjoint: Float64Array,
): void {
  const { h, s, particles: N, dimension: n, channels: C } = a;
  const { gram, m, z, q, pz } = intermediates(a, x, tau);
  // K = τ Hᵀȳ; y = τ H S (φZ).
  const k = new Float64Array(C * n);
  for (let c = 0; c < C; c++) {
    for (let i = 0; i < N; i++) {
      for (let e = 0; e < n; e++) k[c * n + e] += tau * h[i * C + c] * yAdjoint[i * n + e];
    }
  }
  const sk = k.map((v, e) => v * s[Math.floor(e / n)]);
  // φ̄ = S K Zᵀ, Z̄ = φᵀ S K.
  let qBar = new Float64Array(C * C);
  const zBar = new Float64Array(C * n);
  for (let c = 0; c < C; c++) {
    for (let e = 0; e < n; e++) sAdjoint[c] += k[c * n + e] * pz[c * n + e];
    for (let d = 0; d < C; d++) {
      for (let e = 0; e < n; e++) {
        qBar[c * C + d] += sk[c * n + e] * z[d * n + e];
        zBar[d * n + e] += q[1][c * C + d] * sk[c * n + e];
      }
    }
  }
  // Horner backwards: M̄ += Q̄_k Q_{k+1}ᵀ/(k+1), Q̄_{k+1} = Mᵀ Q̄_k/(k+1).
  const mBar = new Float64Array(C * C);
  for (let j = 1; j < TERMS; j++) {
    const next = new Float64Array(C * C);
    for (let c = 0; c < C; c++) {
      for (let d = 0; d < C; d++) {
        for (let e = 0; e < C; e++) {
          mBar[c * C + d] += qBar[c * C + e] * q[j + 1][d * C + e] / (j + 1);
          next[c * C + d] += m[e * C + c] * qBar[e * C + d] / (j + 1);
        }
      }
    }
    qBar = next;
  }
  // M = τ G S: Ḡ = τ M̄ S, s̄_d = τ Σ_c M̄_cd G_cd, H̄ = τ ȳ (S φ Z)ᵀ + x Z̄ᵀ + H (Ḡ + Ḡᵀ).
  for (let d = 0; d < C; d++) {
    for (let c = 0; c < C; c++) sAdjoint[d] += tau * mBar[c * C + d] * gram[c * C + d];
  }
  for (let i = 0; i < N; i++) {
    for (let c = 0; c < C; c++) {
      let sum = 0;
      for (let e = 0; e < n; e++) {
        sum += tau * yAdjoint[i * n + e] * s[c] * pz[c * n + e] + x[i * n + e] * zBar[c * n + e];
      }
      for (let d = 0; d < C; d++) {
        sum += h[i * C + d] * tau * (mBar[d * C + c] * s[c] + mBar[c * C + d] * s[d]);
      }
      hAdjoint[i * C + c] += sum;
    }
  }
}

/** ⟨g, ∂(e^{τA}x)/∂log τ⟩ = τ ⟨g, A y⟩ for y = e^{τA}x; g and y are (N, n). */
export function exponentialRate(
  a: LowRank,
  y: Float64Array,
  tau: number,
  g: Float64Array,
): number {
  const { h, s, particles: N, dimension: n, channels: C } = a;
  let rate = 0;
  for (let c = 0; c < C; c++) {
    for (let e = 0; e < n; e++) {
      let hg = 0;
      let hy = 0;
      for (let i = 0; i < N; i++) {
        hg += h[i * C + c] * g[i * n + e];
        hy += h[i * C + c] * y[i * n + e];
      }
      rate += tau * s[c] * hg * hy;
    }
  }
  return rate;
}

/**
 * Least-squares fit of a pair flow's radial map at one level (docs/method.md section 4), float64.
 *
 * R(r) = r (1 + f(r)), f = Σ_m θ_m φ_m. To first order the flow changes W by Σ_m θ_m A_m,
 *   A_m(x) = Σ_{i<j} [ n φ_m + r φ_m′ − φ_m d_ij·(g_i − g_j)/2 ],  g = ∇U_k,
 * so θ = argmin Var[A θ − (U_k − U_{k−1})].
 */

/** Radial functions: Gaussians and a constant, in units of a length scale. */
const CENTRES = [0.5, 0.65, 0.8, 0.95, 1.1, 1.25, 1.4, 1.55, 1.7, 1.85, 2, 2.3, 2.7, 3.2, 3.8];
const WIDTHS = [...new Array(11).fill(0.13), 0.25, 0.35, 0.45, 0.5];

/** Number of functions, a multiple of 4. */
export const FEATURES = CENTRES.length + 1;

/** Cells of a table and their width in units of the length scale. */
export const FLOW_CELLS = 900;
export const FLOW_WIDTH = 0.01;

/** Below this distance (in length scales) f is constant: no pair is there to fit it by. */
const INNERMOST = 0.45;
/** Bounds of R′. */
export const SLOPES = [0.5, 2] as const;

/** φ_m(r) and r φ_m′(r), each (FEATURES), for r in units of the length scale. */
export function radialFeatures(r: number, value: Float64Array, radial: Float64Array): void {
  for (let m = 0; m < CENTRES.length; m++) {
    const q = (r - CENTRES[m]) / WIDTHS[m];
    value[m] = Math.exp(-0.5 * q * q);
    radial[m] = -r * q / WIDTHS[m] * value[m];
  }
  value[FEATURES - 1] = 1;
  radial[FEATURES - 1] = 0;
}

/**
 * Features tabulated on the flow's nodes: rows (FLOW_CELLS + 1, FEATURES) of φ, and of n φ + r φ′.
 * Fits read the nearest row; what they fit is judged by the flow's actual effect.
 */
export class FeatureTables {
  readonly #value: Float64Array;
  readonly #divergence: Float64Array;
  readonly #scale: number;
  /** Pairs at each node, and their Σ d·(g_i − g_j)/2; zero between calls. */
  readonly #pairs = new Float64Array(FLOW_CELLS + 1);
  readonly #work = new Float64Array(FLOW_CELLS + 1);

  constructor(dimension: 2 | 3, lengthScale: number) {
    this.#scale = 1 / (FLOW_WIDTH * lengthScale);
    this.#value = new Float64Array((FLOW_CELLS + 1) * FEATURES);
    this.#divergence = new Float64Array((FLOW_CELLS + 1) * FEATURES);
    for (let c = 0; c <= FLOW_CELLS; c++) {
      const value = this.#value.subarray(c * FEATURES, (c + 1) * FEATURES);
      const divergence = this.#divergence.subarray(c * FEATURES, (c + 1) * FEATURES);
      radialFeatures(c * FLOW_WIDTH, value, divergence);
      for (let m = 0; m < FEATURES; m++) divergence[m] += dimension * value[m];
    }
  }

  /** A_m of one configuration (N·n numbers from `offset`), written to `out` at `at`. */
  add(
    x: ArrayLike<number>,
    gradient: ArrayLike<number>,
    offset: number,
    size: number,
    dimension: 2 | 3,
    out: Float64Array,
    at: number,
  ): void {
    const pairs = this.#pairs;
    const work = this.#work;
    let nearest = FLOW_CELLS;
    let furthest = 0;
    for (let i = offset; i < offset + size; i += dimension) {
      for (let j = i + dimension; j < offset + size; j += dimension) {
        let squared = 0;
        let along = 0;
        for (let a = 0; a < dimension; a++) {
          const d = x[i + a] - x[j + a];
          squared += d * d;
          along += d * (gradient[i + a] - gradient[j + a]);
        }
        const node = Math.min(FLOW_CELLS, Math.sqrt(squared) * this.#scale + 0.5) | 0;
        pairs[node]++;
        work[node] += 0.5 * along;
        if (node < nearest) nearest = node;
        if (node > furthest) furthest = node;
      }
    }
    // Pairs at one node share its row.
    for (let node = nearest; node <= furthest; node++) {
      if (pairs[node] === 0) continue;
      const row = node * FEATURES;
      for (let m = 0; m < FEATURES; m++) {
        out[at + m] += pairs[node] * this.#divergence[row + m] - work[node] * this.#value[row + m];
      }
      pairs[node] = 0;
      work[node] = 0;
    }
  }
}

/** The table of R for coefficients θ·scale: slopes kept in bounds, so that R can be inverted. */
export function tableOf(
  coefficients: Float64Array,
  scale: number,
  lengthScale: number,
): Float64Array {
  const value = new Float64Array(FEATURES);
  const radial = new Float64Array(FEATURES);
  const factor = (c: number) => {
    radialFeatures(Math.max(c * FLOW_WIDTH, INNERMOST), value, radial);
    let f = 0;
    for (let m = 0; m < FEATURES; m++) f += coefficients[m] * value[m];
    return 1 + scale * f;
  };
  const width = FLOW_WIDTH * lengthScale;
  const table = new Float64Array(FLOW_CELLS + 1);
  let before = 0;
  for (let c = 1; c <= FLOW_CELLS; c++) {
    const raw = c * factor(c);
    const slope = Math.min(SLOPES[1], Math.max(SLOPES[0], raw - before));
    table[c] = table[c - 1] + slope * width;
    before = raw;
  }
  return table;
}

/** Value below which a fraction of the finite values lies. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  const sorted = Float64Array.from(values).filter((v) => !Number.isNaN(v)).sort();
  if (sorted.length === 0) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
}

/**
 * θ of least robust squares: rows with the 1 % lowest and highest targets, and the 2 % with the most
 * extreme features, are left out; then Huber weights, three rounds. `features`: (count, FEATURES).
 * `weights` (count) as in importance sampling, or null.
 */
export function fitCoefficients(
  features: Float64Array,
  target: Float64Array,
  weights: Float64Array | null,
  ridge: number,
): Float64Array {
  const n = target.length;
  const M = FEATURES;
  const keep = keptRows(features, target);
  const base = Float64Array.from(keep, (k, s) => k ? weights?.[s] ?? 1 : 0);
  let w = base.slice();
  let theta: Float64Array = new Float64Array(M);
  for (let round = 0; round < 3; round++) {
    const total = w.reduce((a, b) => a + b, 0);
    const mean = new Float64Array(M);
    let targetMean = 0;
    for (let s = 0; s < n; s++) {
      if (w[s] === 0) continue;
      for (let m = 0; m < M; m++) mean[m] += w[s] * features[s * M + m] / total;
      targetMean += w[s] * target[s] / total;
    }
    const normal = new Float64Array(M * M);
    const right = new Float64Array(M);
    for (let s = 0; s < n; s++) {
      if (w[s] === 0) continue;
      const d = target[s] - targetMean;
      for (let m = 0; m < M; m++) {
        const a = w[s] * (features[s * M + m] - mean[m]) / total;
        right[m] += a * d;
        for (let l = 0; l <= m; l++) normal[m * M + l] += a * (features[s * M + l] - mean[l]);
      }
    }
    let trace = 0;
    for (let m = 0; m < M; m++) trace += normal[m * M + m] / M;
    for (let m = 0; m < M; m++) {
      normal[m * M + m] += ridge * (normal[m * M + m] + 1e-3 * trace) + 1e-12;
    }
    theta = solvePositive(normal, right);
    const residuals = new Float64Array(n);
    for (let s = 0; s < n; s++) {
      residuals[s] = target[s] - targetMean;
      for (let m = 0; m < M; m++) residuals[s] -= theta[m] * (features[s * M + m] - mean[m]);
    }
    const scale = 1.5 * quantile(residuals.filter((_, s) => keep[s]).map(Math.abs), 0.5) + 1e-12;
    w = base.map((b, s) =>
      b === 0 ? 0 : b * Math.min(1, scale / Math.max(Math.abs(residuals[s]), 1e-12))
    );
  }
  return theta;
}

function keptRows(features: Float64Array, target: Float64Array): boolean[] {
  const M = FEATURES;
  const n = target.length;
  const low = quantile(target, 0.01);
  const high = quantile(target, 0.99);
  // Typical sizes from at most 500 rows: a median of all costs more than the fit.
  const stride = Math.max(1, Math.floor(n / 500));
  const rows = Array.from({ length: Math.ceil(n / stride) }, (_, s) => s * stride);
  const typical = Float64Array.from(
    { length: M },
    (_, m) => quantile(rows.map((s) => Math.abs(features[s * M + m])), 0.5),
  );
  const all = quantile(typical, 0.5);
  const extremes = Float64Array.from({ length: n }, (_, s) => {
    let largest = 0;
    for (let m = 0; m < M; m++) {
      const e = Math.abs(features[s * M + m]) / (typical[m] + 1e-2 * all + 1e-9);
      if (!(e <= largest)) largest = e;
    }
    return largest;
  });
  const bound = quantile(extremes, 0.98);
  return Array.from(target, (t, s) => t >= low && t <= high && extremes[s] <= bound);
}

/** Solves A x = b for a positive definite A, lower triangle given (Cholesky). */
export function solvePositive(lower: Float64Array, right: Float64Array): Float64Array {
  const n = right.length;
  const L = lower.slice();
  const x = right.slice();
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = L[i * n + j];
      for (let k = 0; k < j; k++) sum -= L[i * n + k] * L[j * n + k];
      L[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / L[j * n + j];
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= L[i * n + k] * x[k];
    x[i] /= L[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= L[k * n + i] * x[k];
    x[i] /= L[i * n + i];
  }
  return x;
}

/**
 * The PvMF density exp(κ f(Θ)), f = cos(ΘΘᵀ, μμᵀ), of M unit vectors, in coordinates about μ.
 *
 * Both Gram matrices meet only through W = Σ_j μ_jᵀθ_j and B = Σ_j θ_jᵀθ_j (n × n):
 * f = |W|² / (|B| |B₀|), B₀ = B at μ. f is the same on the whole orbit of μ under O(n); the gauge
 *
 *   h(Θ) = exp(λ tr W) / I(λW),   ∫_{O(n)} h(ΘQ) dQ = 1,
 *
 * picks the neighbourhood of μ out of it without changing the integral of anything invariant:
 * ∫ e^{κf} h dΘ = ∫ e^{κf} dΘ, and a draw of e^{κf} h, turned at random, is a draw of e^{κf}.
 *
 * Coordinates u_j ∈ R^{n−1} are stereographic, θ = (2μ + Tu)/s − μ with s = 1 + |u|²/4 and T an
 * orthonormal basis of the tangent space: all of the sphere but −μ, dθ = s^{−(n−1)} du.
 */
import { symmetricEigen } from "../math/symmetric_eigen.ts";
import { logOrbitIntegral } from "./orbit_integral.ts";

/**
 * λ: the gauge holds the orientation to about λ^{−1/2}, as narrow as the density is across the orbit
 * (within bounds), which is best for Gaussian proposals.
 */
const gaugeStrength = (kappa: number) => Math.min(300, Math.max(30, 0.3 * kappa));

export class PvmfChart {
  /** Coordinates, M·(n − 1). */
  readonly size: number;
  /** Laplace's log Z; not a number where f is flat across the orbit (collinear, coplanar μ). */
  readonly laplace: number;
  /** Smallest curvature κ·(eigenvalue) across the orbit. */
  readonly leastPrecision: number;
  /** Mean curvature of f across the orbit, for each unit of κ. */
  readonly meanCurvature: number;
  /** Standard normal numbers to coordinates: symmetric root of the Laplace covariance. */
  readonly root: Float64Array;
  /** log |det root|. */
  readonly logRoot: number;
  readonly #m: number;
  readonly #gauge: number;
  readonly #tangents: Float64Array;
  readonly #b0: number;
  readonly #w: Float64Array;
  readonly #b: Float64Array;
  readonly #lambdaW: Float64Array;
  readonly #slope: Float64Array;
  readonly #byTheta: Float64Array;

  /** @param mu unit rows (M, n) */
  constructor(readonly mu: Float64Array, readonly kappa: number, readonly n: 2 | 3) {
    const m = this.#m = mu.length / n;
    this.#gauge = gaugeStrength(kappa);
    const size = this.size = m * (n - 1);
    this.#tangents = tangentBases(mu, n);
    this.#w = new Float64Array(n * n);
    this.#b = new Float64Array(n * n);
    this.#lambdaW = new Float64Array(n * n);
    this.#slope = new Float64Array(n * n);
    this.#byTheta = new Float64Array(m * n);
    this.#b0 = Math.sqrt(square(secondMoments(mu, n, this.#b)));

    const hessian = this.#hessian();
    const orbit = this.#orbit();
    const { values } = symmetricEigen(hessian, size);
    const across = values.subarray(orbit.rank);
    const exists = across.every((value) => value > 1e-9 / m);
    this.leastPrecision = across.length > 0 ? kappa * Math.max(0, across[0]) : Infinity;
    let sum = 0;
    for (const value of across) sum += value / across.length;
    this.meanCurvature = sum > 0 ? sum : 1;
    let logDeterminant = 0;
    for (const value of across) logDeterminant += Math.log(kappa * value);
    this.laplace = exists
      ? kappa + orbit.logVolume + 0.5 * across.length * Math.log(2 * Math.PI) - 0.5 * logDeterminant
      : NaN;

    // The chart's own volume factor, about exp(−(n−1)|u|²/4), keeps flat directions finite.
    const precision = hessian.map((value) => kappa * value);
    for (let i = 0; i < size; i++) precision[i * size + i] += 0.5 * (n - 1);
    for (let i = 0; i < size * size; i++) precision[i] += this.#gauge * orbit.projector[i];
    const whole = symmetricEigen(precision, size);
    this.root = new Float64Array(size * size);
    let logRoot = 0;
    for (let k = 0; k < size; k++) {
      const deviation = 1 / Math.sqrt(whole.values[k]);
      logRoot += Math.log(deviation);
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          this.root[i * size + j] += deviation * whole.vectors[i * size + k] *
            whole.vectors[j * size + k];
        }
      }
    }
    this.logRoot = logRoot;
  }

  /**
   * The Hessian of −f at μ in tangent coordinates: |δG|² − ⟨δG, G₀⟩²/|G₀|² over |G₀|², δG the first
   * order of the Gram matrix (its second order does not count, because f is stationary in G).
   */
  #hessian(): Float64Array {
    const { n, mu, size } = this;
    const m = this.#m;
    const t = n - 1;
    const norm = this.#b0 ** 2; // |G₀|² = |B₀|²
    const gram = new Float64Array(m * m);
    // dots[(j·t + a)·m + i] = tangent a at j times μ_i.
    const dots = new Float64Array(size * m);
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < m; i++) {
        for (let d = 0; d < n; d++) {
          gram[j * m + i] += mu[j * n + d] * mu[i * n + d];
          for (let a = 0; a < t; a++) {
            dots[(j * t + a) * m + i] += this.#tangents[(j * t + a) * n + d] * mu[i * n + d];
          }
        }
      }
    }
    const along = new Float64Array(size);
    for (let p = 0; p < size; p++) {
      const j = Math.floor(p / t);
      for (let i = 0; i < m; i++) along[p] += 2 * dots[p * m + i] * gram[j * m + i];
    }
    const hessian = new Float64Array(size * size);
    for (let p = 0; p < size; p++) {
      const j = Math.floor(p / t);
      for (let q = 0; q < size; q++) {
        const k = Math.floor(q / t);
        let both = 0;
        if (j === k) {
          for (let i = 0; i < m; i++) both += 2 * dots[p * m + i] * dots[q * m + i];
        } else both = 2 * dots[p * m + k] * dots[q * m + j];
        hessian[p * size + q] = (both - along[p] * along[q] / norm) / norm;
      }
    }
    return hessian;
  }

  /**
   * The orbit's tangent space: its projector and dimension; log of the orbit's volume,
   * Vol(SO(n)) √det G over the rotations' generators, twice it where a reflection is no rotation.
   */
  #orbit(): { projector: Float64Array; rank: number; logVolume: number } {
    const { n, mu, size } = this;
    const m = this.#m;
    const t = n - 1;
    const planes = n === 2 ? [[0, 1]] : [[1, 2], [2, 0], [0, 1]];
    const basis: Float64Array[] = [];
    let logVolume = Math.log(n === 2 ? 2 * Math.PI : 8 * Math.PI ** 2);
    for (const [d, e] of planes) {
      const v = new Float64Array(size);
      for (let p = 0; p < size; p++) {
        const j = Math.floor(p / t);
        const tangent = this.#tangents.subarray(p * n, (p + 1) * n);
        v[p] = mu[j * n + d] * tangent[e] - mu[j * n + e] * tangent[d];
      }
      for (const known of basis) {
        let dot = 0;
        for (let p = 0; p < size; p++) dot += v[p] * known[p];
        for (let p = 0; p < size; p++) v[p] -= dot * known[p];
      }
      const length = Math.sqrt(square(v));
      logVolume += Math.log(length);
      if (length > 1e-7 * Math.sqrt(m)) basis.push(v.map((value) => value / length));
    }
    const moments = symmetricEigen(secondMoments(mu, n, this.#b), n).values;
    if (moments[0] > 1e-12 * m) logVolume += Math.LN2;
    const projector = new Float64Array(size * size);
    for (const v of basis) {
      for (let p = 0; p < size; p++) {
        for (let q = 0; q < size; q++) projector[p * size + q] += v[p] * v[q];
      }
    }
    return { projector, rank: basis.length, logVolume };
  }

  /** Directions (M, n) of coordinates u; returns −(n − 1) Σ log s, the log of dθ/du. */
  directions(u: Float64Array, theta: Float64Array): number {
    const { n, mu } = this;
    const t = n - 1;
    let logVolume = 0;
    for (let j = 0; j < this.#m; j++) {
      let s = 1;
      for (let a = 0; a < t; a++) s += 0.25 * u[j * t + a] ** 2;
      logVolume -= t * Math.log(s);
      for (let d = 0; d < n; d++) {
        let value = (2 - s) * mu[j * n + d];
        for (let a = 0; a < t; a++) value += u[j * t + a] * this.#tangents[(j * t + a) * n + d];
        theta[j * n + d] = value / s;
      }
    }
    return logVolume;
  }

  /** Coordinates of directions, the inverse of `directions`. */
  coordinates(theta: Float64Array, u: Float64Array): void {
    const { n, mu } = this;
    const t = n - 1;
    for (let j = 0; j < this.#m; j++) {
      let cosine = 0;
      for (let d = 0; d < n; d++) cosine += mu[j * n + d] * theta[j * n + d];
      for (let a = 0; a < t; a++) {
        let dot = 0;
        for (let d = 0; d < n; d++) dot += this.#tangents[(j * t + a) * n + d] * theta[j * n + d];
        u[j * t + a] = 2 * dot / (1 + cosine);
      }
    }
  }

  /** f at unit rows θ; ∂f/∂θ to `byTheta` and ∂f/∂μ to `byMu` (M, n) where given, not projected. */
  cosine(theta: Float64Array, byTheta?: Float64Array, byMu?: Float64Array): number {
    const { n, mu } = this;
    const w = this.#alignment(theta);
    const b = secondMoments(theta, n, this.#b);
    const norm = Math.sqrt(square(b)) * this.#b0;
    const f = square(w) / norm;
    if (byTheta) addCosineSlope(theta, mu, w, true, b, f, norm, n, byTheta);
    if (byMu) {
      addCosineSlope(mu, theta, w, false, secondMoments(mu, n, this.#b), f, norm, n, byMu);
    }
    return f;
  }

  /** W = Σ_j μ_jᵀ θ_j, rows by μ. */
  #alignment(theta: Float64Array): Float64Array {
    const { n, mu } = this;
    const w = this.#w.fill(0);
    for (let j = 0; j < this.#m; j++) {
      for (let d = 0; d < n; d++) {
        for (let e = 0; e < n; e++) w[d * n + e] += mu[j * n + d] * theta[j * n + e];
      }
    }
    return w;
  }

  /**
   * log[e^{κ(f−1)} h dθ/du] at u, whose integral is Z e^{−κ}; directions go to `theta`, the gradient
   * by u to `gradient` where given.
   */
  logTarget(u: Float64Array, theta: Float64Array, gradient?: Float64Array): number {
    const { n, mu, kappa } = this;
    const logVolume = this.directions(u, theta);
    const byTheta = gradient ? this.#byTheta : undefined;
    const f = this.cosine(theta, byTheta);
    const w = this.#w;
    let trace = 0;
    for (let d = 0; d < n; d++) trace += w[d * n + d];
    for (let i = 0; i < w.length; i++) this.#lambdaW[i] = this.#gauge * w[i];
    const logGauge = this.#gauge * trace - logOrbitIntegral(this.#lambdaW, n, this.#slope);
    if (gradient && byTheta) {
      for (let j = 0; j < this.#m; j++) {
        for (let e = 0; e < n; e++) {
          let turn = mu[j * n + e];
          for (let d = 0; d < n; d++) turn -= mu[j * n + d] * this.#slope[d * n + e];
          byTheta[j * n + e] = kappa * byTheta[j * n + e] + this.#gauge * turn;
        }
      }
      this.#pullBack(u, byTheta, gradient);
    }
    return kappa * (f - 1) + logGauge + logVolume;
  }

  /** ∂/∂θ to ∂/∂u, the volume factor's own part added. */
  #pullBack(u: Float64Array, byTheta: Float64Array, gradient: Float64Array): void {
    const { n, mu } = this;
    const t = n - 1;
    for (let j = 0; j < this.#m; j++) {
      let s = 1;
      for (let a = 0; a < t; a++) s += 0.25 * u[j * t + a] ** 2;
      let along = 0; // (∂/∂θ)·(2μ + Tu)
      const tangent = [0, 0];
      for (let d = 0; d < n; d++) along += 2 * byTheta[j * n + d] * mu[j * n + d];
      for (let a = 0; a < t; a++) {
        for (let d = 0; d < n; d++) {
          tangent[a] += byTheta[j * n + d] * this.#tangents[(j * t + a) * n + d];
        }
        along += u[j * t + a] * tangent[a];
      }
      for (let a = 0; a < t; a++) {
        gradient[j * t + a] = tangent[a] / s - u[j * t + a] * (along / s + t) / (2 * s);
      }
    }
  }
}

/** out += ∂f/∂rows, f = |W|²/norm; `transposed`: W's columns belong to the rows. */
function addCosineSlope(
  rows: Float64Array,
  others: Float64Array,
  w: Float64Array,
  transposed: boolean,
  moments: Float64Array,
  f: number,
  norm: number,
  n: 2 | 3,
  out: Float64Array,
): void {
  const own = square(moments);
  for (let i = 0; i < rows.length; i += n) {
    for (let e = 0; e < n; e++) {
      let value = 0;
      for (let d = 0; d < n; d++) {
        value += 2 * others[i + d] * (transposed ? w[d * n + e] : w[e * n + d]) / norm;
        value -= 2 * f * moments[e * n + d] * rows[i + d] / own;
      }
      out[i + e] = value;
    }
  }
}

/** Σ_j x_jᵀ x_j, to `out`. */
function secondMoments(rows: Float64Array, n: 2 | 3, out: Float64Array): Float64Array {
  out.fill(0);
  for (let i = 0; i < rows.length; i += n) {
    for (let d = 0; d < n; d++) {
      for (let e = 0; e < n; e++) out[d * n + e] += rows[i + d] * rows[i + e];
    }
  }
  return out;
}

/** n − 1 orthonormal tangents at every unit row, (M, n − 1, n). */
function tangentBases(mu: Float64Array, n: 2 | 3): Float64Array {
  const out = new Float64Array(mu.length * (n - 1));
  for (let i = 0, at = 0; i < mu.length; i += n, at += n * (n - 1)) {
    if (n === 2) {
      out.set([-mu[i + 1], mu[i]], at);
      continue;
    }
    const [x, y, z] = mu.subarray(i, i + 3);
    // Duff et al. (2017): smooth but for z = 0 changing sign.
    const sign = z >= 0 ? 1 : -1;
    const a = -1 / (sign + z);
    const b = x * y * a;
    out.set([1 + sign * x * x * a, sign * b, -sign * x, b, sign + y * y * a, -y], at);
  }
  return out;
}

function square(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return sum;
}

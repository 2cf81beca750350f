/**
 * The noise L E of an orbit Gaussian: linear maps between N positions, of which only differences
 * count, and independent standard normal numbers ("whitened" rows of n).
 */
import type { GaussianConfig } from "../config/config.ts";
import { cholesky } from "../math/linear.ts";
import type { RandomStream } from "../math/random.ts";

export interface GaussianNoise {
  /** Rows of the whitened positions: N or N − 1. */
  readonly rows: number;
  /** log density of zero noise in the anchored measure. */
  readonly logConstant: number;
  /** x (N, n), any translation, to y (rows, n): log density = logConstant − ½|y|². */
  whiten(x: Float64Array, y: Float64Array): void;
  /** ∂/∂y of a function of |y|² and of products with other whitened rows, to ∂/∂x, (N, n). */
  pullBack(byY: Float64Array, byX: Float64Array): void;
  /** Adds weight · ∂/∂parameters of such a function at y, the whitened rows of fixed positions. */
  addParameterGradient(
    y: Float64Array,
    byY: Float64Array,
    weight: number,
    out: Float64Array,
  ): void;
  /** Adds weight · ∂logConstant/∂parameters. */
  addConstantGradient(weight: number, out: Float64Array): void;
  /** A draw of the noise, (N, n). */
  draw(random: RandomStream, x: Float64Array): void;
}

type Covariance = GaussianConfig["covariance"];

/** Numbers of the noise's parameters. */
export function noiseSize(covariance: Covariance, particles: number): number {
  if (covariance === "scale") return 1;
  return covariance === "diagonal" ? particles : (particles - 1) * particles / 2;
}

/** Parameters of independent particles, standard deviation `width` in each coordinate. */
export function placeNoise(
  covariance: Covariance,
  parameters: Float64Array,
  width: number,
  particles: number,
): void {
  if (covariance !== "full") {
    parameters.fill(Math.log(width));
    return;
  }
  // Cholesky factor of I + 11ᵀ: L_jj = √((j + 2)/(j + 1)), L_jk = L_kk/(k + 2) for k < j, from 0.
  for (let j = 0, at = 0; j < particles - 1; j++) {
    for (let k = 0; k <= j; k++, at++) {
      const diagonal = width * Math.sqrt((k + 2) / (k + 1));
      parameters[at] = k === j ? Math.log(diagonal) : diagonal / (k + 2);
    }
  }
}

/**
 * Parameters of the noise nearest to a covariance of the positions relative to the anchor, (M, M):
 * itself, its diagonal (the anchor taking a share that leaves every particle some), or its mean.
 */
export function placeCovariance(
  kind: Covariance,
  parameters: Float64Array,
  covariance: Float64Array,
  particles: number,
): void {
  const m = particles - 1;
  if (kind === "full") {
    const l = cholesky(covariance, m);
    for (let j = 0; j < m; j++) {
      for (let k = 0; k <= j; k++) {
        const value = l[j * m + k];
        parameters[triangle(j, k)] = k === j ? Math.log(value) : value;
      }
    }
    return;
  }
  const variances = Float64Array.from({ length: m }, (_, j) => covariance[j * (m + 1)]);
  if (kind === "scale") {
    // Differences of two particles have twice the variance of one.
    parameters[0] = 0.5 * Math.log(variances.reduce((sum, v) => sum + v, 0) / (2 * m));
    return;
  }
  const own = 0.25 * variances.reduce((least, v) => Math.min(least, v), Infinity);
  parameters[0] = 0.5 * Math.log(own);
  variances.forEach((v, j) => parameters[j + 1] = 0.5 * Math.log(v - own));
}

export function createNoise(
  covariance: Covariance,
  parameters: Float64Array,
  particles: number,
  n: 2 | 3,
): GaussianNoise {
  return covariance === "full"
    ? new CorrelatedNoise(parameters, particles, n)
    : new IndependentNoise(parameters, particles, n);
}

/**
 * Every particle by itself, s_i each (or one s for all), the common translation integrated out:
 * y_i = (x_i − x̄)/s_i, x̄ the mean with weights 1/s_i², and
 * logConstant = −½nN log 2π − n Σ log s_i + ½n log(2π/Σ s_i⁻²).
 *
 * x̄ drops out of derivatives: Σ s_i⁻¹ y_i = 0 holds for positions and means alike, hence also for
 * derivatives by y of any function of their products.
 */
class IndependentNoise implements GaussianNoise {
  readonly rows: number;
  readonly logConstant: number;
  readonly #n: number;
  /** 1/s_i. */
  readonly #inverse: Float64Array;
  /** Σ 1/s_i². */
  readonly #precision: number;
  /** One parameter for all particles. */
  readonly #single: boolean;

  constructor(parameters: Float64Array, particles: number, n: 2 | 3) {
    this.rows = particles;
    this.#n = n;
    this.#single = parameters.length === 1;
    const logScale = Float64Array.from(
      { length: particles },
      (_, i) => parameters[this.#single ? 0 : i],
    );
    this.#inverse = logScale.map((v) => Math.exp(-v));
    let logs = 0;
    let precision = 0;
    for (let i = 0; i < particles; i++) {
      logs += logScale[i];
      precision += this.#inverse[i] ** 2;
    }
    this.#precision = precision;
    this.logConstant = -0.5 * n * (particles - 1) * Math.log(2 * Math.PI) - n * logs -
      0.5 * n * Math.log(precision);
  }

  whiten(x: Float64Array, y: Float64Array): void {
    const n = this.#n;
    for (let d = 0; d < n; d++) {
      let mean = 0;
      for (let i = 0; i < this.rows; i++) mean += this.#inverse[i] ** 2 * x[i * n + d];
      mean /= this.#precision;
      for (let i = 0; i < this.rows; i++) {
        y[i * n + d] = this.#inverse[i] * (x[i * n + d] - mean);
      }
    }
  }

  pullBack(byY: Float64Array, byX: Float64Array): void {
    for (let i = 0; i < byY.length; i++) byX[i] = this.#inverse[Math.floor(i / this.#n)] * byY[i];
  }

  addParameterGradient(
    y: Float64Array,
    byY: Float64Array,
    weight: number,
    out: Float64Array,
  ): void {
    // ∂y_i/∂log s_i = −y_i.
    for (let i = 0; i < y.length; i++) {
      out[this.#single ? 0 : Math.floor(i / this.#n)] -= weight * y[i] * byY[i];
    }
  }

  addConstantGradient(weight: number, out: Float64Array): void {
    for (let i = 0; i < this.rows; i++) {
      out[this.#single ? 0 : i] += weight * this.#n *
        (this.#inverse[i] ** 2 / this.#precision - 1);
    }
  }

  draw(random: RandomStream, x: Float64Array): void {
    for (let i = 0; i < x.length; i++) {
      x[i] = random.normal() / this.#inverse[Math.floor(i / this.#n)];
    }
  }
}

/** Positions relative to the anchor, X = L E: y = L⁻¹ X, logConstant = −n log det L − ½nM log 2π. */
class CorrelatedNoise implements GaussianNoise {
  readonly rows: number;
  readonly logConstant: number;
  readonly #n: number;
  /** Rows of the lower triangle one after another. */
  readonly #l: Float64Array;
  readonly #byX: Float64Array;

  constructor(parameters: Float64Array, particles: number, n: 2 | 3) {
    const m = this.rows = particles - 1;
    this.#n = n;
    this.#l = parameters.slice();
    let logDeterminant = 0;
    for (let j = 0; j < m; j++) {
      const diagonal = triangle(j, j);
      logDeterminant += parameters[diagonal];
      this.#l[diagonal] = Math.exp(parameters[diagonal]);
    }
    this.logConstant = -n * logDeterminant - 0.5 * n * m * Math.log(2 * Math.PI);
    this.#byX = new Float64Array(m * n);
  }

  whiten(x: Float64Array, y: Float64Array): void {
    const n = this.#n;
    const l = this.#l;
    for (let j = 0; j < this.rows; j++) {
      for (let d = 0; d < n; d++) {
        let value = x[(j + 1) * n + d] - x[d];
        for (let k = 0; k < j; k++) value -= l[triangle(j, k)] * y[k * n + d];
        y[j * n + d] = value / l[triangle(j, j)];
      }
    }
  }

  /** L⁻ᵀ byY to #byX. */
  #solveTransposed(byY: Float64Array): Float64Array {
    const n = this.#n;
    const l = this.#l;
    for (let j = this.rows - 1; j >= 0; j--) {
      for (let d = 0; d < n; d++) {
        let value = byY[j * n + d];
        for (let k = j + 1; k < this.rows; k++) value -= l[triangle(k, j)] * this.#byX[k * n + d];
        this.#byX[j * n + d] = value / l[triangle(j, j)];
      }
    }
    return this.#byX;
  }

  pullBack(byY: Float64Array, byX: Float64Array): void {
    const n = this.#n;
    byX.set(this.#solveTransposed(byY), n);
    for (let d = 0; d < n; d++) {
      let sum = 0;
      for (let j = 1; j <= this.rows; j++) sum += byX[j * n + d];
      byX[d] = -sum;
    }
  }

  addParameterGradient(
    y: Float64Array,
    byY: Float64Array,
    weight: number,
    out: Float64Array,
  ): void {
    // dy = −L⁻¹ dL y.
    const n = this.#n;
    const byX = this.#solveTransposed(byY);
    for (let j = 0; j < this.rows; j++) {
      for (let k = 0; k <= j; k++) {
        let value = 0;
        for (let d = 0; d < n; d++) value -= byX[j * n + d] * y[k * n + d];
        const at = triangle(j, k);
        out[at] += weight * (k === j ? value * this.#l[at] : value);
      }
    }
  }

  addConstantGradient(weight: number, out: Float64Array): void {
    for (let j = 0; j < this.rows; j++) out[triangle(j, j)] -= weight * this.#n;
  }

  draw(random: RandomStream, x: Float64Array): void {
    const n = this.#n;
    const e = Float64Array.from({ length: this.rows * n }, () => random.normal());
    x.fill(0, 0, n);
    for (let j = 0; j < this.rows; j++) {
      for (let d = 0; d < n; d++) {
        let value = 0;
        for (let k = 0; k <= j; k++) value += this.#l[triangle(j, k)] * e[k * n + d];
        x[(j + 1) * n + d] = value;
      }
    }
  }
}

/** Place of row j, column k ≤ j. */
const triangle = (j: number, k: number): number => j * (j + 1) / 2 + k;

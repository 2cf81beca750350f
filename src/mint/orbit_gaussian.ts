/**
 * Orbit Gaussian X = (M + L E) Q: positions normal about M, averaged exactly over a common rotation
 * or reflection Q. With y and a the whitened X and M (gaussian_noise.ts),
 *
 *   log q(X) = −½|y|² − ½|a|² + log I(C) + constant,   C = aᵀ y (n × n).
 *
 * Mean zero and one scale: C = 0, and the density is the centre-of-mass-free Gaussian, invariant
 * under every relabelling, the anchor included.
 *
 * Parameters of one component: M relative to the anchor ((N − 1)·n, absent for mean zero), then the
 * noise: log s (1), log s_i of all particles, the anchor included (N), or the Cholesky factor of the
 * positions relative to the anchor, row by row, diagonal as logarithms ((N − 1)·N/2).
 */
import { InputError } from "../errors.ts";
import type { RandomStream } from "../math/random.ts";
import type {
  ComponentDensity,
  ComponentGradients,
  ComponentStart,
  DensityFamily,
} from "./family.ts";
import {
  createNoise,
  type GaussianNoise,
  noiseSize,
  placeCovariance,
  placeNoise,
} from "./gaussian_noise.ts";
import type { Labellings } from "./labellings.ts";
import type { MintShape } from "./model.ts";
import { logOrbitIntegral } from "./orbit_integral.ts";
import type { PairGeometry } from "./pair_geometry.ts";

/** @throws InputError where a model of this family does not say what its components are */
function gaussianOf(shape: MintShape) {
  if (!shape.gaussian) throw new InputError("Mint model: orbit_gaussian without mint.gaussian");
  return shape.gaussian;
}

const meanSize = (shape: MintShape) =>
  gaussianOf(shape).mean === "zero" ? 0 : (shape.particles - 1) * shape.dimension;

export const orbitGaussian: DensityFamily = {
  name: "orbit_gaussian",
  permutations(shape) {
    const { mean, covariance } = gaussianOf(shape);
    return mean === "zero" && covariance === "scale" ? "invariant" : "enumerated";
  },
  parameterCount: (shape) =>
    meanSize(shape) + noiseSize(gaussianOf(shape).covariance, shape.particles),
  hasMeans: (shape) => gaussianOf(shape).mean === "minima",
  component: (parameters, model) => new OrbitGaussianComponent(parameters, model),
  place(parameters, { positions, width, covariance: found }: ComponentStart, shape) {
    const means = meanSize(shape);
    const { covariance } = gaussianOf(shape);
    parameters.set(positions.subarray(shape.dimension, shape.dimension + means));
    const noise = parameters.subarray(means);
    if (found) placeCovariance(covariance, noise, found, shape.particles);
    else placeNoise(covariance, noise, width, shape.particles);
  },
};

class OrbitGaussianComponent implements ComponentDensity {
  readonly #particles: number;
  readonly #n: 2 | 3;
  /** Means in the parameters: (N − 1)·n or 0. */
  readonly #means: number;
  /** M, (N, n), the anchor's row zero. */
  readonly #mean: Float64Array;
  readonly #noise: GaussianNoise;
  /** Whitened M. */
  readonly #a: Float64Array;
  readonly #aNorm: number;
  readonly #constant: number;
  /** Positions by place, relative to the anchor, and whitened. */
  readonly #x: Float64Array;
  readonly #y: Float64Array;
  readonly #byY: Float64Array;
  readonly #byA: Float64Array;
  readonly #byX: Float64Array;
  readonly #c: Float64Array;
  readonly #slope: Float64Array;

  constructor(parameters: Float64Array, shape: MintShape) {
    const { particles, dimension: n } = shape;
    const means = this.#means = meanSize(shape);
    this.#particles = particles;
    this.#n = n;
    this.#mean = new Float64Array(particles * n);
    this.#mean.set(parameters.subarray(0, means), n);
    const noise = this.#noise = createNoise(
      gaussianOf(shape).covariance,
      parameters.slice(means),
      particles,
      n,
    );
    this.#a = new Float64Array(noise.rows * n);
    if (means > 0) noise.whiten(this.#mean, this.#a);
    let square = 0;
    for (const value of this.#a) square += value * value;
    this.#aNorm = Math.sqrt(square);
    this.#constant = noise.logConstant - 0.5 * square;
    this.#x = new Float64Array(particles * n);
    this.#y = new Float64Array(noise.rows * n);
    this.#byY = new Float64Array(noise.rows * n);
    this.#byA = new Float64Array(noise.rows * n);
    this.#byX = new Float64Array(particles * n);
    this.#c = new Float64Array(n * n);
    this.#slope = new Float64Array(n * n);
  }

  logDensities(
    pairs: PairGeometry,
    labellings: Labellings,
    floor: number,
    out: Float64Array,
    first: number,
  ): void {
    for (let g = 0; g < labellings.count; g++) {
      const square = this.#whitened(pairs, labellings, g);
      // log I(C) ≤ |a| |y|.
      const bound = this.#constant - 0.5 * square + this.#aNorm * Math.sqrt(square);
      out[first + g] = bound < floor
        ? -Infinity
        : this.#constant - 0.5 * square + this.#logIntegral();
    }
  }

  /** Whitens one labelling's positions into #y; returns |y|². */
  #whitened(pairs: PairGeometry, labellings: Labellings, g: number): number {
    const n = this.#n;
    const N = this.#particles;
    const row = g * N;
    const anchor = labellings.particles[row] * n;
    for (let j = 0; j < N; j++) {
      const from = labellings.particles[row + j] * n;
      for (let d = 0; d < n; d++) {
        this.#x[j * n + d] = pairs.positions[from + d] - pairs.positions[anchor + d];
      }
    }
    this.#noise.whiten(this.#x, this.#y);
    let square = 0;
    for (let i = 0; i < this.#y.length; i++) square += this.#y[i] * this.#y[i];
    return square;
  }

  /** log I(aᵀy) of the labelling in hand, its gradient to #slope; 0 for mean zero. */
  #logIntegral(): number {
    if (this.#means === 0) return 0;
    const n = this.#n;
    const c = this.#c.fill(0);
    for (let i = 0; i < this.#a.length; i += n) {
      for (let d = 0; d < n; d++) {
        for (let e = 0; e < n; e++) c[d * n + e] += this.#a[i + d] * this.#y[i + e];
      }
    }
    return logOrbitIntegral(c, n, this.#slope);
  }

  addGradient(
    pairs: PairGeometry,
    labellings: Labellings,
    g: number,
    weight: number,
    gradients: ComponentGradients,
  ): void {
    const n = this.#n;
    const N = this.#particles;
    this.#whitened(pairs, labellings, g);
    this.#logIntegral();
    const [a, y, s] = [this.#a, this.#y, this.#slope];
    // ∂/∂y = −y + a S and ∂/∂a = −a + y Sᵀ, S = ∂log I/∂C.
    for (let i = 0; i < y.length; i += n) {
      for (let d = 0; d < n; d++) {
        let byY = -y[i + d];
        let byA = -a[i + d];
        for (let e = 0; e < n && this.#means > 0; e++) {
          byY += a[i + e] * s[e * n + d];
          byA += y[i + e] * s[d * n + e];
        }
        this.#byY[i + d] = byY;
        this.#byA[i + d] = byA;
      }
    }
    this.#noise.pullBack(this.#byY, this.#byX);
    for (let j = 0; j < N; j++) {
      const to = labellings.particles[g * N + j] * n;
      for (let d = 0; d < n; d++) gradients.byPosition[to + d] += weight * this.#byX[j * n + d];
    }
    const out = gradients.byParameters;
    if (!out) return;
    const noise = out.subarray(this.#means);
    this.#noise.addParameterGradient(y, this.#byY, weight, noise);
    this.#noise.addConstantGradient(weight, noise);
    if (this.#means === 0) return;
    this.#noise.addParameterGradient(a, this.#byA, weight, noise);
    this.#noise.pullBack(this.#byA, this.#byX);
    for (let i = 0; i < this.#means; i++) out[i] += weight * this.#byX[n + i];
  }

  draw(random: RandomStream, out: Float64Array): void {
    this.#noise.draw(random, this.#x);
    const n = this.#n;
    for (let i = 0; i < out.length; i++) {
      out[i] = this.#mean[n + i] + this.#x[n + i] - this.#x[i % n];
    }
  }
}

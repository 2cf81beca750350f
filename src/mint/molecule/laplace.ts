/** Laplace's mixture: one normal density per minimum with the inverse Hessian as its covariance. */
import { logSumExp } from "../../math/special.ts";
import type { RandomStream } from "../../math/random.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";
import {
  addCovariance,
  drawGaussian,
  flooredInverse,
  type Gaussian,
  gaussian,
  type InternalDensity,
  relabelAtRandom,
  widened,
} from "./gaussian.ts";
import { ImageSum } from "./image_sum.ts";
import type { InternalEnergy } from "./internal_energy.ts";
import type { Minimum } from "./minima.ts";

/** Eigenvalues of a scaled Hessian below this are taken as this. */
const FLOOR = 0.02;

export class LaplaceMixture implements InternalDensity {
  readonly #coordinates: ZMatrix;
  readonly #sum: ImageSum;
  readonly #components: { mean: Float64Array; normal: Gaussian; logWeight: number }[];

  /**
   * Weights e^{−V} √det H⁻¹. Rotors' images are summed exactly: q(z) is the mean of the mixture over
   * all cyclic relabellings.
   *
   * @param widening standard deviations are multiplied by it
   */
  constructor(energy: InternalEnergy, minima: readonly Minimum[], widening = 1) {
    this.#coordinates = energy.coordinates;
    const n = energy.coordinates.size;
    const raw = minima.map(({ z, value }) => {
      const covariance = flooredInverse(energy.hessian(z), energy.scales, FLOOR);
      const normal = gaussian(covariance, n);
      const logWeight = -normal.logNorm - value;
      return { mean: z, normal: widened(normal, widening), logWeight };
    });
    const all = Array.from({ length: n }, (_, k) => k);
    this.#sum = new ImageSum(energy.coordinates, all);
    const total = logSumExp(raw.map(({ logWeight }) => logWeight));
    this.#components = raw.map((c) => ({ ...c, logWeight: c.logWeight - total }));
  }

  draw(random: RandomStream): Float64Array | null {
    let level = random.uniform();
    const chosen = this.#components.find(({ logWeight }) => (level -= Math.exp(logWeight)) <= 0) ??
      this.#components[this.#components.length - 1];
    const z = new Float64Array(chosen.mean.length);
    drawGaussian(chosen.normal, random, z);
    const first = 2 * this.#coordinates.atoms - 3;
    if (z.subarray(first).some((d) => Math.abs(d) > Math.PI)) return null;
    for (let k = 0; k < z.length; k++) z[k] += chosen.mean[k];
    relabelAtRandom(this.#coordinates, z, random);
    return this.#coordinates.inDomain(z) ? z : null;
  }

  logDensity(z: Float64Array): number {
    const first = 2 * this.#coordinates.atoms - 3;
    return logSumExp(this.#components.map(({ mean, normal, logWeight }) => {
      const displace = (z: Float64Array, k: number) => {
        const d = z[k] - mean[k];
        return k < first ? d : wrap(d);
      };
      return this.#sum.logMean(z, displace, [{ normal, logWeight }]);
    }));
  }

  localCovariance(): Float64Array {
    const n = this.#coordinates.size;
    const sum = new Float64Array(n * n);
    const all = Array.from({ length: n }, (_, k) => k);
    for (const { normal, logWeight } of this.#components) {
      addCovariance(normal, Math.exp(logWeight), all, sum, n);
    }
    return sum;
  }
}

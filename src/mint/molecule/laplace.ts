/** Laplace's mixture: one normal density per minimum with the inverse Hessian as its covariance. */
import { logSumExp } from "../../math/special.ts";
import type { RandomStream } from "../../math/random.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";
import {
  displacement,
  drawGaussian,
  flooredInverse,
  type Gaussian,
  gaussian,
  images,
  type InternalDensity,
  logGaussian,
  relabelAtRandom,
} from "./gaussian.ts";
import type { InternalEnergy } from "./internal_energy.ts";
import type { Minimum } from "./minima.ts";

/** Eigenvalues of a scaled Hessian below this are taken as this. */
const FLOOR = 0.02;

export class LaplaceMixture implements InternalDensity {
  readonly #coordinates: ZMatrix;
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
      const volume = -gaussian(covariance, n).logNorm;
      const normal = gaussian(covariance.map((v) => v * widening ** 2), n);
      return { mean: z, normal, logWeight: volume - value };
    });
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
    const d = new Float64Array(z.length);
    const first = 2 * this.#coordinates.atoms - 3;
    const all = images(this.#coordinates, z);
    const terms = all.flatMap((image) =>
      this.#components.map(({ mean, normal, logWeight }) => {
        displacement(image, mean, first, d);
        return logWeight + logGaussian(normal, d);
      })
    );
    return logSumExp(terms) - Math.log(all.length);
  }
}

/** Log-normal distances from the anchor, one law for each place, as densities of positions. */
import type { RandomStream } from "../math/random.ts";
import type { PairGeometry } from "./pair_geometry.ts";

/** log density of place j at distance r: −½z² − n log r (+ constants), z = (log r − ρ_j)/σ_j. */
export class LogNormalRadii {
  /** −Σ_j log σ_j − ½M log 2π: what depends on no position. */
  readonly constant: number;
  /** For the anchor of `tabulate`, the term of place j and particle b at j·N + b. */
  readonly terms: Float64Array;
  readonly #sigma: Float64Array;

  /** @param logSigma log σ (M), `logRadius` ρ (M) */
  constructor(
    readonly logRadius: Float64Array,
    logSigma: Float64Array,
    readonly particles: number,
    readonly n: 2 | 3,
  ) {
    this.#sigma = logSigma.map(Math.exp);
    let constant = -0.5 * logSigma.length * Math.log(2 * Math.PI);
    for (const value of logSigma) constant -= value;
    this.constant = constant;
    this.terms = new Float64Array(logSigma.length * particles);
  }

  /** All terms seen from one anchor. */
  tabulate(pairs: PairGeometry, anchor: number): void {
    const { particles, n, terms } = this;
    for (let j = 0; j < particles - 1; j++) {
      const middle = this.logRadius[j];
      const inverseSigma = 1 / this.#sigma[j];
      for (let b = 0; b < particles; b++) {
        const log = pairs.logRadius[anchor * particles + b];
        const z = (log - middle) * inverseSigma;
        terms[j * particles + b] = -0.5 * z * z - n * log;
      }
    }
  }

  /** ∂(term of place j at log r)/∂log r, ∂/∂ρ_j and ∂/∂log σ_j (its part of the constant included). */
  slopes(j: number, logRadius: number): { byLogRadius: number; byRho: number; byLogSigma: number } {
    const z = (logRadius - this.logRadius[j]) / this.#sigma[j];
    return {
      byLogRadius: -z / this.#sigma[j] - this.n,
      byRho: z / this.#sigma[j],
      byLogSigma: z * z - 1,
    };
  }

  /** A distance for place j. */
  draw(random: RandomStream, j: number): number {
    return Math.exp(this.logRadius[j] + this.#sigma[j] * random.normal());
  }
}

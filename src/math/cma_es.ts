/**
 * Covariance matrix adaptation evolution strategy with weighted recombination and cumulative step-size
 * adaptation (Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, defaults of its
 * table 1): minimises a noisy function of some ten to fifty numbers without gradients.
 */
import { RandomStream, Stream } from "./random.ts";
import { symmetricEigen } from "./symmetric_eigen.ts";

export class CmaEs {
  readonly #size: number;
  readonly #seed: number;
  readonly #lambda: number;
  readonly #weights: Float64Array;
  readonly #effective: number;
  readonly #mean: Float64Array;
  readonly #pathSigma: Float64Array;
  readonly #path: Float64Array;
  #covariance: Float64Array;
  #vectors: Float64Array;
  #scales: Float64Array;
  #sigma: number;
  #generation = 0;
  #asked: Float64Array[] = [];

  /**
   * @param start first mean
   * @param sigma first standard deviation of every coordinate
   * @param lambda points in a generation, at least 4
   */
  constructor(start: Float64Array, sigma: number, lambda: number, seed: number) {
    const n = this.#size = start.length;
    this.#seed = seed;
    this.#lambda = lambda;
    this.#mean = start.slice();
    this.#sigma = sigma;
    const mu = lambda >> 1;
    const raw = Float64Array.from({ length: mu }, (_, i) => Math.log((lambda + 1) / 2 / (i + 1)));
    const sum = raw.reduce((a, w) => a + w, 0);
    this.#weights = raw.map((w) => w / sum);
    this.#effective = 1 / this.#weights.reduce((a, w) => a + w * w, 0);
    this.#pathSigma = new Float64Array(n);
    this.#path = new Float64Array(n);
    this.#covariance = Float64Array.from({ length: n * n }, (_, k) => k % (n + 1) === 0 ? 1 : 0);
    this.#vectors = this.#covariance.slice();
    this.#scales = new Float64Array(n).fill(1);
  }

  get generation(): number {
    return this.#generation;
  }

  /** The best guess so far: less noisy than any single point. */
  get mean(): Float64Array {
    return this.#mean.slice();
  }

  get sigma(): number {
    return this.#sigma;
  }

  /** The next generation; point k depends on (seed, generation, k) and what was told. */
  ask(): Float64Array[] {
    const n = this.#size;
    this.#asked = Array.from({ length: this.#lambda }, (_, k) => {
      const random = new RandomStream(
        this.#seed,
        Stream.tune,
        this.#generation * this.#lambda + k,
      );
      const z = this.#scales.map((s) => s * random.normal());
      return this.#mean.map((m, i) => {
        let y = 0;
        for (let j = 0; j < n; j++) y += this.#vectors[i * n + j] * z[j];
        return m + this.#sigma * y;
      });
    });
    return this.#asked.map((x) => x.slice());
  }

  /** Values of the asked points, in their order; anything that is not a number counts as the worst. */
  tell(values: ArrayLike<number>): void {
    const n = this.#size;
    const worth = Array.from(values, (v) => Number.isNaN(v) ? Infinity : v);
    const order = worth.map((_, k) => k).sort((a, b) => worth[a] - worth[b] || a - b);
    const steps = [...this.#weights].map((_, i) =>
      this.#asked[order[i]].map((x, a) => (x - this.#mean[a]) / this.#sigma)
    );
    const step = new Float64Array(n);
    steps.forEach((y, i) => y.forEach((v, a) => step[a] += this.#weights[i] * v));
    for (let a = 0; a < n; a++) this.#mean[a] += this.#sigma * step[a];

    const mu = this.#effective;
    const cSigma = (mu + 2) / (n + mu + 5);
    const damping = 1 + 2 * Math.max(0, Math.sqrt((mu - 1) / (n + 1)) - 1) + cSigma;
    const cPath = (4 + mu / n) / (n + 4 + 2 * mu / n);
    const c1 = 2 / ((n + 1.3) ** 2 + mu);
    const cMu = Math.min(1 - c1, 2 * (mu - 2 + 1 / mu) / ((n + 2) ** 2 + mu));
    // E|N(0, I)|.
    const expected = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

    const white = this.#whiten(step);
    let square = 0;
    for (let a = 0; a < n; a++) {
      this.#pathSigma[a] = (1 - cSigma) * this.#pathSigma[a] +
        Math.sqrt(cSigma * (2 - cSigma) * mu) * white[a];
      square += this.#pathSigma[a] ** 2;
    }
    this.#generation++;
    const norm = Math.sqrt(square);
    const settled = norm / Math.sqrt(1 - (1 - cSigma) ** (2 * this.#generation)) <
      (1.4 + 2 / (n + 1)) * expected;
    for (let a = 0; a < n; a++) {
      this.#path[a] = (1 - cPath) * this.#path[a] +
        (settled ? Math.sqrt(cPath * (2 - cPath) * mu) * step[a] : 0);
    }
    const keep = 1 - c1 - cMu + (settled ? 0 : c1 * cPath * (2 - cPath));
    const next = this.#covariance.map((c, k) => {
      const [a, b] = [Math.floor(k / n), k % n];
      let rank = 0;
      steps.forEach((y, i) => rank += this.#weights[i] * y[a] * y[b]);
      return keep * c + c1 * this.#path[a] * this.#path[b] + cMu * rank;
    });
    this.#sigma *= Math.exp(cSigma / damping * (norm / expected - 1));
    this.#covariance = next;
    const { values: eigenvalues, vectors } = symmetricEigen(next, n);
    this.#vectors = Float64Array.from(vectors);
    this.#scales = Float64Array.from(eigenvalues, (v) => Math.sqrt(Math.max(v, 1e-20)));
  }

  /** C^{−1/2} y. */
  #whiten(y: Float64Array): Float64Array {
    const n = this.#size;
    const out = new Float64Array(n);
    for (let k = 0; k < n; k++) {
      let along = 0;
      for (let a = 0; a < n; a++) along += this.#vectors[a * n + k] * y[a];
      along /= this.#scales[k];
      for (let a = 0; a < n; a++) out[a] += this.#vectors[a * n + k] * along;
    }
    return out;
  }
}

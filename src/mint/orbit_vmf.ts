/**
 * Orbit von Mises-Fisher × LogNormal: log-normal distances from the anchor, and directions that are
 * von Mises-Fisher about given ones up to a common rotation or reflection, averaged exactly.
 *
 * log q(X) = Σ_j [log LogNormal(r_j; ρ_j, σ_j) − (n−1) log r_j + log c_n(κ_j)] + log I(C),
 * C = Σ_j κ_j μ_j θ_jᵀ, θ_j = x_j/r_j: a density of X, hence the Jacobian r^{-(n-1)}.
 *
 * Parameters of one component, M = N − 1: mu (M·n, normalised here), logRadius ρ (M), logSigma (M),
 * logKappa (M).
 */
import type { RandomStream } from "../math/random.ts";
import type {
  ComponentDensity,
  ComponentGradients,
  ComponentStart,
  DensityFamily,
} from "./family.ts";
import type { Labellings } from "./labellings.ts";
import { LogNormalRadii } from "./log_normal_radii.ts";
import { logOrbitIntegral, orbitIntegralBound } from "./orbit_integral.ts";
import type { PairGeometry } from "./pair_geometry.ts";
import { drawVmf, logVmfConstant, vmfMeanCosine } from "./von_mises_fisher.ts";

export const orbitVmf: DensityFamily = {
  name: "orbit_vmf",
  permutations: () => "enumerated",
  parameterCount: ({ particles, dimension }) => (particles - 1) * (dimension + 3),
  hasMeans: () => true,
  component: (parameters, { particles, dimension }) =>
    new OrbitVmfComponent(parameters, particles, dimension),
  place(parameters, start, { particles, dimension: n }) {
    const m = particles - 1;
    placePolar(parameters, start, m, n);
    for (let j = 0; j < m; j++) {
      parameters[m * (n + 2) + j] = 2 * Math.log(startRadius(start, j, n) / startWidth(start, j));
    }
  },
};

/** Width of place j about the anchor. */
function startWidth({ width, covariance }: ComponentStart, j: number): number {
  if (!covariance) return width;
  return Math.sqrt(covariance[j * (Math.sqrt(covariance.length) + 1)]);
}

/** Distance of place j from the anchor; a particle on top of it counts as far as it is wide. */
export function startRadius(start: ComponentStart, j: number, n: 2 | 3): number {
  const x = start.positions.subarray((j + 1) * n, (j + 2) * n);
  return Math.max(Math.hypot(...x), startWidth(start, j));
}

/** Directions (M·n), log radii (M) and log σ (M) of a start: σ is the width over the radius. */
export function placePolar(
  parameters: Float64Array,
  start: ComponentStart,
  m: number,
  n: 2 | 3,
): void {
  for (let j = 0; j < m; j++) {
    const x = start.positions.subarray((j + 1) * n, (j + 2) * n);
    const found = Math.hypot(...x);
    const radius = startRadius(start, j, n);
    // A particle on top of the anchor has no direction.
    for (let d = 0; d < n; d++) parameters[j * n + d] = found > 0 ? x[d] / found : d === 0 ? 1 : 0;
    parameters[m * n + j] = Math.log(radius);
    parameters[m * (n + 1) + j] = Math.log(startWidth(start, j) / radius);
  }
}

class OrbitVmfComponent implements ComponentDensity {
  readonly #particles: number;
  readonly #n: 2 | 3;
  readonly #mu: Float64Array;
  /** κ μ. */
  readonly #scaledMu: Float64Array;
  readonly #muNorm: Float64Array;
  readonly #radii: LogNormalRadii;
  readonly #kappa: Float64Array;
  readonly #kappaSum: number;
  readonly #meanCosine: Float64Array;
  /** All that depends on neither positions nor labelling. */
  readonly #constant: number;
  readonly #c: Float64Array;
  readonly #slope: Float64Array;

  constructor(parameters: Float64Array, particles: number, n: 2 | 3) {
    const m = particles - 1;
    this.#particles = particles;
    this.#n = n;
    this.#mu = parameters.slice(0, m * n);
    this.#muNorm = new Float64Array(m);
    this.#radii = new LogNormalRadii(
      parameters.slice(m * n, m * (n + 1)),
      parameters.slice(m * (n + 1), m * (n + 2)),
      particles,
      n,
    );
    this.#kappa = parameters.slice(m * (n + 2), m * (n + 3)).map(Math.exp);
    this.#kappaSum = this.#kappa.reduce((sum, kappa) => sum + kappa, 0);
    this.#meanCosine = this.#kappa.map((kappa) => vmfMeanCosine(kappa, n));
    let constant = this.#radii.constant;
    for (let j = 0; j < m; j++) {
      let square = 0;
      for (let d = 0; d < n; d++) square += this.#mu[j * n + d] ** 2;
      this.#muNorm[j] = Math.sqrt(square);
      for (let d = 0; d < n; d++) this.#mu[j * n + d] /= this.#muNorm[j];
      constant += logVmfConstant(this.#kappa[j], n);
    }
    this.#scaledMu = this.#mu.map((value, i) => value * this.#kappa[Math.floor(i / n)]);
    this.#constant = constant;
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
    pairs.polar();
    const particles = this.#particles;
    const m = particles - 1;
    const n = this.#n;
    const radial = this.#radii.terms;
    const constant = this.#constant;
    // Radial terms below this cannot reach the floor: log I(C) ≤ Σκ.
    const least = floor - this.#kappaSum;
    const assigned = labellings.particles;
    let anchor = -1;
    for (let g = 0; g < labellings.count; g++) {
      const row = g * particles;
      if (assigned[row] !== anchor) {
        this.#radii.tabulate(pairs, anchor = assigned[row]);
      }
      let sum = constant;
      for (let j = 0; j < m; j++) sum += radial[j * particles + assigned[row + j + 1]];
      if (sum < least) {
        out[first + g] = -Infinity;
        continue;
      }
      const c = this.#orbitMatrix(pairs, labellings, g);
      const bound = sum + orbitIntegralBound(c, n);
      out[first + g] = bound < floor ? -Infinity : sum + logOrbitIntegral(c, n);
    }
  }

  /** C = Σ_j κ_j μ_j θ_jᵀ of one labelling. */
  #orbitMatrix(pairs: PairGeometry, labellings: Labellings, g: number): Float64Array {
    const particles = this.#particles;
    const n = this.#n;
    const c = this.#c.fill(0);
    const mu = this.#scaledMu;
    const direction = pairs.direction;
    const row = g * particles;
    const base = labellings.particles[row] * particles;
    for (let j = 0; j < particles - 1; j++) {
      const at = (base + labellings.particles[row + j + 1]) * n;
      for (let d = 0; d < n; d++) {
        for (let e = 0; e < n; e++) c[d * n + e] += mu[j * n + d] * direction[at + e];
      }
    }
    return c;
  }

  addGradient(
    pairs: PairGeometry,
    labellings: Labellings,
    g: number,
    weight: number,
    gradients: ComponentGradients,
  ): void {
    const particles = this.#particles;
    const n = this.#n;
    const m = particles - 1;
    const mu = this.#mu;
    const direction = pairs.direction;
    const slope = this.#slope;
    const row = g * particles;
    const base = labellings.particles[row] * particles;
    logOrbitIntegral(this.#orbitMatrix(pairs, labellings, g), n, slope);
    const out = gradients.byParameters;
    for (let j = 0; j < m; j++) {
      const pair = base + labellings.particles[row + j + 1];
      const kappa = this.#kappa[j];
      const radial = this.#radii.slopes(j, pairs.logRadius[pair]);
      gradients.byLogRadius[pair] += weight * radial.byLogRadius;
      let cosine = 0; // μᵀ S θ, S = ∂log I/∂C
      for (let e = 0; e < n; e++) {
        let byTheta = 0;
        for (let d = 0; d < n; d++) byTheta += mu[j * n + d] * slope[d * n + e];
        gradients.byDirection[pair * n + e] += weight * kappa * byTheta;
        cosine += byTheta * direction[pair * n + e];
      }
      if (!out) continue;
      for (let d = 0; d < n; d++) {
        let byMu = 0;
        for (let e = 0; e < n; e++) byMu += slope[d * n + e] * direction[pair * n + e];
        out[j * n + d] += weight * kappa * (byMu - cosine * mu[j * n + d]) / this.#muNorm[j];
      }
      out[m * n + j] += weight * radial.byRho;
      out[m * (n + 1) + j] += weight * radial.byLogSigma;
      out[m * (n + 2) + j] += weight * kappa * (cosine - this.#meanCosine[j]);
    }
  }

  draw(random: RandomStream, out: Float64Array): void {
    const n = this.#n;
    for (let j = 0; j < this.#particles - 1; j++) {
      drawVmf(random, this.#mu, j * n, this.#kappa[j], n, out);
      const radius = this.#radii.draw(random, j);
      for (let d = 0; d < n; d++) out[j * n + d] *= radius;
    }
  }
}

/**
 * The paper's PvMF × LogNormal (eq. 13 and 14): log-normal distances from the anchor, and directions
 * Θ with density exp(κ cos(ΘΘᵀ, μμᵀ))/Z(μ, κ):
 *
 * log q(X) = Σ_j [log LogNormal(r_j; ρ_j, σ_j) − (n−1) log r_j] + κ cos(ΘΘᵀ, μμᵀ) − log Z(μ, κ).
 *
 * It is invariant under O(n) by itself, but normalised and drawn only approximately: log Z is an
 * estimate with an error (pvmf_normaliser.ts), a draw is one of the Laplace Gaussian followed by
 * Metropolis-adjusted Langevin steps. Prefer "orbit_vmf" or "orbit_gaussian", which are exact.
 *
 * Parameters of one component, M = N − 1: mu (M·n, normalised here), logRadius ρ (M), logSigma (M),
 * logKappa (1).
 */
import type { RandomStream } from "../math/random.ts";
import type { ComponentDensity, ComponentGradients, DensityFamily } from "./family.ts";
import type { Labellings } from "./labellings.ts";
import { LogNormalRadii } from "./log_normal_radii.ts";
import type { MintModel } from "./model.ts";
import { placePolar, startRadius } from "./orbit_vmf.ts";
import type { PairGeometry } from "./pair_geometry.ts";
import { PvmfChart } from "./pvmf_chart.ts";
import {
  estimateNormaliser,
  multiply,
  NORMALISER_SAMPLES,
  tangential,
  unitRows,
} from "./pvmf_normaliser.ts";

export const pvmf: DensityFamily = {
  name: "pvmf",
  permutations: () => "enumerated",
  parameterCount: ({ particles, dimension }) => (particles - 1) * (dimension + 2) + 1,
  hasMeans: () => true,
  component: (parameters, model, k) => new PvmfComponent(parameters, model, k),
  place(parameters, start, { particles, dimension: n }) {
    const m = particles - 1;
    placePolar(parameters, start, m, n);
    // κ so that the mean variance of a direction, 1/(κ · curvature), is (width / radius)².
    let variance = 0;
    for (let j = 0; j < m; j++) variance += (start.width / startRadius(start, j, n)) ** 2 / m;
    const chart = new PvmfChart(unitRows(parameters, m, n), 1, n);
    parameters[m * (n + 2)] = -Math.log(variance * chart.meanCurvature);
  },
};

class PvmfComponent implements ComponentDensity {
  readonly #particles: number;
  readonly #n: 2 | 3;
  readonly #mu: Float64Array;
  readonly #muNorm: Float64Array;
  readonly #radii: LogNormalRadii;
  readonly #kappa: number;
  readonly #constant: number;
  readonly #logZSlopes: Float64Array;
  readonly #langevinSteps: number;
  readonly #chart: PvmfChart;
  readonly #theta: Float64Array;
  readonly #byTheta: Float64Array;
  readonly #byMu: Float64Array;

  constructor(parameters: Float64Array, model: MintModel, k: number) {
    const { particles, dimension: n, normalisers } = model;
    const m = particles - 1;
    this.#particles = particles;
    this.#n = n;
    this.#mu = unitRows(parameters, m, n);
    this.#muNorm = Float64Array.from(
      { length: m },
      (_, j) => Math.hypot(...parameters.subarray(j * n, (j + 1) * n)),
    );
    this.#radii = new LogNormalRadii(
      parameters.slice(m * n, m * (n + 1)),
      parameters.slice(m * (n + 1), m * (n + 2)),
      particles,
      n,
    );
    this.#kappa = Math.exp(parameters[m * (n + 2)]);
    this.#langevinSteps = model.langevinSteps ?? 0;
    this.#chart = new PvmfChart(this.#mu, this.#kappa, n);
    let logZ: number;
    if (normalisers) {
      logZ = normalisers.logZ[k];
      this.#logZSlopes = normalisers.slopes.slice(k * (m * n + 1), (k + 1) * (m * n + 1));
    } else {
      const found = estimateNormaliser(this.#mu, this.#kappa, n, NORMALISER_SAMPLES);
      logZ = found.logZ;
      this.#logZSlopes = found.slopes;
    }
    this.#constant = this.#radii.constant - logZ;
    this.#theta = new Float64Array(m * n);
    this.#byTheta = new Float64Array(m * n);
    this.#byMu = new Float64Array(m * n);
  }

  logDensities(
    pairs: PairGeometry,
    labellings: Labellings,
    floor: number,
    out: Float64Array,
    first: number,
  ): void {
    pairs.polar();
    const N = this.#particles;
    const { terms } = this.#radii;
    const assigned = labellings.particles;
    let anchor = -1;
    for (let g = 0; g < labellings.count; g++) {
      const row = g * N;
      if (assigned[row] !== anchor) this.#radii.tabulate(pairs, anchor = assigned[row]);
      let sum = this.#constant;
      for (let j = 0; j < N - 1; j++) sum += terms[j * N + assigned[row + j + 1]];
      out[first + g] = sum + this.#kappa < floor
        ? -Infinity
        : sum + this.#kappa * this.#chart.cosine(this.#directions(pairs, labellings, g));
    }
  }

  /** Unit rows by place, of one labelling. */
  #directions(pairs: PairGeometry, labellings: Labellings, g: number): Float64Array {
    const N = this.#particles;
    const n = this.#n;
    const base = labellings.particles[g * N] * N;
    for (let j = 0; j < N - 1; j++) {
      const from = (base + labellings.particles[g * N + j + 1]) * n;
      for (let d = 0; d < n; d++) this.#theta[j * n + d] = pairs.direction[from + d];
    }
    return this.#theta;
  }

  addGradient(
    pairs: PairGeometry,
    labellings: Labellings,
    g: number,
    weight: number,
    gradients: ComponentGradients,
  ): void {
    const N = this.#particles;
    const n = this.#n;
    const m = N - 1;
    const kappa = this.#kappa;
    const theta = this.#directions(pairs, labellings, g);
    const cosine = this.#chart.cosine(theta, this.#byTheta, this.#byMu);
    const base = labellings.particles[g * N] * N;
    const out = gradients.byParameters;
    for (let j = 0; j < m; j++) {
      const pair = base + labellings.particles[g * N + j + 1];
      const radial = this.#radii.slopes(j, pairs.logRadius[pair]);
      gradients.byLogRadius[pair] += weight * radial.byLogRadius;
      for (let e = 0; e < n; e++) {
        gradients.byDirection[pair * n + e] += weight * kappa * this.#byTheta[j * n + e];
      }
      if (!out) continue;
      out[m * n + j] += weight * radial.byRho;
      out[m * (n + 1) + j] += weight * radial.byLogSigma;
    }
    if (!out) return;
    tangential(this.#byMu, this.#mu, n);
    for (let i = 0; i < m * n; i++) {
      const slope = kappa * this.#byMu[i] - this.#logZSlopes[i];
      out[i] += weight * slope / this.#muNorm[Math.floor(i / n)];
    }
    out[m * (n + 2)] += weight * (kappa * cosine - this.#logZSlopes[m * n]);
  }

  draw(random: RandomStream, out: Float64Array): void {
    const n = this.#n;
    drawDirections(this.#chart, this.#langevinSteps, random, out);
    for (let j = 0; j < this.#particles - 1; j++) {
      const radius = this.#radii.draw(random, j);
      for (let d = 0; d < n; d++) out[j * n + d] *= radius;
    }
  }
}

/**
 * M unit rows to `theta`: a normal draw in coordinates scaled by Laplace's covariance, then Langevin
 * steps with Metropolis' correction (Roberts and Tweedie 1996). Right in the limit of many steps.
 */
export function drawDirections(
  chart: PvmfChart,
  steps: number,
  random: RandomStream,
  theta: Float64Array,
): void {
  const { size, root } = chart;
  let z = Float64Array.from({ length: size }, () => random.normal());
  let slope = new Float64Array(size);
  let proposed = new Float64Array(size);
  let proposedSlope = new Float64Array(size);
  const u = new Float64Array(size);
  const byU = new Float64Array(size);
  const evaluate = (at: Float64Array, gradient: Float64Array): number => {
    multiply(root, at, u);
    const value = chart.logTarget(u, theta, byU);
    multiply(root, byU, gradient); // the root is symmetric
    return value;
  };
  // 1.65 d^(−1/6) is best for a normal target in many dimensions; a little less is safer.
  const step = 1.3 * size ** (-1 / 6);
  let value = steps > 0 ? evaluate(z, slope) : 0;
  for (let k = 0; k < steps; k++) {
    let ratio = 0;
    for (let i = 0; i < size; i++) {
      const noise = random.normal();
      proposed[i] = z[i] + 0.5 * step * step * slope[i] + step * noise;
      ratio += 0.5 * noise * noise;
    }
    const proposedValue = evaluate(proposed, proposedSlope);
    for (let i = 0; i < size; i++) {
      const back = (z[i] - proposed[i]) / step - 0.5 * step * proposedSlope[i];
      ratio -= 0.5 * back * back;
    }
    if (Math.log(random.uniform()) < proposedValue - value + ratio) {
      [z, proposed] = [proposed, z];
      [slope, proposedSlope] = [proposedSlope, slope];
      value = proposedValue;
    }
  }
  multiply(root, z, u);
  chart.directions(u, theta);
}

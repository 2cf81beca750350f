/**
 * Julep in whitened internal coordinates of a molecule: z = L y, L the Cholesky factor of the prior's
 * local covariance, and the kernels of reference/julep.ts in y,
 *
 *   k⁺(y'|y) = N(y + D⁺, 2h),   D⁺ = (e^{+hA} − 1) w  + h( b + c + φF)  at (y,  t)
 *   k⁻(y|y') = N(y' + D⁻, 2h),  D⁻ = (e^{−hA} − 1) w' + h(−b + c + φF)  at (y', t')
 *   F = −Lᵀ∇U_t, U_t = (1 − t)(−log q) + t V, h = εΔ, φ = 2/(1 + √(1 − 2h)).
 *
 * w = L⁻¹δ(z) is y from a centre, made periodic (julep/whitened.ts). Both covariances are 2h, so no
 * determinant of e^{hA} enters the weight: what A expands or contracts is in the means alone.
 *
 * With the factor φ the step is reversible for N(0, 1), which whitened coordinates nearly are: it is
 * the Ornstein-Uhlenbeck process after the time −½ log(1 − 2h).
 *
 * Dihedrals are not wrapped on the way: q, V and the network have their periods, so the paths on the
 * covering space weigh like those on the torus. F and the network are any fixed functions of the state
 * (V float32 on SIMD, log q nearly, clipped), evaluated once a state for both kernels there; −log q at
 * the start and V at the end are float64 (internal_paths.ts). Hence E[e^W] = Z whatever is learnt.
 */
import type { JulepModel } from "../julep/model.ts";
import { knotGradient, stepSizes } from "../julep/schedule.ts";
import {
  displacement,
  WhitenedNetwork,
  type WhitenedOutput,
  whitenedOutput,
} from "../julep/whitened.ts";
import { cholesky, invertLower } from "../math/linear.ts";
import { normals, Stream, streamKey } from "../math/random.ts";
import { PriorScore } from "../mint/molecule/score.ts";
import type { InternalSampler } from "../path/internal_sampler.ts";
import {
  type GradientJob,
  type GradientResult,
  LANES,
  type TrajectoryJob,
  type TrajectoryResult,
} from "./backend.ts";
import { finiteWeight, internalDraws, InternalEnds } from "./internal_paths.ts";
import {
  addExponentialAdjoint,
  addExponentialDisplacement,
  exponentialRate,
  type LowRank,
} from "./reference/matrix_exponential.ts";

/** V (+∞ or NaN out of the domain) and ∂V/∂z at places (count, n). */
export type InternalForces = (
  places: Float64Array,
) => { readonly values: Float64Array; readonly gradients: Float64Array };

/** In float64, one place after another. */
export function referenceForces({ energy }: InternalSampler): InternalForces {
  return (places) => {
    const n = energy.coordinates.size;
    const gradients = new Float64Array(places.length);
    const values = Float64Array.from(
      { length: places.length / n },
      (_, s) =>
        energy.value(places.slice(s * n, (s + 1) * n), gradients.subarray(s * n, (s + 1) * n)),
    );
    return { values, gradients };
  };
}

/** h beyond which φ stays as it is there. */
const LARGEST = 0.45;

/** φ, and ∂(hφ)/∂log h. */
export function forceFactor(h: number): { factor: number; slope: number } {
  const root = Math.sqrt(1 - 2 * Math.min(h, LARGEST));
  const factor = 2 / (1 + root);
  const bend = h < LARGEST ? 2 / (root * (1 + root) ** 2) : 0;
  return { factor, slope: h * (factor + h * bend) };
}

/** Everything both kernels need at one time of all samples; arrays are (count, n) in y. */
interface Level {
  readonly energies: Float64Array;
  readonly force: Float64Array;
  /** One for each sample; null without a network. */
  readonly learned: readonly Learned[] | null;
}

/** The network at one state, and what its A acts on. */
interface Learned {
  readonly net: WhitenedOutput;
  /** w = L⁻¹δ(z), (n). */
  readonly w: Float64Array;
}

/** A as reference/matrix_exponential.ts takes it: n points on a line. */
const lowRank = ({ s, h }: WhitenedOutput): LowRank => ({
  h,
  s,
  particles: h.length / s.length,
  dimension: 1,
  channels: s.length,
});

/** The network's part of D⁺ (sign +1) or D⁻ (−1): h(±b + c) + (e^{±hA} − 1)w. */
function learnedDrift({ net, w }: Learned, h: number, sign: number): Float64Array {
  const out = net.b.map((b, k) => h * (sign * b + net.c[k]));
  if (net.s.length) addExponentialDisplacement(lowRank(net), w, sign * h, out);
  return out;
}

/** A prior's whitening and score with the backend's energies, for all jobs of one problem. */
export class InternalJulep {
  readonly #sampler: InternalSampler;
  readonly #julep: JulepModel;
  readonly #forces: InternalForces;
  readonly #score: PriorScore;
  readonly #n: number;
  readonly #lower: Float64Array;
  readonly #inverse: Float64Array;
  readonly #network: WhitenedNetwork | null;

  constructor(sampler: InternalSampler, julep: JulepModel, forces: InternalForces) {
    const { energy: { coordinates }, prior, model } = sampler;
    this.#sampler = sampler;
    this.#julep = julep;
    this.#forces = forces;
    this.#score = new PriorScore(coordinates, model.prior, prior);
    const n = this.#n = coordinates.size;
    this.#lower = cholesky(prior.localCovariance(), n);
    this.#inverse = invertLower(this.#lower, n);
    this.#network = julep.whitened ? new WhitenedNetwork(julep.whitened, julep.parameters) : null;
  }

  /** out ← L x or L⁻¹ x, sample by sample. */
  #multiply(lower: Float64Array, x: Float64Array): Float64Array {
    const n = this.#n;
    const out = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += n) {
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j <= i; j++) sum += lower[i * n + j] * x[at + j];
        out[at + i] = sum;
      }
    }
    return out;
  }

  #level(y: Float64Array, t: number): Level {
    const n = this.#n;
    const count = y.length / n;
    const z = this.#multiply(this.#lower, y);
    const energies = new Float64Array(count);
    const force = new Float64Array(y.length);
    const learned: Learned[] = [];
    const target = t > 0 ? this.#forces(z) : null;
    const slope = new Float64Array(n);
    const { forceClip } = this.#julep;
    for (let s = 0; s < count; s++) {
      const at = s * n;
      const own = z.subarray(at, at + n);
      const outside = !this.#sampler.energy.coordinates.inDomain(own);
      slope.fill(0);
      if (t < 1) {
        energies[s] -= (1 - t) * this.#score.evaluate(own, slope);
        for (let k = 0; k < n; k++) slope[k] *= 1 - t;
      }
      if (target) {
        energies[s] += t * target.values[s];
        // Outside there is no target to be drawn to: its part of the force is zero there.
        if (!outside) { for (let k = 0; k < n; k++) slope[k] -= t * target.gradients[at + k]; }
      }
      const f = force.subarray(at, at + n);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j <= i; j++) f[j] += this.#lower[i * n + j] * slope[i];
      }
      if (forceClip) {
        for (let k = 0; k < n; k++) f[k] /= Math.sqrt(1 + (f[k] / forceClip) ** 2);
      }
      if (this.#network) learned.push(this.#learned(this.#network, own, t));
    }
    return { energies, force, learned: this.#network && learned };
  }

  /** Outputs that are off are zero, and s is 1 where A = HHᵀ. */
  #learned(network: WhitenedNetwork, z: Float64Array, t: number): Learned {
    const net = whitenedOutput(network.shape);
    network.forward(z, t, net);
    const { drift, evenDrift, matrix } = this.#julep;
    if (!drift) net.b.fill(0);
    if (!evenDrift) net.c.fill(0);
    if (matrix === "positive") net.s.fill(1);
    const w = new Float64Array(this.#n);
    if (net.s.length) displacement(network.shape, z, w);
    return { net, w: this.#multiply(this.#inverse, w) };
  }

  trajectories(job: TrajectoryJob): TrajectoryResult {
    const { count, times, first, seed } = job;
    const n = this.#n;
    const T = times.length - 1;
    const forward = job.direction === "forward";
    const sign = forward ? 1 : -1;
    const key = streamKey(seed, forward ? Stream.forward : Stream.backward);
    const eps = stepSizes(this.#julep.logStepSize, times);
    const { places, lost } = forward
      ? internalDraws(this.#sampler, job)
      : { places: this.#given(job.positions!, count), lost: new Set<number>() };
    const ends = new InternalEnds(this.#sampler, count);
    const logWeights = new Float64Array(count);
    if (forward) ends.leave(0, places, null, logWeights);
    else ends.arrive(0, places, null, logWeights);
    const increments = new Float64Array(T * count);
    const states = job.keep ? new Float64Array((T + 1) * count * n) : null;
    const forces = job.keep ? new Float64Array((T + 1) * count * n) : null;
    const noise = new Float64Array(n);
    const none = new Float64Array(n);
    let y = this.#multiply(this.#inverse, places);
    const from = forward ? 0 : T;
    let here = this.#level(y, times[from]);
    const keep = (k: number) => {
      states?.set(y, k * count * n);
      forces?.set(here.force, k * count * n);
    };
    keep(from);
    for (let k = 0; k < T; k++) {
      const step = forward ? k : T - 1 - k;
      const next = forward ? step + 1 : step;
      const h = eps[step] * (times[step + 1] - times[step]);
      const sigma = Math.sqrt(2 * h);
      const { factor } = forceFactor(h);
      /** D± of a sample without the force's part; zero without a network. */
      const drift = (level: Level, s: number, way: number) =>
        level.learned ? learnedDrift(level.learned[s], h, way) : none;
      const moved = new Float64Array(y.length);
      const drawn = new Float64Array(count);
      for (let s = 0; s < count; s++) {
        normals(noise, key, first + s, step * Math.ceil(n / 2));
        const learned = drift(here, s, sign);
        for (let a = 0; a < n; a++) {
          const at = s * n + a;
          moved[at] = learned[a] + h * factor * here.force[at] + sigma * noise[a];
          drawn[s] += noise[a] * noise[a];
        }
      }
      const arrived = y.map((v, at) => v + moved[at]);
      const there = this.#level(arrived, times[next]);
      for (let s = 0; s < count; s++) {
        let returned = 0;
        const learned = drift(there, s, -sign);
        for (let a = 0; a < n; a++) {
          const at = s * n + a;
          const back = learned[a] + h * factor * there.force[at];
          returned += ((moved[at] + back) / sigma) ** 2;
        }
        const ratio = 0.5 * sign * (drawn[s] - returned);
        logWeights[s] += ratio;
        increments[step * count + s] = sign * (here.energies[s] - there.energies[s]) + ratio;
      }
      y = arrived;
      here = there;
      keep(next);
    }
    const end = this.#multiply(this.#lower, y);
    if (forward) ends.arrive(0, end, null, logWeights);
    else ends.leave(0, end, null, logWeights);
    logWeights.forEach((w, s) => logWeights[s] = lost.has(s) ? -Infinity : finiteWeight(w));
    const { positions, priorPositions, energies } = ends;
    const result = { positions, priorPositions, energies, logWeights };
    return job.keep ? { ...result, increments, states: states!, forces: forces! } : result;
  }

  /** z of given positions (count, N, 3), float32 values. */
  #given(positions: Float64Array, count: number): Float64Array {
    const places = new Float64Array(count * this.#n);
    const size = positions.length / count;
    for (let s = 0; s < count; s++) {
      const z = this.#sampler.coordinatesOf(positions.slice(s * size, (s + 1) * size));
      places.set(z.map(Math.fround), s * this.#n);
    }
    return places;
  }

  /** As trajectoryGradient of reference/julep.ts; states and forces are those of `trajectories`. */
  gradient(job: GradientJob): GradientResult {
    const { count, times, states, forces, coefficients, stepCoefficients, windows } = job;
    const n = this.#n;
    const eps = stepSizes(this.#julep.logStepSize, times);
    const parameters = new Float64Array(this.#julep.parameters.length);
    const perStep = new Float64Array(times.length - 1);
    const network = this.#network;
    const state = (j: number, s: number) =>
      states.subarray((j * count + s) * n, (j * count + s + 1) * n);
    for (let s = 0; s < count; s++) {
      const block = Math.floor(s / LANES);
      const start = windows[2 * block];
      const last = start + windows[2 * block + 1];
      for (let j = start; j <= last; j++) {
        const force = forces.subarray((j * count + s) * n, (j * count + s + 1) * n);
        const z = network && this.#multiply(this.#lower, Float64Array.from(state(j, s)));
        const learned = network && this.#learned(network, z!, times[j]);
        const adjoint = network && whitenedOutput(network.shape);
        /** k⁺ leaving state j (+1) or k⁻ arriving at it (−1). */
        const addKernel = (step: number, sign: 1 | -1) => {
          const kappa = coefficients[step * count + s];
          const stepKappa = stepCoefficients[step * count + s];
          // A path that left the numbers has no coefficients, and 0·NaN is NaN.
          if (kappa === 0 && stepKappa === 0) return;
          const h = eps[step] * (times[step + 1] - times[step]);
          const [before, after] = [state(step, s), state(step + 1, s)];
          const { factor, slope } = forceFactor(h);
          const d = learned ? learnedDrift(learned, h, sign) : new Float64Array(n);
          // increment = |R⁺|²/(4h) − |R⁻|²/(4h).
          const g = new Float64Array(n);
          let square = 0;
          let along = 0;
          for (let a = 0; a < n; a++) {
            const r = sign * (after[a] - before[a]) - d[a] - h * factor * force[a];
            square += r * r;
            g[a] = -sign * r / (2 * h);
            along += g[a] * slope * force[a];
          }
          if (learned && adjoint) along += addLearned(learned, d, g, h, sign, kappa, adjoint);
          perStep[step] += stepKappa * (along - sign * square / (4 * h));
        };
        if (j < last) addKernel(j, 1);
        if (j > start) addKernel(j - 1, -1);
        if (!network || !adjoint) continue;
        if (!this.#julep.drift) adjoint.b.fill(0);
        if (!this.#julep.evenDrift) adjoint.c.fill(0);
        if (this.#julep.matrix === "positive") adjoint.s.fill(0);
        network.backward(adjoint, parameters);
      }
    }
    const knots = this.#julep.logStepSize.length;
    return { parameters, logStepSize: knotGradient(knots, times, perStep) };
  }
}

/**
 * For g = ∂increment/∂d, d the `learnedDrift` of one kernel: adds κ ∂increment/∂outputs to `adjoint`
 * and gives ∂increment/∂log h through d, ⟨g, h(±b + c) ± h A e^{±hA} w⟩.
 */
function addLearned(
  { net, w }: Learned,
  d: Float64Array,
  g: Float64Array,
  h: number,
  sign: number,
  kappa: number,
  adjoint: WhitenedOutput,
): number {
  const linear = net.b.map((b, k) => h * (sign * b + net.c[k]));
  let along = 0;
  for (let a = 0; a < g.length; a++) {
    along += g[a] * linear[a];
    adjoint.b[a] += kappa * sign * h * g[a];
    adjoint.c[a] += kappa * h * g[a];
  }
  if (net.s.length === 0) return along;
  const by = g.map((v) => kappa * v);
  addExponentialAdjoint(lowRank(net), w, sign * h, by, adjoint.h, adjoint.s);
  const turned = w.map((v, a) => v + d[a] - linear[a]); // e^{±hA} w
  return along + exponentialRate(lowRank(net), turned, sign * h, g);
}

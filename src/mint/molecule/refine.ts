/**
 * Weighted maximum likelihood of a Laplace mixture, the paper's surrogate −Σ_s w_s log q(z_s), with what it
 * starts from kept in the mixture at a fixed share: a fit to samples forgets what they did not visit, and
 * its own ESS rises while it does.
 *
 * One step of expectation maximisation. A component's variants (laplaceParts) are one normal density in
 * different units: of widening w, stretched f-fold along coordinate b,
 *
 *   d′ = (d − (1 − 1/f) d_b Σ_·b/Σ_bb)/w ~ N(0, Σ),
 *
 * and every sample counts for component k by Σ_p r_kp, r_kp its share of q. In y = L⁻¹d′, the torsions that
 * turn branches or rotors first, a component gets a mean and a covariance of its own along those, and along
 * the rest (their linear response to the torsions is Laplace's) a mean and variances common to all
 * components: full covariances in tens of dimensions fit the samples and nothing else (on ACE-ALA-ALA-NME,
 * 3000 effective samples, log q of others −0.9). Both are posterior modes under a prior worth `strength`
 * samples of the density as it is.
 */
import { cholesky, invertLower } from "../../math/linear.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";
import { type LaplaceModel, laplaceParts, properTorsions } from "./laplace.ts";

/** Samples to fit to. */
export interface WeightedPlaces {
  /** (S, n) internal coordinates. */
  readonly places: Float64Array;
  /** (S) log-weights, in any units. */
  readonly logWeights: Float64Array;
}

export interface RefineOptions {
  /** Share of the mixture as it was, in (0, 1): the refined density is never below it times that one. */
  readonly defensive: number;
  /** Samples that the present means and covariances are worth. */
  readonly strength: number;
}

/** Components of fewer (effective) samples are left to the mixture as it was. */
const FEWEST = 2;

/** A component of K, ready to be compared with a sample. */
interface Component {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
  /** Σ = L Lᵀ, and L⁻¹. */
  readonly lower: Float64Array;
  readonly inverse: Float64Array;
  readonly logNorm: number;
  readonly logWeight: number;
}

/**
 * `start` at its fixed share, and the components of `now` after one step towards the samples.
 *
 * @param start the mixture that is kept
 * @param now the one that takes the step, `start` itself or components of an earlier step
 * @throws RangeError when no sample has any weight
 */
export function refineMixture(
  coordinates: ZMatrix,
  start: LaplaceModel,
  now: LaplaceModel,
  { places, logWeights }: WeightedPlaces,
  { defensive, strength }: RefineOptions,
): { readonly mixture: LaplaceModel; readonly fitted: LaplaceModel } {
  const fitted = step(coordinates, now, places, effectiveCounts(logWeights), strength);
  const keep = Math.log(defensive), rest = Math.log(1 - defensive);
  const mixture: LaplaceModel = {
    ...start,
    means: joined(start.means, fitted.means),
    covariances: joined(start.covariances, fitted.covariances),
    logWeights: joined(
      start.logWeights.map((w) => w + keep),
      fitted.logWeights.map((w) => w + rest),
    ),
  };
  return { mixture, fitted };
}

/** Weights that add up to the effective number of samples. Throws RangeError where all are zero. */
function effectiveCounts(logWeights: Float64Array): Float64Array {
  const top = logWeights.reduce((a, b) => Math.max(a, b), -Infinity);
  if (top === -Infinity) throw new RangeError("no sample has any weight");
  const weights = logWeights.map((w) => Math.exp(w - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  const squares = weights.reduce((a, b) => a + b * b, 0);
  return weights.map((w) => w * sum / squares);
}

/** The maximisation: a density of the samples by the shares of `model`. */
function step(
  coordinates: ZMatrix,
  model: LaplaceModel,
  places: Float64Array,
  counts: Float64Array,
  strength: number,
): LaplaceModel {
  const n = coordinates.size;
  const turning = turningPlaces(coordinates);
  const order = [
    ...turning,
    ...Array.from({ length: n }, (_, i) => i).filter((i) => !turning.includes(i)),
  ];
  const components = split(model, order);
  const sums = sumsOf(coordinates, model, components, order, places, counts);
  const all = emptySums(n);
  for (const sum of sums) merge(all, sum);
  const none = new Float64Array(n), one = identity(n);
  const common = posterior({ mean: none, covariance: one }, all, strength);
  const own = sums.map((sum) => joint(posterior(common, sum, strength), common, turning.length));
  const kept = [...components.keys()].filter((k) => sums[k].mass >= FEWEST);
  if (kept.length === 0) throw new RangeError("no component has samples of its own");
  const mass = kept.reduce((sum, k) => sum + sums[k].mass, 0);
  return {
    ...model,
    means: Float64Array.from(
      kept.flatMap((k) => [...movedMean(components[k], own[k].mean, order)]),
    ),
    covariances: Float64Array.from(
      kept.flatMap((k) => [...coloured(components[k].lower, own[k].covariance, order)]),
    ),
    logWeights: Float64Array.from(kept, (k) => Math.log(sums[k].mass / mass)),
  };
}

/** The expectation: every component's share of the samples. */
function sumsOf(
  coordinates: ZMatrix,
  model: LaplaceModel,
  components: readonly Component[],
  order: readonly number[],
  places: Float64Array,
  counts: Float64Array,
): Sums[] {
  const n = coordinates.size;
  const parts = laplaceParts(model).map(({ weight, widening, stretched }) => ({
    logWeight: Math.log(weight / (stretched?.factor ?? 1)) - n * Math.log(widening),
    widening,
    along: stretched ? coordinates.dihedralAt(stretched.row) : -1,
    factor: stretched?.factor ?? 1,
  }));
  const sums = components.map(() => emptySums(n));
  const displacement = components.map(() => new Float64Array(n));
  const y = new Float64Array(n);
  for (let s = 0; s < counts.length; s++) {
    if (!(counts[s] > 0)) continue;
    const z = places.subarray(s * n, (s + 1) * n);
    const terms = components.map((component, k) => {
      const d = displacement[k];
      displaceNearest(coordinates, z, component, d);
      whiten(component, d, order, y);
      const square = y.reduce((sum, v) => sum + v * v, 0);
      return parts.map(({ logWeight, widening, along, factor }) => {
        const own = along < 0 ? square : square - (1 - 1 / factor ** 2) * d[along] ** 2 /
            component.covariance[along * n + along];
        return component.logWeight + component.logNorm + logWeight - 0.5 * own / widening ** 2;
      });
    });
    const top = Math.max(...terms.flat());
    const total = terms.flat().reduce((sum, term) => sum + Math.exp(term - top), 0);
    terms.forEach((ofParts, k) =>
      ofParts.forEach((term, p) => {
        const share = counts[s] * Math.exp(term - top) / total;
        if (share < 1e-9) return;
        const { along, factor, widening } = parts[p];
        const d = displacement[k].slice();
        unstretch(components[k], d, along, factor);
        whiten(components[k], d, order, y);
        add(sums[k], y, share, widening);
      })
    );
  }
  return sums;
}

/** Torsions that turn branches, and those of rotors. */
function turningPlaces(coordinates: ZMatrix): number[] {
  const rotors = coordinates.rotors.map(({ rows }) => coordinates.dihedralAt(rows[0]));
  return [...properTorsions(coordinates), ...rotors];
}

/** What one component's samples add up to, in its whitened coordinates y = L⁻¹d′. */
interface Sums {
  /** N = Σ r. */
  mass: number;
  /** π = Σ r/w². */
  precision: number;
  /** Σ r y/w². */
  readonly first: Float64Array;
  /** Σ r y yᵀ/w², (n, n), its lower triangle. */
  readonly second: Float64Array;
}

const emptySums = (n: number): Sums => ({
  mass: 0,
  precision: 0,
  first: new Float64Array(n),
  second: new Float64Array(n * n),
});

function add(sums: Sums, y: Float64Array, share: number, widening: number): void {
  const n = y.length;
  const scaled = share / widening ** 2;
  sums.mass += share;
  sums.precision += scaled;
  for (let i = 0; i < n; i++) {
    const value = scaled * y[i];
    sums.first[i] += value;
    for (let j = 0; j <= i; j++) sums.second[i * n + j] += value * y[j];
  }
}

function merge(into: Sums, { mass, precision, first, second }: Sums): void {
  into.mass += mass;
  into.precision += precision;
  first.forEach((v, i) => into.first[i] += v);
  second.forEach((v, i) => into.second[i] += v);
}

interface Normal {
  readonly mean: Float64Array;
  /** (n, n). */
  readonly covariance: Float64Array;
}

/** Posterior mode of a normal density, `known` being worth ν samples: m = (ν m₀ + Σ r y/w²)/(ν + π), ... */
function posterior(known: Normal, sums: Sums, strength: number): Normal {
  const { first, second, mass, precision } = sums;
  const n = first.length;
  const mean = known.mean.map((m, i) => (strength * m + first[i]) / (strength + precision));
  const covariance = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const moved = known.mean[i] - mean[i];
    for (let j = 0; j <= i; j++) {
      const scatter = second[i * n + j] - first[i] * mean[j] - mean[i] * first[j] +
        precision * mean[i] * mean[j];
      const prior = known.covariance[i * n + j] + moved * (known.mean[j] - mean[j]);
      covariance[i * n + j] = covariance[j * n + i] = (strength * prior + scatter) /
        (strength + mass);
    }
  }
  return { mean, covariance };
}

/**
 * The component's own mean and covariance along the turning torsions, all components' mean and variances
 * along the rest: as many numbers as samples can tell.
 */
function joint(own: Normal, common: Normal, turning: number): Normal {
  const n = own.mean.length;
  const covariance = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    if (i >= turning) covariance[i * n + i] = common.covariance[i * n + i];
    else for (let j = 0; j < turning; j++) covariance[i * n + j] = own.covariance[i * n + j];
  }
  return { mean: own.mean.map((m, i) => i < turning ? m : common.mean[i]), covariance };
}

function identity(n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  return out;
}

/** μ + L m. */
function movedMean(
  { mean, lower }: Component,
  m: Float64Array,
  order: readonly number[],
): Float64Array {
  const n = m.length;
  const out = mean.slice();
  order.forEach((at, i) => {
    for (let j = 0; j <= i; j++) out[at] += lower[i * n + j] * m[j];
  });
  return out;
}

/** L C Lᵀ. */
function coloured(
  lower: Float64Array,
  inner: Float64Array,
  order: readonly number[],
): Float64Array {
  const n = Math.sqrt(lower.length);
  const left = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k <= i; k++) {
      const value = lower[i * n + k];
      for (let j = 0; j < n; j++) left[i * n + j] += value * inner[k * n + j];
    }
  }
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k <= j; k++) sum += left[i * n + k] * lower[j * n + k];
      out[order[i] * n + order[j]] = out[order[j] * n + order[i]] = sum;
    }
  }
  return out;
}

/** d of the relabelling of each rotor whose turn is nearest to the component's. */
function displaceNearest(
  coordinates: ZMatrix,
  z: Float64Array,
  { mean }: Component,
  d: Float64Array,
): void {
  const image = z.slice();
  coordinates.rotors.forEach(({ rows }, r) => {
    const at = coordinates.dihedralAt(rows[0]);
    let best = 0, least = Infinity;
    for (let steps = 0; steps < rows.length; steps++) {
      const copy = z.slice();
      if (steps > 0) coordinates.relabel(copy, r, steps);
      const distance = Math.abs(wrap(copy[at] - mean[at]));
      if (distance < least) [best, least] = [steps, distance];
    }
    if (best > 0) coordinates.relabel(image, r, best);
  });
  const first = 2 * coordinates.atoms - 3;
  for (let i = 0; i < d.length; i++) {
    const difference = image[i] - mean[i];
    d[i] = i < first ? difference : wrap(difference);
  }
}

/** y ← L⁻¹d, d in the model's order, y in that of `order`. */
function whiten(
  { inverse }: Component,
  d: Float64Array,
  order: readonly number[],
  y: Float64Array,
): void {
  const n = d.length;
  for (let i = 0, at = 0; i < n; i++, at += n) {
    let sum = 0;
    for (let j = 0; j <= i; j++) sum += inverse[at + j] * d[order[j]];
    y[i] = sum;
  }
}

/** d ← d − (1 − 1/f) d_b Σ_·b/Σ_bb: a stretched displacement as the plain density has it. */
function unstretch({ covariance }: Component, d: Float64Array, b: number, factor: number): void {
  if (b < 0) return;
  const n = d.length;
  const scale = (1 - 1 / factor) * d[b] / covariance[b * n + b];
  for (let i = 0; i < n; i++) d[i] -= scale * covariance[i * n + b];
}

function split(
  { means, covariances, logWeights }: LaplaceModel,
  order: readonly number[],
): Component[] {
  const n = order.length;
  return Array.from(logWeights, (logWeight, k) => {
    const covariance = covariances.subarray(k * n * n, (k + 1) * n * n);
    const sorted = Float64Array.from(
      { length: n * n },
      (_, at) => covariance[order[Math.floor(at / n)] * n + order[at % n]],
    );
    const lower = cholesky(sorted, n);
    let logNorm = 0;
    for (let i = 0; i < n; i++) logNorm -= Math.log(lower[i * n + i]);
    return {
      mean: means.subarray(k * n, (k + 1) * n),
      covariance,
      lower,
      inverse: invertLower(lower, n),
      logNorm,
      logWeight,
    };
  });
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

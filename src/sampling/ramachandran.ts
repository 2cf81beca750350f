/**
 * Ramachandran histograms of weighted samples, how far they are from a reference's, and what of that
 * is the noise of finite samples. Angles in radians, energies in kT.
 */
import { RandomStream, Stream } from "../math/random.ts";
import { dihedral } from "../systems/molecule/geometry.ts";
import { blockJackknife, JACKKNIFE_BLOCKS } from "./jackknife.ts";
import { normalisedWeights } from "./weights.ts";

/** Bins along each angle. */
export const RAMACHANDRAN_BINS = 64;
/** Probability added to every bin of 64 × 64 before logarithms are taken (docs/method.md section 6). */
const PSEUDOCOUNT = 1e-5;

/** The dihedral of four atoms in every configuration of (count, N, 3), in (−π, π]. */
export function torsionAngles(
  positions: Float32Array | Float64Array,
  particles: number,
  [i, j, k, l]: readonly [number, number, number, number],
): Float64Array {
  const size = 3 * particles;
  const four = new Float64Array(12);
  return Float64Array.from({ length: positions.length / size }, (_, s) => {
    [i, j, k, l].forEach((atom, a) => {
      const at = s * size + 3 * atom;
      for (let c = 0; c < 3; c++) four[3 * a + c] = positions[at + c];
    });
    return dihedral(four, 0, 1, 2, 3);
  });
}

/** Bin of an angle in [−π, π]. */
const binOf = (angle: number, bins: number) =>
  Math.min(bins - 1, Math.max(0, Math.floor((angle / (2 * Math.PI) + 0.5) * bins)));

/** Bin of (φ, ψ) in a flat table, φ fastest. */
const cellOf = (phi: number, psi: number, bins: number) =>
  binOf(psi, bins) * bins + binOf(phi, bins);

/**
 * Probability of each of bins × bins cells of (φ, ψ) in [−π, π)², φ fastest; sums to 1, or is all zero
 * where there is no weight. `logWeights` null: all samples weigh the same.
 */
export function ramachandranHistogram(
  phi: Float64Array,
  psi: Float64Array,
  logWeights: Float64Array | null,
  bins = RAMACHANDRAN_BINS,
): Float64Array {
  if (phi.length !== psi.length || (logWeights && logWeights.length !== phi.length)) {
    throw new RangeError(`${phi.length} φ, ${psi.length} ψ, ${logWeights?.length} log-weights`);
  }
  const weights = logWeights && normalisedWeights(logWeights);
  const cells = new Float64Array(bins * bins);
  for (let s = 0; s < phi.length; s++) {
    const w = weights ? weights[s] : 1 / phi.length;
    if (w > 0) cells[cellOf(phi[s], psi[s], bins)] += w;
  }
  return cells;
}

/**
 * KL(p ‖ q) = Σ p log(p/q) of two histograms, to both of which a total probability of 4096·1e-5 was
 * added, alike in all bins, before they were normalised again: without it one empty bin of q would
 * make it infinite.
 */
export function histogramDivergence(p: Float64Array, q: Float64Array): number {
  const added = PSEUDOCOUNT * RAMACHANDRAN_BINS ** 2 / p.length;
  const total = 1 + added * p.length;
  let sum = 0;
  for (let b = 0; b < p.length; b++) {
    const P = (p[b] + added) / total, Q = (q[b] + added) / total;
    sum += P * Math.log(P / Q);
  }
  return sum;
}

/** Mean and standard deviation over repetitions. */
export interface Floor {
  /** Over the repetitions. */
  readonly mean: number;
  /** Standard deviation of one repetition. */
  readonly deviation: number;
}

const REPETITIONS = 20;

function floorOf(values: readonly number[]): Floor {
  const mean = values.reduce((a, v) => a + v, 0) / values.length;
  const squares = values.reduce((a, v) => a + (v - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/**
 * The KL to expect between two independent samples of one distribution, of `reference` and `own`
 * (effective) samples: both drawn from the histogram, 20 times. It is what is left for two true and
 * independent samples; lower than in truth where the histogram's own empty bins are not empty, and
 * for a reference whose samples are correlated.
 */
export function multinomialFloor(
  histogram: Float64Array,
  reference: number,
  own: number,
  seed: number,
): Floor {
  const cumulative = new Float64Array(histogram.length);
  let running = 0;
  histogram.forEach((p, b) => cumulative[b] = running += p);
  const draw = (n: number, random: RandomStream) => {
    const out = new Float64Array(histogram.length);
    for (let s = 0; s < n; s++) out[lowerBound(cumulative, random.uniform() * running)] += 1 / n;
    return out;
  };
  return floorOf(Array.from({ length: REPETITIONS }, (_, k) => {
    const random = new RandomStream(seed, Stream.histogram, k);
    return histogramDivergence(draw(reference, random), draw(own, random));
  }));
}

/**
 * The KL between random halves of one set of samples, 20 times: the floor at half its size, with all
 * of its own empty bins.
 */
export function halvesFloor(
  phi: Float64Array,
  psi: Float64Array,
  seed: number,
  bins = RAMACHANDRAN_BINS,
): Floor {
  const n = phi.length, half = n >> 1;
  const cells = Int32Array.from(phi, (angle, s) => cellOf(angle, psi[s], bins));
  return floorOf(Array.from({ length: REPETITIONS }, (_, k) => {
    const random = new RandomStream(seed, Stream.histogram, REPETITIONS + k);
    for (let i = n - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [cells[i], cells[j]] = [cells[j], cells[i]];
    }
    const first = new Float64Array(bins * bins), second = new Float64Array(bins * bins);
    for (let i = 0; i < half; i++) {
      first[cells[i]] += 1 / half;
      second[cells[half + i]] += 1 / half;
    }
    return histogramDivergence(first, second);
  }));
}

/** First place whose running sum is above the level. */
function lowerBound(cumulative: Float64Array, level: number): number {
  let low = 0, high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle] <= level) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Weights of the basins φ > 0 and φ < 0. */
export interface BasinFigures {
  /** P(φ > 0). */
  readonly positivePhi: number;
  /** Standard error of `positivePhi`. */
  readonly positivePhiStdErr: number;
  /** F(φ > 0) − F(φ < 0) = −log P(φ > 0)/P(φ < 0), kT; not finite where one basin is empty. */
  readonly freeEnergyDifference: number;
  /** Standard error of `freeEnergyDifference`, kT. */
  readonly freeEnergyDifferenceStdErr: number;
}

/**
 * The two basins of φ, with errors from a jackknife over blocks of consecutive samples: 100, or as many
 * as there are independent chains or islands.
 */
export function basins(
  phi: Float64Array,
  logWeights: Float64Array | null,
  blocks = JACKKNIFE_BLOCKS,
): BasinFigures {
  const weights = logWeights
    ? normalisedWeights(logWeights)
    : new Float64Array(phi.length).fill(1 / phi.length);
  const positive = weights.map((w, s) => phi[s] > 0 ? w : 0);
  const negative = weights.map((w, s) => phi[s] > 0 ? 0 : w);
  const share = blockJackknife([positive, negative], ([a, b]) => a / (a + b), blocks);
  const difference = blockJackknife([positive, negative], ([a, b]) => Math.log(b / a), blocks);
  return {
    positivePhi: share.value,
    positivePhiStdErr: share.standardError,
    freeEnergyDifference: difference.value,
    freeEnergyDifferenceStdErr: difference.standardError,
  };
}

/** KL(reference ‖ samples) of the (φ, ψ) histograms, and what two true samples would have. */
export interface RamachandranComparison extends BasinFigures {
  /** Samples of the reference; the basins above are of them. */
  readonly samples: number;
  /** Of the weighted samples. */
  readonly kl: number;
  /** Between two samples of one distribution, of the reference's and the samples' effective size. */
  readonly klFloor: Floor;
  /** Between random halves of the reference. */
  readonly klOfHalves: Floor;
  /** KL of the reference from the prior as drawn. */
  readonly klPrior: number;
  /** The same with the weights e^{−U}/q. */
  readonly klPriorWeighted: number;
}

/** One residue's (φ, ψ): its basins, and how far its histogram is from a reference's. */
export interface RamachandranFigures extends BasinFigures {
  /** Atoms, counted from 1. */
  readonly phi: readonly number[];
  /** Atoms, counted from 1. */
  readonly psi: readonly number[];
  /** Bins along each angle. */
  readonly bins: number;
  /** What the samples are worth as independent ones. */
  readonly effectiveSamples: number;
  /** Where a reference was given. */
  readonly reference?: RamachandranComparison;
}

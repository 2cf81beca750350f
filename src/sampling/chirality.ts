/**
 * Which handedness of a molecule is sampled. U(x) = U(Mx) for the mirror image M, so that an exact
 * sampler of one gives an exact sampler of the other by a change of sign and of weight alone:
 *
 *   keep   the target is the given handedness: e^{−U} on it, zero elsewhere
 *   both   the target is every handedness
 *   fold   as both, and every mirror image is shown folded onto the given handedness
 *
 * log Z is that of the target: alike for both and fold, lower by log 2 for keep (one stereocentre, or
 * no other diastereomers drawn). With several stereocentres only the mirror image of all of them is a
 * symmetry; keep checks each.
 */
import { RandomStream, Stream } from "../math/random.ts";
import type { Handedness } from "../systems/molecule/stereo.ts";
import type { System } from "../systems/system.ts";
import type { WeightedSamples } from "./draw.ts";
import type { Island } from "./islands.ts";
import { groupedMean } from "./islands.ts";
import { weightedMean } from "./weights.ts";

/** What becomes of handedness: see MoleculeRunConfig.chirality. */
export type ChiralityMode = "keep" | "both" | "fold";

export interface Chirality {
  readonly mode: ChiralityMode;
  readonly handedness: Handedness;
  /**
   * The sampler draws the given handedness alone (internal coordinates about a reference geometry);
   * else it is itself symmetric under the mirror.
   */
  readonly oneSided: boolean;
}

/** What becomes of one sample of a handedness (1 given, −1 mirror image, 0 other). */
interface Rule {
  /** Shown as its mirror image. */
  readonly mirrored: boolean;
  /** Added to W; −∞ takes the sample out of the target. */
  readonly shift: number;
}

const LOG_2 = Math.log(2);

/**
 * With 1_L the given handedness, 1_M its mirror image, and E[e^W f] = ∫ e^{−U} f over what the sampler
 * draws, every rule is one of the identities
 *   ∫_L f e^{−U} = E[e^W (1_L f(x) + 1_M f(Mx))/2] (symmetric), E[e^W 1_L f(x)] (one-sided),
 *   ∫_{L∪M} f e^{−U} = 2 E[e^W 1_L (f(x) + f(Mx))/2] (one-sided; one of the two at random).
 */
function rule({ mode, oneSided }: Chirality, handedness: number, coin: () => boolean): Rule {
  const out = { mirrored: false, shift: -Infinity };
  if (oneSided) {
    if (handedness !== 1) return out;
    return mode === "keep"
      ? { mirrored: false, shift: 0 }
      : { mirrored: mode === "both" && coin(), shift: LOG_2 };
  }
  if (mode === "both") return { mirrored: false, shift: 0 };
  if (mode === "fold") return { mirrored: handedness === -1, shift: 0 };
  return handedness === 0 ? out : { mirrored: handedness === -1, shift: -LOG_2 };
}

/** Positions (count, N, 3) reflected at the plane z = 0, those of one sample, in place. */
function reflect(positions: Float32Array | Float64Array, sample: number, size: number): void {
  for (let a = sample * size + 2; a < (sample + 1) * size; a += 3) positions[a] = -positions[a];
}

/**
 * Samples of the target that the mode asks for, from those of the sampler. A mirrored sample takes
 * W + U(x) − U(Mx): a force field whose phases are rounded is symmetric to 1e-4 kT only. Nothing
 * changes for molecules without stereocentres.
 */
export function withChirality(
  drawn: WeightedSamples,
  system: System,
  chirality: Chirality,
  seed: number,
): WeightedSamples {
  const { handedness, oneSided } = chirality;
  if (handedness.centres.length === 0) return drawn;
  const size = system.particles * system.dimension;
  const positions = drawn.positions.slice();
  const priorPositions = drawn.priorPositions.slice();
  const energies = drawn.energies.slice();
  const logWeights = drawn.logWeights.slice();
  const found = new Int8Array(energies.length);
  for (let s = 0; s < energies.length; s++) {
    found[s] = handedness.of(positions, s * size);
    const coin = () => new RandomStream(seed, Stream.mirror, s).uniform() < 0.5;
    const { mirrored, shift } = rule(chirality, found[s], coin);
    // Chains have no weights to take a state out by.
    logWeights[s] += drawn.chains ? 0 : shift;
    if (!mirrored) continue;
    const before = system.energy(Float64Array.from(positions.subarray(s * size, (s + 1) * size)));
    reflect(positions, s, size);
    reflect(priorPositions, s, size);
    const change = system.energy(Float64Array.from(positions.subarray(s * size, (s + 1) * size))) -
      before;
    if (!Number.isFinite(change)) continue; // atoms that coincide: the weight is zero as it is
    energies[s] += change;
    if (!drawn.chains) logWeights[s] -= change;
    if (oneSided) found[s] = -1; // `both`: drawn as its mirror image
  }
  const islands = drawn.islands &&
    drawn.islands.map((island, k) => onIsland(island, k, drawn.logWeights, logWeights));
  return {
    ...drawn,
    positions,
    priorPositions,
    energies,
    logWeights,
    handedness: found,
    ...(islands ? { islands } : {}),
  };
}

/** log Z of an island follows the sum of its weights. */
function onIsland(
  island: Island,
  k: number,
  before: Float64Array,
  after: Float64Array,
): Island {
  const first = k * island.population;
  const peak = before.subarray(first, first + island.population)
    .reduce((a, w) => w > a ? w : a, -Infinity);
  const sum = (weights: Float64Array) =>
    weights.subarray(first, first + island.population)
      .reduce((total, w) => total + (w > -Infinity ? Math.exp(w - peak) : 0), 0);
  return { ...island, logZ: island.logZ + Math.log(sum(after) / sum(before)) };
}

/**
 * Target samples to run backward paths from, (count, N·n): mirror images folded where the mode shows
 * none or the sampler starts on one side, other diastereomers left out where they are not in the
 * target.
 */
export function referenceOf(
  reference: Float64Array,
  size: number,
  { mode, handedness, oneSided }: Chirality,
): Float64Array {
  if (handedness.centres.length === 0 || (mode === "both" && !oneSided)) return reference;
  const kept: Float64Array[] = [];
  for (let s = 0; s < reference.length / size; s++) {
    const x = reference.slice(s * size, (s + 1) * size);
    const h = handedness.of(x);
    if (h === 0 && (oneSided || mode === "keep")) continue;
    if (h === -1) reflect(x, 0, size);
    kept.push(x);
  }
  const out = new Float64Array(kept.length * size);
  kept.forEach((x, k) => out.set(x, k * size));
  return out;
}

/** W of backward paths from `referenceOf`, so that E_p[e^{−W}] = 1/Z of the mode's target. */
export function backwardShift({ mode, handedness, oneSided }: Chirality): number {
  if (handedness.centres.length === 0) return 0;
  if (oneSided) return mode === "keep" ? 0 : LOG_2;
  return mode === "keep" ? -LOG_2 : 0;
}

/** Which handedness a set of samples has. */
export interface ChiralityFigures {
  /** What was done with it. */
  mode: ChiralityMode;
  /** Atoms, from 1, with their names, as in "CA 9". */
  stereocentres: string[];
  /** Weighted fraction of the mirror image among the samples before folding; `keep`: of those drawn. */
  mirrored: number;
  /** Standard error of `mirrored`. */
  mirroredStdErr: number;
  /** Neither the given handedness nor its mirror image. */
  otherDiastereomers: number;
}

/**
 * Fractions of handedness among samples, weighted by e^W (by numbers alone where `keep` has taken the
 * weight of what is not given).
 */
export function chiralityFigures(
  drawn: WeightedSamples,
  { mode, handedness }: Chirality,
  names: readonly string[],
): ChiralityFigures | undefined {
  const found = drawn.handedness;
  if (!found) return undefined;
  const weights = mode === "keep" ? null : drawn.logWeights;
  const groups = drawn.islands?.length ?? drawn.chains?.chains;
  const fraction = (which: number) => {
    const values = Float64Array.from(found, (h) => h === which ? 1 : 0);
    if (!groups) return weightedMean(values, weights);
    return groupedMean(values, weights, (s) => Math.floor(s * groups / found.length), groups);
  };
  const mirrored = fraction(-1);
  return {
    mode,
    stereocentres: handedness.centres.map(({ atom }) => `${names[atom]} ${atom + 1}`),
    mirrored: mirrored.mean,
    mirroredStdErr: mirrored.standardError,
    otherDiastereomers: fraction(0).mean,
  };
}

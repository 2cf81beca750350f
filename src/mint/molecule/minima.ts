/** Minima of V(z) from random torsions. */
import { descend } from "../../math/lbfgs.ts";
import { RandomStream, Stream } from "../../math/random.ts";
import { finished } from "../../math/finished.ts";
import { wrap } from "../../systems/molecule/zmatrix.ts";
import type { Conformers } from "./conformers.ts";
import type { InternalEnergy } from "./internal_energy.ts";

export interface Minimum {
  readonly z: Float64Array;
  /** V, dimensionless. */
  readonly value: number;
}

export interface MinimaOptions {
  /** Rings and nitrogens that starts are kicked from the reference by, beside the torsions. */
  readonly conformers?: Conformers;
  /** Starts at most; more than `starts` are made while new minima of some weight turn up. */
  readonly most?: number;
  readonly seed: number;
  /** Random starts. */
  readonly starts: number;
  /** Descent steps for each. */
  readonly steps: number;
  /** Minima higher above the lowest, in kT, are left out. */
  readonly range: number;
}

export const minimaDefaults = { starts: 200, steps: 600, range: 25 } as const;

/** Torsions that differ by less (radians) belong to one minimum. */
const SAME = 0.15;

/** Held dihedrals (radians) that differ by more are of another shape. */
const SHAPE = 0.5;

/** Descends from z in scaled coordinates, in place; returns V. Rows of fixed coordinates stay. */
export function minimise(
  energy: InternalEnergy,
  z: Float64Array,
  steps: number,
  fixed: readonly number[] = [],
): number {
  const { scales } = energy;
  const moved = new Float64Array(z.length);
  const y = z.map((v, k) => v / scales[k]);
  const value = descend(
    (y, gradient) => {
      for (let k = 0; k < y.length; k++) moved[k] = y[k] * scales[k];
      const value = energy.value(moved, gradient);
      for (let k = 0; k < y.length; k++) gradient[k] *= scales[k];
      for (const k of fixed) gradient[k] = 0;
      return value;
    },
    y,
    steps,
    3,
    1e-4,
  );
  for (let k = 0; k < y.length; k++) z[k] = y[k] * scales[k];
  return value;
}

/** Dihedrals to within half a turn of their centres, rotors to their first period about 0. */
export function canonical(energy: InternalEnergy, z: Float64Array): void {
  const { coordinates } = energy;
  coordinates.rows.forEach((_, k) => {
    if (k < 2) return;
    const at = coordinates.dihedralAt(k);
    z[at] = wrap(z[at], coordinates.centres[k]);
  });
  coordinates.rotors.forEach(({ rows }, r) => {
    const period = 2 * Math.PI / rows.length;
    const steps = Math.round(z[coordinates.dihedralAt(rows[0])] / period);
    if (steps !== 0) coordinates.relabel(z, r, -steps);
  });
}

/** Minima of a search, lowest first. */
export interface FoundMinima {
  readonly minima: Minimum[];
  readonly starts: number;
  /**
   * Boltzmann weight of the minima that one start alone has found, relative to all: an estimate
   * (Good and Turing's) of the weight of those that none has found.
   */
  readonly unseen: number;
}

/** A search goes on while its estimate of what is unseen is larger, */
const UNSEEN = 0.02;
/** and while its energies, each of about N² pairs, cost no more than this (a minute or so). */
const MOST_PAIRS = 5e8;

/**
 * Distinct minima reached from random soft torsions and rotor angles, rings and nitrogens kicked,
 * everything else at `reference`, lowest first. Deterministic in the seed.
 *
 * @param soft rows of the torsions that are searched (torsions.ts)
 */
export function searchMinima(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  options: MinimaOptions,
): FoundMinima {
  return finished(minimaSearch(energy, reference, soft, options));
}

/** {@link searchMinima} in steps: yields the number of starts made. */
export function* minimaSearch(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  { seed, starts, steps, range, conformers, most = starts }: MinimaOptions,
): Generator<number, FoundMinima> {
  const { coordinates } = energy;
  const rotors = coordinates.rotors.map(({ rows }) => rows[0]);
  const turning = [...soft, ...rotors].map((row) => coordinates.dihedralAt(row));
  const x = new Float64Array(3 * coordinates.atoms);
  const kicking = conformers?.any ? conformers : null;
  let kept: { minimum: Minimum; times: number }[] = [];
  const descent = (start: number): void => {
    const random = new RandomStream(seed, Stream.starts, start);
    const z = reference.slice();
    const turns = turning.map(() => Math.PI * (2 * random.uniform() - 1));
    if (kicking) {
      coordinates.toCartesian(z, x);
      kicking.kick(x, random);
      coordinates.fromCartesian(x, z);
    }
    turning.forEach((at, k) => z[at] = turns[k]);
    const value = minimise(energy, z, steps);
    if (!Number.isFinite(value)) return;
    if (kicking) {
      coordinates.toCartesian(z, x);
      if (!kicking.keepsHandedness(x)) return;
    }
    canonical(energy, z);
    const minimum = { z, value };
    const known = kept.findIndex((other) => sameMinimum(energy, minimum, other.minimum));
    if (known < 0) kept.push({ minimum, times: 1 });
    else {
      const { minimum: other, times } = kept[known];
      kept[known] = { minimum: value < other.value ? minimum : other, times: times + 1 };
    }
  };
  const before = energy.evaluations;
  let made = 0;
  let unseen = 1;
  for (let upTo = starts; made < upTo;) {
    while (made < upTo) {
      descent(made++);
      yield made;
    }
    kept.sort((p, q) => p.minimum.value - q.minimum.value);
    kept = kept.filter(({ minimum }) => minimum.value <= kept[0].minimum.value + range);
    unseen = unseenWeight(kept);
    const pairs = 2 * (energy.evaluations - before) * coordinates.atoms ** 2;
    if (unseen > UNSEEN && pairs < MOST_PAIRS) upTo = Math.min(most, 2 * upTo);
  }
  return { minima: kept.map(({ minimum }) => minimum), starts: made, unseen };
}

function unseenWeight(found: readonly { minimum: Minimum; times: number }[]): number {
  let once = 0, all = 0;
  for (const { minimum, times } of found) {
    const weight = Math.exp(found[0].minimum.value - minimum.value);
    all += weight;
    if (times === 1) once += weight;
  }
  return all > 0 ? once / all : 1;
}

/** The minima alone. */
export function findMinima(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  options: MinimaOptions,
): Minimum[] {
  return searchMinima(energy, reference, soft, options).minima;
}

/**
 * Whether minima differ by more than torsions that a grid holds and amplitudes of a rotor: puckers of
 * rings, inverted nitrogens.
 *
 * @param soft rows of the torsions that may differ
 */
export function differInShape(
  { coordinates }: InternalEnergy,
  minima: readonly Minimum[],
  soft: readonly number[],
): boolean {
  const ends = new Set(coordinates.rotors.flatMap(({ rows }) => rows));
  const held = coordinates.rows.flatMap((_, k) =>
    k < 2 || soft.includes(k) || ends.has(k) ? [] : [coordinates.dihedralAt(k)]
  );
  return minima.some(({ z }) => held.some((at) => Math.abs(wrap(z[at] - minima[0].z[at])) > SHAPE));
}

/** All proper torsions close, rotors up to their period. */
function sameMinimum({ coordinates }: InternalEnergy, p: Minimum, q: Minimum): boolean {
  return coordinates.rows.every(({ kind }, k) => {
    if (kind === "none" || k < 2) return true;
    const at = coordinates.dihedralAt(k);
    const rotor = coordinates.rotors.find(({ rows }) => rows[0] === k);
    if (!rotor && coordinates.rotors.some(({ rows }) => rows.includes(k))) return true;
    const symmetry = rotor ? rotor.rows.length : 1;
    return Math.abs(wrap(symmetry * (p.z[at] - q.z[at]))) < symmetry * SAME;
  });
}

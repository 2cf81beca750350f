/** Minima of V(z) from random torsions. */
import { descend } from "../../math/lbfgs.ts";
import { RandomStream, Stream } from "../../math/random.ts";
import { wrap } from "../../systems/molecule/zmatrix.ts";
import type { InternalEnergy } from "./internal_energy.ts";

export interface Minimum {
  readonly z: Float64Array;
  /** V, dimensionless. */
  readonly value: number;
}

export interface MinimaOptions {
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

/**
 * Distinct minima reached from random soft torsions and rotor angles, everything else at `reference`,
 * lowest first. Deterministic in the seed.
 *
 * @param soft rows of the torsions that are searched (torsions.ts)
 */
export function findMinima(
  energy: InternalEnergy,
  reference: Float64Array,
  soft: readonly number[],
  { seed, starts, steps, range }: MinimaOptions,
): Minimum[] {
  const { coordinates } = energy;
  const rotors = coordinates.rotors.map(({ rows }) => rows[0]);
  const turning = [...soft, ...rotors].map((row) => coordinates.dihedralAt(row));
  const found: Minimum[] = [];
  for (let start = 0; start < starts; start++) {
    const random = new RandomStream(seed, Stream.starts, start);
    const z = reference.slice();
    for (const at of turning) z[at] = Math.PI * (2 * random.uniform() - 1);
    const value = minimise(energy, z, steps);
    if (!Number.isFinite(value)) continue;
    canonical(energy, z);
    found.push({ z, value });
  }
  found.sort((p, q) => p.value - q.value);
  const kept: Minimum[] = [];
  for (const candidate of found) {
    if (candidate.value > found[0].value + range) break;
    if (!kept.some((other) => sameMinimum(energy, candidate, other))) kept.push(candidate);
  }
  return kept;
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

/** Defensive parts of a prior, chosen from the energy alone. */
import type { InternalEnergy } from "./internal_energy.ts";
import type { GridPart } from "./torsion_grid.ts";

/** Barriers of a rotor, kT: lower ones its images cover, over higher ones it hardly ever goes (all else is
 * kept in the scan, so that they come out too high). */
const LOW = 2;
const HIGH = 12;
const STEPS = 24;

/**
 * Largest minus smallest V over one period of a rotor, all else kept, in kT: a scan of one dimension.
 */
export function rotorBarrier(energy: InternalEnergy, z: Float64Array, rotor: number): number {
  const { coordinates } = energy;
  const { rows } = coordinates.rotors[rotor];
  const at = coordinates.dihedralAt(rows[0]);
  const moved = z.slice();
  let lowest = Infinity, highest = -Infinity;
  for (let k = 0; k < STEPS; k++) {
    moved[at] = z[at] + 2 * Math.PI / rows.length * k / STEPS;
    const value = energy.value(moved);
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return highest - lowest;
}

/** First rows of the rotors with an intermediate barrier at the minimum z. */
function halfFreeRotors(energy: InternalEnergy, z: Float64Array): number[] {
  return energy.coordinates.rotors.flatMap(({ rows }, r) => {
    const barrier = rotorBarrier(energy, z, r);
    return barrier > LOW && barrier < HIGH ? [rows[0]] : [];
  });
}

const stretchedAlong = (
  rows: readonly number[],
  weight: number,
  widening: number,
  factor: number,
) => rows.map((row) => ({ weight: weight / rows.length, widening, stretched: { row, factor } }));

/**
 * The harmonic density, one a fifth wider in all directions, and for each rotor with an intermediate
 * barrier at the minimum z one stretched threefold along its turn: where a rotor is half free, one
 * harmonic width is too narrow in between its images.
 */
export function defensiveParts(energy: InternalEnergy, z: Float64Array): GridPart[] {
  const stretched = stretchedAlong(halfFreeRotors(energy, z), 0.08, 1.05, 3);
  const rest = 1 - 0.1 - (stretched.length > 0 ? 0.08 : 0);
  return [{ weight: rest, widening: 1 }, { weight: 0.1, widening: 1.2 }, ...stretched];
}

/** Variants of a component that the kernels have room for. */
const MOST_PARTS = 8;

/**
 * The same for a mixture of minima, which has no grid to follow the soft torsions by: each of them (as
 * many as there is room for, from the centre of the molecule outwards) has a density stretched along it.
 */
export function mixtureParts(
  energy: InternalEnergy,
  z: Float64Array,
  soft: readonly number[],
): GridPart[] {
  const rotors = halfFreeRotors(energy, z).slice(0, 2);
  const turning = soft.slice(0, MOST_PARTS - 2 - rotors.length);
  const stretched = [
    ...stretchedAlong(rotors, 0.1, 1, 3),
    ...stretchedAlong(turning, 0.2, 1, 1.7),
  ];
  const rest = 1 - 0.1 - stretched.reduce((sum, { weight }) => sum + weight, 0);
  return [{ weight: rest, widening: 1 }, { weight: 0.1, widening: 1.2 }, ...stretched];
}

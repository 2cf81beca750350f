/** Defensive parts of a torsion grid, chosen from the energy alone. */
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

/**
 * The harmonic density, one a fifth wider in all directions, and for each rotor with an intermediate
 * barrier at the minimum z one stretched threefold along its turn: where a rotor is half free, one
 * harmonic width is too narrow in between its images.
 */
export function defensiveParts(energy: InternalEnergy, z: Float64Array): GridPart[] {
  const rotors = energy.coordinates.rotors.flatMap(({ rows }, r) => {
    const barrier = rotorBarrier(energy, z, r);
    return barrier > LOW && barrier < HIGH ? [rows[0]] : [];
  });
  const stretched = rotors.map((row) => ({
    weight: 0.08 / rotors.length,
    widening: 1.05,
    stretched: { row, factor: 3 },
  }));
  const rest = 1 - 0.1 - (rotors.length > 0 ? 0.08 : 0);
  return [{ weight: rest, widening: 1 }, { weight: 0.1, widening: 1.2 }, ...stretched];
}

/** Which torsions of a molecule turn freely enough to be searched over. */
import type { ForceField } from "../../config/force_field.ts";
import { bondGraph, distances } from "../../systems/molecule/bond_graph.ts";
import { dihedral } from "../../systems/molecule/geometry.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";

/** A bond whose own torsion terms vary by more (kJ/mol, 20 kT at 300 K) keeps to its reference. */
export const STIFF = 50;

/**
 * Rows of the proper torsions that are soft: about a bond in no ring, whose torsion terms vary by less
 * than 50 kJ/mol over a turn (an amide's vary by 84), and no symmetric rotor's.
 */
export function softTorsions(
  forceField: ForceField,
  coordinates: ZMatrix,
  reference: Float64Array,
): number[] {
  const rotors = new Set(coordinates.rotors.map(({ rows }) => rows[0]));
  const neighbours = bondGraph(forceField);
  return coordinates.rows.flatMap(({ kind, bond, angle }, k) =>
    kind === "proper" && !rotors.has(k) && !inRing(neighbours, bond, angle) &&
      bondVariation(forceField, bond, angle, reference) < STIFF
      ? [k]
      : []
  );
}

/** Whether there is another way from one end of a bond to the other. */
function inRing(neighbours: readonly (readonly number[])[], p: number, q: number): boolean {
  const without = neighbours.map((list, i) =>
    i === p ? list.filter((j) => j !== q) : i === q ? list.filter((j) => j !== p) : list
  );
  return distances(without, p)[q] >= 0;
}

/** Largest minus smallest sum of the torsion terms about a bond over a rigid turn, kJ/mol. */
export function bondVariation(
  { torsions }: ForceField,
  p: number,
  q: number,
  reference: Float64Array,
): number {
  const terms = torsions.flatMap(([i, j, k, l, n, phase, height]) =>
    (j === p && k === q) || (j === q && k === p)
      ? [{ n, phase, height, at: dihedral(reference, i, j, k, l) }]
      : []
  );
  const sums = Array.from({ length: 72 }, (_, step) =>
    terms.reduce(
      (sum, { n, phase, height, at }) =>
        sum + height * Math.cos(n * (at + step * Math.PI / 36) - phase),
      0,
    ));
  return Math.max(...sums) - Math.min(...sums);
}

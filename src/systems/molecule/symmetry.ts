/** Atoms of a molecule that its energy does not tell apart. */
import type { ForceField } from "../../config/force_field.ts";
import { areAlike } from "./zmatrix.ts";

/**
 * Groups of alike ends of one atom (CH₃, NH₃⁺, NH₂, CO₂⁻): all neighbours of that atom but one, each
 * bonded to it alone. Permuting a group leaves the energy as it is. Other symmetries (two methyls of
 * an isopropyl, a mirror plane of the whole graph) are not looked for.
 */
export function symmetricEnds(forceField: ForceField): number[][] {
  const neighbours: number[][] = forceField.atoms.names.map(() => []);
  for (const [i, j] of forceField.bonds) {
    if (neighbours[i].includes(j)) continue;
    neighbours[i].push(j);
    neighbours[j].push(i);
  }
  return neighbours.flatMap((list) => {
    const ends = list.filter((atom) => neighbours[atom].length === 1).sort((p, q) => p - q);
    if (ends.length < 2 || ends.length > 3 || list.length !== ends.length + 1) return [];
    return areAlike(ends, forceField) ? [ends] : [];
  });
}

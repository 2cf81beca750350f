import type { MoleculeEnergy } from "../../systems/molecule/energy.ts";
import { TERMS } from "../../systems/molecule/energy.ts";
import type { Softening } from "../../systems/molecule/soften.ts";

/** Energies by term and gradients of a batch, kJ/mol and nm. */
export interface MoleculeBatch {
  /** (count, 5) in the order of TERMS. */
  readonly terms: Float64Array;
  /** (count, N, 3). */
  readonly gradients: Float64Array;
}

/** Energies by term and gradients of positions (count, N, 3), softened where asked, one by one in float64. */
export function moleculeEnergies(
  molecule: MoleculeEnergy,
  positions: Float64Array,
  count: number,
  soft: Softening | null = null,
): MoleculeBatch {
  const size = 3 * molecule.atoms;
  const terms = new Float64Array(count * TERMS.length);
  const gradients = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    molecule.evaluate(
      positions.subarray(s * size, (s + 1) * size),
      gradients.subarray(s * size, (s + 1) * size),
      terms.subarray(s * TERMS.length, (s + 1) * TERMS.length),
      soft,
    );
  }
  return { terms, gradients };
}

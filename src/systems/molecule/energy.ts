/** The energy of a molecule by term, in kJ/mol: what the samplers divide by kT. */
import type { ForceField, Solvent } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { angleEnergy, bondEnergy, torsionEnergy } from "./bonded.ts";
import type { Vector } from "./geometry.ts";
import { nonbondedEnergy, type PairTable, pairTable } from "./nonbonded.ts";
import { ObcSolvation } from "./obc.ts";
import type { Softening } from "./soften.ts";

/** Energies in this order wherever they stand in an array. */
export const TERMS = ["bonds", "angles", "torsions", "nonbonded", "solvent"] as const;

export class MoleculeEnergy {
  readonly forceField: ForceField;
  readonly solvent: Solvent;
  readonly atoms: number;
  readonly #pairs: PairTable;
  readonly #solvation: ObcSolvation | null;

  /** Throws InputError when a solvent is asked for that the force field has no radii for. */
  constructor(forceField: ForceField, solvent: Solvent) {
    this.forceField = forceField;
    this.solvent = solvent;
    this.atoms = forceField.atoms.charges.length;
    this.#pairs = pairTable(forceField);
    this.#solvation = null;
    if (solvent === "none") return;
    if (!forceField.born) {
      throw new InputError(
        `solvent ${solvent} needs generalised Born radii, the parameter file of ` +
          `${JSON.stringify(forceField.title)} has none (sections RADII and SCREEN, or a ` +
          `GBSAOBCForce): use solvent none`,
      );
    }
    this.#solvation = new ObcSolvation(solvent, forceField.atoms.charges, forceField.born);
  }

  /**
   * Energies by term, softened where asked, kJ/mol, into `terms` (length 5, in the order of TERMS); the gradient, kJ/mol/nm,
   * overwrites `gradient` (length 3N) unless it is null. Returns the sum. Not finite where atoms
   * coincide.
   */
  evaluate(
    x: Vector,
    gradient: Vector | null,
    terms: Vector = new Float64Array(5),
    soft: Softening | null = null,
  ): number {
    gradient?.fill(0);
    const { bonds, angles, torsions } = this.forceField;
    terms[0] = bondEnergy(bonds, x, gradient);
    terms[1] = angleEnergy(angles, x, gradient);
    terms[2] = torsionEnergy(torsions, x, gradient);
    if (soft) {
      for (let k = 0; k < 3; k++) terms[k] *= soft.bonded;
      gradient?.forEach((g, a) => gradient[a] = g * soft.bonded);
    }
    terms[3] = nonbondedEnergy(this.#pairs, x, gradient, soft);
    terms[4] = this.#solvation?.energy(x, gradient, soft?.charges) ?? 0;
    return terms[0] + terms[1] + terms[2] + terms[3] + terms[4];
  }
}

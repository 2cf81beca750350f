/** Molecules that come with the program. */
import type { MoleculeName } from "../../config/config.ts";
import type { ForceField } from "../../config/force_field.ts";
import { readInpcrd } from "./inpcrd.ts";
import { inpcrd, prmtop } from "./presets/aldp.ts";
import { readPrmtop } from "./prmtop.ts";

export interface MoleculePreset {
  readonly forceField: ForceField;
  /** A minimum of its energy in vacuum, nm, (N, 3). */
  readonly positions: Float64Array;
}

/** ACE-ALA-NME, AMBER ff96: the target of FAB, ASBS, TA-BG and CMT with OBC1 at 300 K. */
export function aldp(): MoleculePreset {
  const forceField = readPrmtop(prmtop, "preset aldp");
  const { positions } = readInpcrd(inpcrd, "preset aldp", forceField.atoms.names.length);
  return { forceField, positions };
}

const named: Record<MoleculeName, () => MoleculePreset> = { aldp };

/** A molecule by its name; null for a name that is none. */
export function namedMolecule(name: string): MoleculePreset | null {
  return Object.hasOwn(named, name) ? named[name as MoleculeName]() : null;
}

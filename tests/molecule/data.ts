/** The molecules under tests/data/molecules (made by tools/molecules.py) and their oracles. */
import type { ForceField, Solvent } from "../../src/config/force_field.ts";
import { readPrmtop } from "../../src/systems/molecule/prmtop.ts";

const folder = new URL("../data/molecules/", import.meta.url);

export const molecules = ["aldp", "disulphide", "tetrapeptide", "dinucleotide", "ala2"] as const;
export type MoleculeName = typeof molecules[number];
export const solvents: readonly Solvent[] = ["none", "obc1", "obc2"];

/** What OpenMM's Reference platform says of one configuration: kJ/mol, kJ/mol/nm. */
export interface Answer {
  readonly energy: number;
  readonly terms: Readonly<Record<string, number>>;
  /** (N, 3). */
  readonly forces: readonly number[];
}

export type Frame =
  & { readonly label: string; readonly positions: readonly number[] }
  & Record<Solvent, Answer>;

export const text = (file: string): string => Deno.readTextFileSync(new URL(file, folder));
export const path = (file: string): string => new URL(file, folder).pathname;
export const frames = (name: MoleculeName): Frame[] =>
  JSON.parse(text(`${name}.oracle.json`)).frames;

const read = new Map<string, ForceField>();
export function forceField(name: MoleculeName): ForceField {
  let found = read.get(name);
  if (!found) read.set(name, found = readPrmtop(text(`${name}.prmtop`), `${name}.prmtop`));
  return found;
}

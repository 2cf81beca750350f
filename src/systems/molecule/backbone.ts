/** The backbone torsions φ and ψ of peptides, from names and bonds or from the bonds alone. */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { bondGraph } from "./bond_graph.ts";

/** Four atoms, counted from 0. */
export type Quadruple = readonly [number, number, number, number];

/** φ = C-N-CA-C and ψ = N-CA-C-N about one α carbon. */
export interface BackbonePair {
  readonly phi: Quadruple;
  readonly psi: Quadruple;
  /** Residue of the α carbon and its number from 1, as in "ALA 2"; "given" for atoms told. */
  readonly label: string;
}

const [C, N, O] = [6, 7, 8];

/**
 * Every residue with both torsions, in the order of its atoms. Atoms are looked for by their names
 * along the bonds (C, N, CA, C, N); where no names fit, by elements: an α carbon has four bonds, one
 * to a nitrogen and one to a carbonyl carbon (a carbon with an oxygen that ends there), and both lead
 * on to another peptide bond. Throws InputError for a molecule in pieces.
 */
export function backbonePairs(forceField: ForceField): BackbonePair[] {
  const { names, elements } = forceField.atoms;
  const neighbours = bondGraph(forceField);
  const byName = search(neighbours, forceField, {
    alpha: (i) => names[i] === "CA",
    nitrogen: (i) => names[i] === "N",
    carbonyl: (i) => names[i] === "C",
  });
  if (byName.length > 0) return byName;
  return search(neighbours, forceField, {
    alpha: (i) => elements[i] === C && neighbours[i].length === 4,
    nitrogen: (i) => elements[i] === N && neighbours[i].length === 3,
    carbonyl: (i) =>
      elements[i] === C && neighbours[i].length === 3 &&
      neighbours[i].some((j) => elements[j] === O && neighbours[j].length === 1),
  });
}

interface Kinds {
  readonly alpha: (atom: number) => boolean;
  readonly nitrogen: (atom: number) => boolean;
  readonly carbonyl: (atom: number) => boolean;
}

function search(
  neighbours: readonly (readonly number[])[],
  { atoms }: ForceField,
  { alpha, nitrogen, carbonyl }: Kinds,
): BackbonePair[] {
  const found: BackbonePair[] = [];
  neighbours.forEach((list, ca) => {
    if (!alpha(ca)) return;
    for (const n of list.filter(nitrogen)) {
      for (const c of list.filter(carbonyl)) {
        const before = neighbours[n].find((i) => i !== ca && carbonyl(i));
        const after = neighbours[c].find((i) => i !== ca && nitrogen(i));
        if (before === undefined || after === undefined) continue;
        const residue = atoms.residues[ca];
        const label = `${atoms.residueNames[residue] ?? "residue"} ${residue + 1}`;
        found.push({ phi: [before, n, ca, c], psi: [n, ca, c, after], label });
      }
    }
  });
  return found;
}

/**
 * The pairs of a molecule, or the one pair whose atoms are told (counted from 1). Throws InputError
 * for atoms that are not four different ones of the molecule, or for half a pair.
 */
export function chosenPairs(
  forceField: ForceField,
  phi: readonly number[] | null,
  psi: readonly number[] | null,
): BackbonePair[] {
  if (!phi && !psi) return backbonePairs(forceField);
  if (!phi || !psi) {
    throw new InputError(
      `molecule.${phi ? "psi" : "phi"} is missing: give the atoms of both phi and psi, or of none`,
    );
  }
  const atoms = forceField.atoms.names.length;
  const quadruple = (field: string, given: readonly number[]): Quadruple => {
    const bad = given.find((i) => !(Number.isInteger(i) && i >= 1 && i <= atoms));
    if (given.length !== 4 || bad !== undefined || new Set(given).size < 4) {
      throw new InputError(
        `molecule.${field} must be four different atoms, each from 1 to ${atoms}, got ` +
          given.join(","),
      );
    }
    return [given[0] - 1, given[1] - 1, given[2] - 1, given[3] - 1];
  };
  return [{ phi: quadruple("phi", phi), psi: quadruple("psi", psi), label: "given" }];
}

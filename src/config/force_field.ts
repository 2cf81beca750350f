/**
 * A molecule's force field as plain data, whatever file it came from: rows of numbers, atoms counted
 * from 0, lengths in nm, energies in kJ/mol, charges in e, angles in radians, masses in g/mol. It is
 * part of a run's config.json, so that a run can be repeated without the user's files.
 */
export interface ForceField {
  /** Title of the file. */
  title: string;
  /** What is told of each atom. */
  atoms: AtomData;
  /** Rows [i, j, length r₀, constant k]: ½ k (r − r₀)². */
  bonds: number[][];
  /** Rows [i, j, k, angle θ₀, constant]: ½ k (θ − θ₀)². */
  angles: number[][];
  /** Rows [i, j, k, l, periodicity n, phase δ, height k]: k (1 + cos(nφ − δ)). Impropers too. */
  torsions: number[][];
  /** Lennard-Jones by pairs of types: A/r¹² − B/r⁶. */
  lennardJones: LennardJonesTable;
  /**
   * Pairs that replace q_i q_j, A, B by their own values: rows [i, j, q q (e²), A, B], i < j. All zero
   * for an excluded pair.
   */
  exceptions: number[][];
  /** What generalised Born solvation needs, or null when the file does not say. */
  born: BornData | null;
}

/** The atoms' own data; every list but residueNames has one entry an atom. */
export interface AtomData {
  /** As in the file, "CA". */
  names: string[];
  /** Residue of each atom, an index to residueNames. */
  residues: number[];
  /** Names of the residues, in their order in the file. */
  residueNames: string[];
  /** Atomic numbers; 0 where unknown. */
  elements: number[];
  /** g/mol. */
  masses: number[];
  /** e. */
  charges: number[];
}

/** Lennard-Jones terms of pairs of types. */
export interface LennardJonesTable {
  /** Type of each atom, from 0. */
  types: number[];
  /** A and B of types (s, t) at s·T + t, symmetric; kJ/mol nm¹² and kJ/mol nm⁶. */
  a: number[];
  /** B, as `a`. */
  b: number[];
}

/** OBC radii ρ and screening factors S, and the constants of the solvent. */
export interface BornData {
  /** ρ of each atom, nm. */
  radii: number[];
  /** S of each atom, without unit. */
  screens: number[];
  /** Dielectric constant inside. */
  soluteDielectric: number;
  /** Dielectric constant of the solvent. */
  solventDielectric: number;
  /** kJ/mol/nm² of the surface-area term. */
  surfaceTension: number;
}

/** Implicit solvent: none (vacuum) or a generalised Born model of Onufriev, Bashford and Case. */
export type Solvent = "none" | "obc1" | "obc2";

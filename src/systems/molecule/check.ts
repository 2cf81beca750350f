/** Whether plain data is a ForceField: what the readers promise, checked again for data from outside. */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { BORN_OFFSET } from "./units.ts";

type Rows = readonly (readonly number[])[];

/** Throws InputError naming the field of `system.forceField`, the row and what is wrong. */
export function checkForceField(f: ForceField): void {
  const refuse = (field: string, what: string): never => {
    throw new InputError(`system.forceField.${field} ${what}`);
  };
  const N = f.atoms.charges.length;
  if (N < 2) refuse("atoms.charges", `must have at least 2 values, got ${N}`);
  const numbers = (field: string, values: readonly number[], length: number) => {
    if (values.length !== length) refuse(field, `must have ${length} values, got ${values.length}`);
    const bad = values.findIndex((v) => !Number.isFinite(v));
    if (bad >= 0) refuse(`${field}.${bad}`, `must be a finite number, got ${values[bad]}`);
  };
  const positive = (field: string, values: readonly number[], least = 0) => {
    const bad = values.findIndex((v) => !(v > least));
    if (bad >= 0) refuse(`${field}.${bad}`, `must be above ${least}, got ${values[bad]}`);
  };
  const rows = (field: string, all: Rows, atoms: number, values: number) => {
    all.forEach((row, k) => {
      numbers(`${field}.${k}`, row, atoms + values);
      const indices = row.slice(0, atoms);
      const bad = indices.find((i) => !(Number.isInteger(i) && i >= 0 && i < N));
      if (bad !== undefined) refuse(`${field}.${k}`, `names atom ${bad} of ${N}`);
      if (new Set(indices).size < atoms) refuse(`${field}.${k}`, "names an atom twice");
    });
  };
  const { atoms, lennardJones, born } = f;
  numbers("atoms.charges", atoms.charges, N);
  numbers("atoms.masses", atoms.masses, N);
  positive("atoms.masses", atoms.masses);
  numbers("atoms.elements", atoms.elements, N);
  numbers("atoms.residues", atoms.residues, N);
  if (atoms.names.length !== N) refuse("atoms.names", `must have ${N}, got ${atoms.names.length}`);
  const residue = atoms.residues.find((r) => atoms.residueNames[r] === undefined);
  if (residue !== undefined) refuse("atoms.residues", `names residue ${residue}, there is none`);
  rows("bonds", f.bonds, 2, 2);
  rows("angles", f.angles, 3, 2);
  rows("torsions", f.torsions, 4, 3);
  const periodicity = f.torsions.findIndex(([, , , , n]) =>
    !(Number.isInteger(n) && n >= 0 && n <= 12)
  );
  if (periodicity >= 0) {
    refuse(`torsions.${periodicity}`, "must have a periodicity from 0 to 12");
  }
  rows("exceptions", f.exceptions, 2, 3);
  const pairs = new Set<number>();
  f.exceptions.forEach(([i, j], k) => {
    if (i > j || pairs.has(i * N + j)) refuse(`exceptions.${k}`, "must have i < j, each pair once");
    pairs.add(i * N + j);
  });
  const T = Math.round(Math.sqrt(lennardJones.a.length));
  numbers("lennardJones.a", lennardJones.a, T * T);
  numbers("lennardJones.b", lennardJones.b, T * T);
  numbers("lennardJones.types", lennardJones.types, N);
  const type = lennardJones.types.find((t) => !(Number.isInteger(t) && t >= 0 && t < T));
  if (type !== undefined) refuse("lennardJones.types", `names type ${type} of ${T}`);
  // An attraction without a repulsion, or an asymmetric table, has no Boltzmann distribution.
  for (let s = 0; s < T; s++) {
    for (let t = 0; t < T; t++) {
      const at = s * T + t;
      const [a, b] = [lennardJones.a[at], lennardJones.b[at]];
      if (a < 0 || b < 0 || (a === 0 && b > 0)) {
        refuse(`lennardJones.a.${at}`, `must repel: A is ${a} where B is ${b}`);
      }
      if (a !== lennardJones.a[t * T + s] || b !== lennardJones.b[t * T + s]) {
        refuse(`lennardJones.a.${at}`, "must be symmetric");
      }
    }
  }
  if (!born) return;
  numbers("born.radii", born.radii, N);
  positive("born.radii", born.radii, BORN_OFFSET);
  numbers("born.screens", born.screens, N);
  const screen = born.screens.findIndex((s) => s < 0);
  if (screen >= 0) refuse(`born.screens.${screen}`, "must not be negative");
  positive("born.soluteDielectric", [born.soluteDielectric]);
  positive("born.solventDielectric", [born.solventDielectric]);
  numbers("born.surfaceTension", [born.surfaceTension], 1);
}

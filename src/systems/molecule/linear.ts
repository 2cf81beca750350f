/** Linear groups (alkynes, nitriles, CO₂), at which angles and dihedrals are no coordinates. */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import type { ZMatrix } from "./zmatrix.ts";

/** Equilibrium angles above this (169°) are bent by heat through 180°, three widths away or less. */
const STRAIGHT = Math.PI - 0.2;

/** Atoms (end, middle, end) of the tree's angles that rest at about 180°. */
export function linearAngles(
  { angles }: ForceField,
  { rows }: ZMatrix,
): [number, number, number][] {
  const straight = new Set(
    angles.filter(([, , , at]) => at > STRAIGHT)
      .flatMap(([i, j, k]) => [`${i} ${j} ${k}`, `${k} ${j} ${i}`]),
  );
  return rows.flatMap(({ atom, bond, angle }) =>
    angle >= 0 && straight.has(`${atom} ${bond} ${angle}`)
      ? [[atom, bond, angle] as [number, number, number]]
      : []
  );
}

/** Throws InputError naming the first linear angle: internal coordinates cannot hold it. */
export function refuseLinear(forceField: ForceField, coordinates: ZMatrix): void {
  const [found] = linearAngles(forceField, coordinates);
  if (!found) return;
  const name = found.map((i) => `${forceField.atoms.names[i]} ${i + 1}`).join(" - ");
  throw new InputError(
    `the angle ${name} is linear, where internal coordinates have no dihedral: use --method mcmc`,
  );
}

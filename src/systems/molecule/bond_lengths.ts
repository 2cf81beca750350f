/** Whether coordinates can be of a molecule at all: bond lengths against the force field's. */
import type { ForceField } from "../../config/force_field.ts";

/** Bond lengths of one configuration over the force field's. */
export interface BondRatios {
  readonly median: number;
  /** Between the tenths at either end: 1 where all bonds are scaled alike. */
  readonly spread: number;
  readonly bonds: number;
  /** The bond that is furthest from its length, by factors. */
  readonly worst: { readonly atoms: readonly [number, number]; readonly ratio: number };
}

/** Null for a force field without bonds. `x`: positions in nm, from `offset`. */
export function bondRatios({ bonds }: ForceField, x: Float64Array, offset = 0): BondRatios | null {
  const springs = bonds.filter(([, , length, k]) => length > 0 && k > 0);
  if (springs.length === 0) return null;
  let worst = { atoms: [0, 0] as readonly [number, number], ratio: 1 };
  const ratios = springs.map(([i, j, length]) => {
    const [p, q] = [offset + 3 * i, offset + 3 * j];
    const ratio = Math.hypot(x[p] - x[q], x[p + 1] - x[q + 1], x[p + 2] - x[q + 2]) / length;
    if (Math.abs(Math.log(ratio)) > Math.abs(Math.log(worst.ratio))) {
      worst = { atoms: [i, j], ratio };
    }
    return ratio;
  }).sort((p, q) => p - q);
  const at = (share: number) => ratios[Math.round(share * (ratios.length - 1))];
  return { median: at(0.5), spread: at(0.9) / at(0.1), bonds: ratios.length, worst };
}

/** Bonds all scaled alike, and by about this factor, are a matter of units. */
const LEAST_SCALE = 5;
const MOST_SCALE = 20;
const ALIKE = 1.6;

/** "long": as if Å were taken for nm; "short": the other way round; null: neither. */
export function unitMistake(ratios: BondRatios | null): "long" | "short" | null {
  // One bond alone may be meant to be that long.
  if (!ratios || ratios.bonds < 2 || !(ratios.spread < ALIKE)) return null;
  const { median } = ratios;
  if (median > LEAST_SCALE && median < MOST_SCALE) return "long";
  return median > 1 / MOST_SCALE && median < 1 / LEAST_SCALE ? "short" : null;
}

/** Coulomb and Lennard-Jones over all pairs without cutoff: kJ/mol, float64. */
import type { ForceField } from "../../config/force_field.ts";
import type { Vector } from "./geometry.ts";
import { type Softening, softPair } from "./soften.ts";
import { COULOMB } from "./units.ts";

/** Every pair i < j in order of i, then j, with its parameters; zero where excluded. */
export interface PairTable {
  readonly i: Int32Array;
  readonly j: Int32Array;
  /** q q/(4πε₀), kJ/mol nm. */
  readonly coulomb: Float64Array;
  /** A, kJ/mol nm¹². */
  readonly a: Float64Array;
  /** B, kJ/mol nm⁶. */
  readonly b: Float64Array;
}

export function pairTable({ atoms, lennardJones, exceptions }: ForceField): PairTable {
  const N = atoms.charges.length;
  const count = N * (N - 1) / 2;
  const T = Math.sqrt(lennardJones.a.length);
  const table = {
    i: new Int32Array(count),
    j: new Int32Array(count),
    coulomb: new Float64Array(count),
    a: new Float64Array(count),
    b: new Float64Array(count),
  };
  let p = 0;
  for (let i = 0; i < N; i++) {
    for (let j = i + 1; j < N; j++, p++) {
      const types = lennardJones.types[i] * T + lennardJones.types[j];
      table.i[p] = i;
      table.j[p] = j;
      table.coulomb[p] = COULOMB * atoms.charges[i] * atoms.charges[j];
      table.a[p] = lennardJones.a[types];
      table.b[p] = lennardJones.b[types];
    }
  }
  for (const [i, j, product, a, b] of exceptions) {
    const at = pairIndex(i, j, N);
    table.coulomb[at] = COULOMB * product;
    table.a[at] = a;
    table.b[at] = b;
  }
  return table;
}

/** Place of pair i < j of N atoms in a PairTable. */
export function pairIndex(i: number, j: number, N: number): number {
  return i * N - i * (i + 1) / 2 + (j - i - 1);
}

/**
 * Σ q q/(4πε₀ r) + A/r¹² − B/r⁶, softened where asked; adds its gradient. Pairs with no parameters are
 * not looked at.
 */
export function nonbondedEnergy(
  pairs: PairTable,
  x: Vector,
  gradient: Vector | null,
  soft: Softening | null = null,
): number {
  let energy = 0;
  const term = new Float64Array(2);
  for (let p = 0; p < pairs.i.length; p++) {
    const coulomb = pairs.coulomb[p], a = pairs.a[p], b = pairs.b[p];
    if (coulomb === 0 && a === 0 && b === 0) continue;
    const i = 3 * pairs.i[p], j = 3 * pairs.j[p];
    const dx = x[i] - x[j], dy = x[i + 1] - x[j + 1], dz = x[i + 2] - x[j + 2];
    const squared = dx * dx + dy * dy + dz * dz;
    if (soft) {
      softPair(soft, coulomb, a, b, squared, term);
      energy += term[0];
      if (gradient) addAlong(gradient, i, j, term[1], dx, dy, dz);
      continue;
    }
    const inverse2 = 1 / squared;
    const inverse6 = inverse2 * inverse2 * inverse2;
    const electrostatic = coulomb * Math.sqrt(inverse2);
    const repulsion = a * inverse6 * inverse6;
    const attraction = b * inverse6;
    energy += electrostatic + repulsion - attraction;
    if (!gradient) continue;
    const slope = (6 * attraction - 12 * repulsion - electrostatic) * inverse2;
    addAlong(gradient, i, j, slope, dx, dy, dz);
  }
  return energy;
}

function addAlong(
  gradient: Vector,
  i: number,
  j: number,
  slope: number,
  dx: number,
  dy: number,
  dz: number,
): void {
  gradient[i] += slope * dx;
  gradient[i + 1] += slope * dy;
  gradient[i + 2] += slope * dz;
  gradient[j] -= slope * dx;
  gradient[j + 1] -= slope * dy;
  gradient[j + 2] -= slope * dz;
}

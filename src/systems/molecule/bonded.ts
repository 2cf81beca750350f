/** Bonds, angles and torsions of a force field: energies in kJ/mol and gradients, float64. */
import { angle, dihedral, type Vector } from "./geometry.ts";

type Rows = readonly (readonly number[])[];

/** Σ ½ k (r − r₀)²; adds its gradient. */
export function bondEnergy(rows: Rows, x: Vector, gradient: Vector | null): number {
  let energy = 0;
  for (const [i, j, length, k] of rows) {
    const dx = x[3 * i] - x[3 * j],
      dy = x[3 * i + 1] - x[3 * j + 1],
      dz = x[3 * i + 2] - x[3 * j + 2];
    const r = Math.sqrt(dx * dx + dy * dy + dz * dz);
    const stretch = r - length;
    energy += 0.5 * k * stretch * stretch;
    if (!gradient) continue;
    const slope = k * stretch / r;
    gradient[3 * i] += slope * dx;
    gradient[3 * i + 1] += slope * dy;
    gradient[3 * i + 2] += slope * dz;
    gradient[3 * j] -= slope * dx;
    gradient[3 * j + 1] -= slope * dy;
    gradient[3 * j + 2] -= slope * dz;
  }
  return energy;
}

const byAngle = new Float64Array(6);
const byDihedral = new Float64Array(12);

/** Σ ½ k (θ − θ₀)²; adds its gradient. */
export function angleEnergy(rows: Rows, x: Vector, gradient: Vector | null): number {
  let energy = 0;
  for (const [i, j, k, equilibrium, constant] of rows) {
    const bend = angle(x, i, j, k, gradient ? byAngle : undefined) - equilibrium;
    energy += 0.5 * constant * bend * bend;
    if (!gradient) continue;
    const slope = constant * bend;
    for (let c = 0; c < 3; c++) {
      gradient[3 * i + c] += slope * byAngle[c];
      gradient[3 * j + c] -= slope * (byAngle[c] + byAngle[3 + c]);
      gradient[3 * k + c] += slope * byAngle[3 + c];
    }
  }
  return energy;
}

/** Σ k (1 + cos(nφ − δ)); adds its gradient. */
export function torsionEnergy(rows: Rows, x: Vector, gradient: Vector | null): number {
  let energy = 0;
  for (const [i, j, k, l, n, phase, height] of rows) {
    const phi = dihedral(x, i, j, k, l, gradient ? byDihedral : undefined);
    energy += height * (1 + Math.cos(n * phi - phase));
    if (!gradient) continue;
    const slope = -height * n * Math.sin(n * phi - phase);
    for (let c = 0; c < 3; c++) {
      gradient[3 * i + c] += slope * byDihedral[c];
      gradient[3 * j + c] += slope * byDihedral[3 + c];
      gradient[3 * k + c] += slope * byDihedral[6 + c];
      gradient[3 * l + c] += slope * byDihedral[9 + c];
    }
  }
  return energy;
}

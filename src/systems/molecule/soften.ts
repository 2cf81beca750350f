/**
 * How a molecule's energy is softened at annealing time t < 1, for paths from priors that put atoms
 * inside one another. Pairs take a soft distance R in place of r, and
 *
 *   u_t = t q q/(4πε₀ R) + A/R¹² − c B/R⁶,
 *
 *   "beutler" (Beutler et al. 1994):  R⁶ = r⁶ + α (1 − t)² σ⁶, σ⁶ = A/B, c = 1;
 *   "shifted" (the paper's eq. 26):   R = r + (1 − t) r_min, r_min⁶ = 2A/B, c = (2 − t)⁻⁶.
 *
 * Charges are scaled by √t everywhere, in the solvent's energies as well, so that a screened charge and
 * its screening keep step. Bonds, angles and torsions are scaled by b + (1 − b) t.
 */
import type { MoleculeSoftCore } from "../../config/config.ts";

/** nm: σ of pairs that have none (a hydroxyl's hydrogen). */
const BARE_SIGMA = 0.1;

export interface Softening {
  readonly kind: "shifted" | "beutler";
  /** α (1 − t)², or 1 − t. */
  readonly strength: number;
  /** c. */
  readonly attraction: number;
  /** t. */
  readonly charges: number;
  /** b + (1 − b) t. */
  readonly bonded: number;
}

/** null where nothing is softened: without a soft core, and at t = 1. */
export function softening(core: MoleculeSoftCore | null, t: number): Softening | null {
  if (!core || t === 1) return null;
  const left = 1 - t;
  const bonded = core.bonded + (1 - core.bonded) * t;
  return core.kind === "beutler"
    ? { kind: "beutler", strength: core.alpha * left * left, attraction: 1, charges: t, bonded }
    : { kind: "shifted", strength: left, attraction: (1 + left) ** -6, charges: t, bonded };
}

/** σ⁶ of a pair's Lennard-Jones parameters. */
function sigmaToTheSixth(a: number, b: number): number {
  return a > 0 && b > 0 ? a / b : BARE_SIGMA ** 6;
}

/** Writes u_t and u_t′/r of a pair, given r². */
export function softPair(
  { kind, strength, attraction, charges }: Softening,
  coulomb: number,
  a: number,
  b: number,
  squared: number,
  out: Float64Array,
): void {
  const sigma6 = sigmaToTheSixth(a, b);
  const electrostatic = charges * coulomb;
  if (kind === "beutler") {
    const inverse6 = 1 / (squared * squared * squared + strength * sigma6);
    const [q, repulsion, dispersion] = [
      electrostatic * Math.pow(inverse6, 1 / 6),
      a * inverse6 * inverse6,
      b * inverse6,
    ];
    out[0] = q + repulsion - dispersion;
    // dR/dr = r⁵/R⁵.
    out[1] = (6 * dispersion - 12 * repulsion - q) * squared * squared * inverse6;
    return;
  }
  const r = Math.sqrt(squared);
  const R = r + strength * Math.pow(2 * sigma6, 1 / 6);
  const inverse6 = R ** -6;
  const [q, repulsion, dispersion] = [
    electrostatic / R,
    a * inverse6 * inverse6,
    attraction * b * inverse6,
  ];
  out[0] = q + repulsion - dispersion;
  out[1] = (6 * dispersion - 12 * repulsion - q) / (R * r);
}

import type { LennardJonesConfig } from "../config/config.ts";
import { PairPotential, type PairTerm } from "./pair_potential.ts";

/**
 * U(x) = ε Σ_{i<j} [r⁻¹² − 2 r⁻⁶] + ½ k Σ_i |x_i − x_com|² in three dimensions, every pair once, depth ε
 * at r = 1. ε = 2 is what tables that count every pair twice call LJ-13 and LJ-55.
 *
 * The soft core shapes the way there (U_t, t < 1) and not the target, so it is not in the definition.
 */
export function lennardJones(config: LennardJonesConfig): PairPotential {
  const { particles, epsilon, oscillator, softCore } = config;
  const alpha = softCore.kind === "beutler" ? softCore.alpha : 0;
  return new PairPotential({
    config,
    dimension: 3,
    lengthScale: 1,
    definition: "lennard_jones: U(x) = epsilon sum_{i<j} [r^-12 - 2 r^-6] " +
      "+ (k/2) sum_i |x_i - x_com|^2, r = |x_i - x_j|, each pair once; " +
      `N=${particles}, n=3, epsilon=${epsilon}, k=${oscillator}`,
    pairKernel: {
      kind: softCore.kind === "shifted" ? 1 : 2,
      parameters: [epsilon, oscillator, alpha],
    },
    oscillator,
    pair: softCore.kind === "shifted" ? shifted(epsilon) : beutler(epsilon, alpha),
    // Bit for bit the energy that comes with a gradient.
    pairEnergy: softCore.kind === "beutler" ? target(epsilon) : undefined,
  });
}

/**
 * The paper's eq. 26: r → r + (1 − t), s = (r + 1 − t)⁻⁶, c = (2 − t)⁻⁶, u = ε (s² − 2 s c), which keeps
 * the minimum at r = 1. The paper writes ε (s − c)²; the constant ε c² it adds is dropped, so that
 * t = 1 is exactly ε (r⁻¹² − 2 r⁻⁶).
 */
function shifted(epsilon: number) {
  return (squaredDistance: number, t: number, out: PairTerm): void => {
    const r = Math.sqrt(squaredDistance);
    const shiftedRadius = r + (1 - t);
    const s = shiftedRadius ** -6;
    const c = (2 - t) ** -6;
    out[0] = epsilon * s * (s - 2 * c);
    out[1] = (-12 * epsilon * s * (s - c)) / (shiftedRadius * r);
  };
}

/** Beutler et al. (1994): q = 1/(α (1 − t)² + r⁶), u = ε (q² − 2 q). */
function beutler(epsilon: number, alpha: number) {
  return (squaredDistance: number, t: number, out: PairTerm): void => {
    // Products, not powers: Math.pow would take most of the time of the float64 energies of weights.
    const fourth = squaredDistance * squaredDistance;
    const q = 1 / (alpha * (1 - t) * (1 - t) + fourth * squaredDistance);
    out[0] = epsilon * q * (q - 2);
    out[1] = -12 * epsilon * (q - 1) * q * q * fourth;
  };
}

/** u = ε (r⁻¹² − 2 r⁻⁶), what `beutler` gives at t = 1. */
function target(epsilon: number) {
  return (squaredDistance: number): number => {
    const q = 1 / (squaredDistance * squaredDistance * squaredDistance);
    return epsilon * q * (q - 2);
  };
}

import type { DoubleWellConfig } from "../config/config.ts";
import { PairPotential } from "./pair_potential.ts";

/**
 * U(x) = (1/τ) Σ_{i<j} [a d + b d² + c d⁴], d = |x_i − x_j| − d₀. Every pair once. Nothing is softened:
 * U_t = U for all t, since the energy is bounded where particles meet.
 */
export function doubleWell(config: DoubleWellConfig): PairPotential {
  const { particles, dimension, offset, temperature } = config;
  const linear = config.linear / temperature;
  const quadratic = config.quadratic / temperature;
  const quartic = config.quartic / temperature;
  return new PairPotential({
    config,
    dimension,
    lengthScale: Math.abs(offset) || 1,
    definition: "double_well: U(x) = (1/tau) sum_{i<j} [a d + b d^2 + c d^4], " +
      `d = |x_i - x_j| - d0, each pair once; N=${particles}, n=${dimension}, d0=${offset}, ` +
      `a=${config.linear}, b=${config.quadratic}, c=${config.quartic}, tau=${temperature}`,
    pairKernel: { kind: 0, parameters: [offset, linear, quadratic, quartic] },
    oscillator: 0,
    pair(squaredDistance, _t, out) {
      const r = Math.sqrt(squaredDistance);
      const d = r - offset;
      out[0] = d * (linear + d * (quadratic + d * d * quartic));
      out[1] = (linear + d * (2 * quadratic + 4 * d * d * quartic)) / r;
    },
  });
}

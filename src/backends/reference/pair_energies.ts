import type { System } from "../../systems/system.ts";

/** U_t and ∂U_t/∂x of `count` systems, positions (count, N, n), one after the other in float64. */
export function pairEnergies(
  system: System,
  positions: Float64Array,
  count: number,
  t: number,
): { energies: Float64Array; gradients: Float64Array } {
  const size = system.particles * system.dimension;
  const energies = new Float64Array(count);
  const gradients = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    energies[s] = system.energyAndGradient(
      positions.subarray(s * size, (s + 1) * size),
      gradients.subarray(s * size, (s + 1) * size),
      t,
    );
  }
  return { energies, gradients };
}

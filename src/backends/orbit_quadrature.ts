/** Quadrature of the orbit integral for n = 3 as the fast kernels read it. */
import { gaussLegendre } from "../math/special.ts";

/** Nodes of each table, and tables; assembly/orbit_integral3.ts has the same numbers. */
export const NODES = 32;
export const OCTAVES = 24;

/**
 * Nodes on (0, 1), their complements and weights for 1 + s₁ + s₂ in [2^octave, 2^(octave+1)): the
 * map of src/mint/orbit_integral.ts, its stretch fixed for each octave.
 */
export function quadratureTables(): Float32Array {
  const { nodes, weights } = gaussLegendre(NODES);
  const table = new Float32Array(OCTAVES * 3 * NODES);
  for (let octave = 0; octave < OCTAVES; octave++) {
    const stretch = Math.max(1, 0.5 * Math.log(2) * (octave + 0.7) + 0.5);
    const top = Math.tanh(stretch);
    for (let k = 0; k < NODES; k++) {
      const t = Math.tanh(stretch * (2 * nodes[k] - 1));
      const at = octave * 3 * NODES + k;
      table[at] = 0.5 * (1 + t / top);
      table[at + NODES] = 0.5 * (1 - t / top);
      table[at + 2 * NODES] = weights[k] * stretch * (1 - t * t) / top;
    }
  }
  return table;
}

/** Whose log q weights are made of: the device's or the host's. */
import { mintComponentSize, type MintModel } from "../../mint/model.ts";

/**
 * Σκ of a component up to which log q of the device goes into weights. Its error is some roundings of
 * Σκ, each 6e-8 of it: 1.1e-5 was seen on DW-4 trained for 100 steps; weights may err by 1e-3.
 */
const MOST_KAPPA = 2e4;

/**
 * Whether weights take log q of the start from the device, in float32 and two levels of sums, instead of
 * computing it once more on the host in float64. What the host's part costs (one core): a draw 18 µs, which
 * has no kernel because its rejections and float64 logarithms decide the exactness of q; the target's U,
 * float64 because the tails of r^-12 live in it, 0.3 µs for DW-4 and 4 µs for LJ-13; log q of 48 components
 * under 24 labellings 230 µs, more than a GPU takes for the whole path, but 0.7 µs where the prior is the
 * broad part alone, which stays float64.
 */
export function densityFromDevice(model: MintModel): boolean {
  const { family, particles: N, dimension: n, components: K, parameters } = model;
  if (family !== "orbit_vmf") return false;
  const size = mintComponentSize(N, n);
  const m = N - 1;
  for (let k = 0; k < K; k++) {
    const first = k * size + 1 + m * (n + 2);
    const logKappas = parameters.subarray(first, first + m);
    if (logKappas.reduce((sum, log) => sum + Math.exp(log), 0) > MOST_KAPPA) return false;
  }
  return K > 0;
}

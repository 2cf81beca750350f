/** Packs orbit von Mises-Fisher components for shaders/common/orbit_vmf.wgsl. */
import { logVmfConstant } from "../../mint/von_mises_fisher.ts";

/**
 * Constant (without −Σκ, which the kernel joins to log I), an unused number, Σκ, 1/Σκ; then eight numbers
 * a place: κ, unit μ, ρ, 1/σ.
 *
 * @param parameters of one component, the logit first
 */
export function packOrbitVmf(
  parameters: Float64Array,
  m: number,
  n: 2 | 3,
  logWeight: number,
): Float64Array {
  const out = new Float64Array(4 + 8 * m);
  let constant = logWeight;
  let kappas = 0;
  for (let j = 0; j < m; j++) {
    const mu = parameters.subarray(1 + j * n, 1 + (j + 1) * n);
    const norm = Math.hypot(...mu);
    const logSigma = parameters[1 + m * (n + 1) + j];
    const kappa = Math.exp(parameters[1 + m * (n + 2) + j]);
    constant += logVmfConstant(kappa, n) + kappa - logSigma - 0.5 * Math.log(2 * Math.PI);
    kappas += kappa;
    out.set([
      kappa,
      mu[0] / norm,
      mu[1] / norm,
      n === 3 ? mu[2] / norm : 0,
      parameters[1 + m * n + j],
      Math.exp(-logSigma),
    ], 4 + 8 * j);
  }
  out.set([constant, 0, kappas, 1 / kappas]);
  return out;
}

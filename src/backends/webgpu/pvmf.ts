/** Packs PvMF components for shaders/common/pvmf.wgsl. */
import { unitRows } from "../../mint/pvmf_normaliser.ts";

/**
 * Constant (with κ), κ, |B₀| of the rounded directions (f must reach 1), an unused number; then eight
 * numbers a place: one unused, unit μ, ρ, 1/σ.
 *
 * @param parameters of one component, the logit first
 */
export function packPvmf(
  parameters: Float64Array,
  m: number,
  n: 2 | 3,
  logWeight: number,
  logZ: number,
): Float64Array {
  const p = parameters.subarray(1);
  const mu = unitRows(p, m, n).map(Math.fround);
  const kappa = Math.exp(p[m * (n + 2)]);
  const out = new Float64Array(4 + 8 * m);
  let constant = logWeight + kappa - logZ - 0.5 * m * Math.log(2 * Math.PI);
  for (let j = 0; j < m; j++) {
    const logSigma = p[m * (n + 1) + j];
    constant -= logSigma;
    out.set(mu.subarray(j * n, (j + 1) * n), 4 + 8 * j + 1);
    out.set([p[m * n + j], Math.exp(-logSigma)], 4 + 8 * j + 4);
  }
  const moments = new Float64Array(n * n);
  for (let i = 0; i < mu.length; i++) {
    const row = i - i % n;
    for (let e = 0; e < n; e++) moments[(i % n) * n + e] += mu[i] * mu[row + e];
  }
  out.set([constant, kappa, Math.hypot(...moments)]);
  return out;
}

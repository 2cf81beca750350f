/** Packs PvMF components, and takes the kernel's sums to their parameters; see assembly/pvmf.ts. */
import type { MintModel } from "../../mint/model.ts";
import { normalisersOf, tangential, unitRows } from "../../mint/pvmf_normaliser.ts";
import type { ComponentPacking } from "./mint_prior.ts";

export function pvmfPacking(model: MintModel): ComponentPacking {
  const { particles, dimension: n, components, parameters } = model;
  const m = particles - 1;
  const size = parameters.length / components;
  const normalisers = normalisersOf(model);
  const own = (k: number) => parameters.subarray(k * size + 1, (k + 1) * size);
  return {
    kind: 2,
    bytes: 16 + 32 * m,
    write(memory, address, k, logWeight) {
      const p = own(k);
      const mu = unitRows(p, m, n);
      const kappa = Math.exp(p[m * (n + 2)]);
      let constant = logWeight + kappa - normalisers.logZ[k] - 0.5 * m * Math.log(2 * Math.PI);
      for (let j = 0; j < m; j++) {
        const logSigma = p[m * (n + 1) + j];
        constant -= logSigma;
        const place = memory.f32(address + 16 + 32 * j, 8).fill(0);
        place.set(mu.subarray(j * n, (j + 1) * n), 1);
        place.set([p[m * n + j], Math.exp(-logSigma)], 4);
      }
      memory.f32(address, 2).set([constant, kappa]);
      // |B₀| of the rounded directions: f must reach 1 exactly, κ times an error of it is seen.
      memory.f64(address + 8, 1)[0] = frobenius(secondMoments(mu.map(Math.fround), n));
    },
    statistics: 2 + m * (n + 2),
    toParameters(sums, k, gradient) {
      const p = own(k);
      const mu = unitRows(p, m, n);
      const [weight, kappaF] = sums;
      const moments = secondMoments(mu, n);
      const square = frobenius(moments) ** 2;
      const slopes = normalisers.slopes.subarray(k * (m * n + 1), (k + 1) * (m * n + 1));
      // ∂κf/∂μ_j = 2κ Wθ_j/(|B||B₀|) − 2κf B₀μ_j/|B₀|².
      const byMu = sums.slice(2 + 2 * m);
      for (let j = 0; j < m; j++) {
        for (let d = 0; d < n; d++) {
          for (let e = 0; e < n; e++) {
            byMu[j * n + d] -= 2 * kappaF / square * moments[d * n + e] * mu[j * n + e];
          }
        }
      }
      tangential(byMu, mu, n);
      for (let i = 0; i < m * n; i++) {
        const j = Math.floor(i / n);
        const norm = Math.hypot(...p.subarray(j * n, (j + 1) * n));
        gradient[i] = (byMu[i] - weight * slopes[i]) / norm;
      }
      gradient.set(sums.subarray(2, 2 + 2 * m), m * n);
      gradient[m * (n + 2)] = kappaF - weight * slopes[m * n];
    },
  };
}

/** Σ_j μ_jᵀμ_j. */
function secondMoments(mu: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < mu.length; i += n) {
    for (let d = 0; d < n; d++) {
      for (let e = 0; e < n; e++) out[d * n + e] += mu[i + d] * mu[i + e];
    }
  }
  return out;
}

const frobenius = (matrix: Float64Array) => Math.sqrt(matrix.reduce((sum, v) => sum + v * v, 0));

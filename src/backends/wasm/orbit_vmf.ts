/** Packs orbit von Mises-Fisher components; see assembly/orbit_vmf_layout.ts. */
import { mintComponentSize, type MintModel } from "../../mint/model.ts";
import { logVmfConstant, vmfMeanCosine } from "../../mint/von_mises_fisher.ts";
import type { ComponentPacking } from "./mint_prior.ts";

export function orbitVmfPacking(model: MintModel): ComponentPacking {
  const { particles, dimension: n, parameters } = model;
  const m = particles - 1;
  const size = mintComponentSize(particles, n);
  return {
    kind: 0,
    bytes: 4 * (4 + 8 * m),
    write(memory, address, k, logWeight, share) {
      const own = parameters.subarray(k * size, (k + 1) * size);
      packComponent(memory.f32(address, 4 + 8 * m), own, m, n, logWeight, share);
    },
    statistics: size,
    toParameters() {}, // the kernel's sums are in MintModel's layout
  };
}

/** Constant (without −Σκ, which the kernel joins to log I), π_k, Σκ, 1/Σκ; eight numbers a place. */
function packComponent(
  out: Float32Array,
  parameters: Float64Array,
  m: number,
  n: 2 | 3,
  logWeight: number,
  share: number,
): void {
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
      kappa * mu[0] / norm,
      kappa * mu[1] / norm,
      n === 3 ? kappa * mu[2] / norm : 1 / kappa,
      parameters[1 + m * n + j],
      Math.exp(-logSigma),
      vmfMeanCosine(kappa, n),
      1 / norm,
    ], 4 + 8 * j);
  }
  out.set([constant, share, kappas, 1 / kappas]);
}

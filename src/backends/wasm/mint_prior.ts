/** Packs a Mint prior of any family into kernel memory; see assembly/mint_prior.ts. */
import { logSumExp } from "../../math/special.ts";
import { componentSize } from "../../mint/families.ts";
import { mintLabellings } from "../../mint/mixture.ts";
import type { MintModel } from "../../mint/model.ts";
import { permutationTreatment } from "../../mint/permutations.ts";
import type { KernelExports } from "./exports.ts";
import type { KernelMemory } from "./memory.ts";
import { gaussianPacking, scalesPacking } from "./orbit_gaussian.ts";
import { quadratureTables } from "../orbit_quadrature.ts";
import { orbitVmfPacking } from "./orbit_vmf.ts";
import { pvmfPacking } from "./pvmf.ts";

/** How components of one family stand in kernel memory. */
export interface ComponentPacking {
  /** The number by which assembly/mint_prior.ts tells families apart. */
  readonly kind: 0 | 1 | 2 | 3;
  /** Bytes of a component. */
  readonly bytes: number;
  /**
   * Writes component k at `address`.
   *
   * @param logWeight what its density is multiplied by, log[(1 − w) π_k / |G|]
   * @param share π_k
   */
  write(memory: KernelMemory, address: number, k: number, logWeight: number, share: number): void;
  /** Numbers of a component that the kernel sums for derivatives by parameters. */
  readonly statistics: number;
  /** Takes a component's sums, the first of them Σ weight · share, to ∂/∂parameters but the logit. */
  toParameters(sums: Float64Array, k: number, gradient: Float64Array): void;
}

export interface PackedMint {
  /** Address of the packed prior. */
  readonly address: number;
  /** Address of the kernel's scratch. */
  readonly scratch: number;
  /** Numbers that mintPriorParameterGradientBlock adds to. */
  readonly statistics: number;
  /** Those numbers to ∂/∂parameters, in MintModel's layout. */
  toParameters(sums: Float32Array): Float64Array;
}

function packingOf(model: MintModel): ComponentPacking {
  // No component but the broad part: the cheapest kernel, whatever the family.
  if (model.components === 0) return scalesPacking(model);
  switch (model.family) {
    case "orbit_vmf":
      return orbitVmfPacking(model);
    case "pvmf":
      return pvmfPacking(model);
    case "orbit_gaussian":
      return permutationTreatment(model) === "invariant"
        ? scalesPacking(model)
        : gaussianPacking(model);
  }
}

/** A prior and its scratch in kernel memory, until the memory is released. */
export function packMint(
  exports: Pick<KernelExports, "mintPriorScratchBytes">,
  memory: KernelMemory,
  model: MintModel,
): PackedMint {
  const { particles, dimension: n, components, broadWeight, broadScale, parameters } = model;
  const packing = packingOf(model);
  const labellings = mintLabellings(model);
  const tables = n === 3 ? quadratureTables() : new Float32Array(0);
  const labellingBytes = 16 * Math.ceil(labellings.particles.length / 4);
  const address = memory.alloc(
    32 + 4 * tables.length + labellingBytes + components * packing.bytes,
  );
  const scratch = memory.alloc(
    exports.mintPriorScratchBytes(particles, n, components, labellings.count),
  );
  memory.i32(address, 4).set([particles, n, components, labellings.count]);
  memory.f32(address + 16, 2).set([
    Math.log(broadWeight) - 0.5 * (particles - 1) * n * Math.log(2 * Math.PI * broadScale ** 2) -
    0.5 * n * Math.log(particles),
    1 / broadScale ** 2,
  ]);
  memory.i32(address + 24, 2).set([packing.kind, 0]);
  let at = address + 32;
  memory.f32(at, tables.length).set(tables);
  at += 4 * tables.length;
  memory.i32(at, labellings.particles.length).set(labellings.particles);
  at += labellingBytes;
  const size = componentSize(model);
  const logits = Float64Array.from({ length: components }, (_, k) => parameters[k * size]);
  const normaliser = logSumExp(logits);
  const common = Math.log1p(-broadWeight) - Math.log(labellings.count) - normaliser;
  const shares = logits.map((logit) => Math.exp(logit - normaliser));
  for (let k = 0; k < components; k++) {
    packing.write(memory, at + k * packing.bytes, k, logits[k] + common, shares[k]);
  }
  return {
    address,
    scratch,
    statistics: components * packing.statistics,
    toParameters(sums) {
      // This kernel's sums are the derivatives themselves.
      if (packing.kind === 0) return Float64Array.from(sums);
      const gradient = new Float64Array(parameters.length);
      const width = packing.statistics;
      let all = 0;
      for (let k = 0; k < components; k++) all += sums[k * width];
      for (let k = 0; k < components; k++) {
        const own = Float64Array.from(sums.subarray(k * width, (k + 1) * width));
        gradient[k * size] = own[0] - shares[k] * all;
        packing.toParameters(own, k, gradient.subarray(k * size + 1, (k + 1) * size));
      }
      return gradient;
    },
  };
}

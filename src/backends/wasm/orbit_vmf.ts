/** Packs a Mint prior into kernel memory; see assembly/orbit_vmf_layout.ts. */
import { InputError } from "../../errors.ts";
import { gaussLegendre, logSumExp } from "../../math/special.ts";
import { mintLabellings } from "../../mint/mixture.ts";
import { mintComponentSize, type MintModel } from "../../mint/model.ts";
import { logVmfConstant, vmfMeanCosine } from "../../mint/von_mises_fisher.ts";
import type { KernelExports } from "./exports.ts";
import type { KernelMemory } from "./memory.ts";

export interface PackedMint {
  /** Address of the packed prior. */
  readonly address: number;
  /** Address of the kernel's scratch. */
  readonly scratch: number;
}

/** Nodes of each quadrature table; assembly/orbit_integral3.ts has the same numbers. */
const NODES = 32;
const LEVELS = 24;

/**
 * Nodes on (0, 1), their complements and weights for 1 + s₁ + s₂ in [2^level, 2^(level+1)): the
 * map of src/mint/orbit_integral.ts, its stretch fixed for each octave.
 */
export function quadratureTables(): Float32Array {
  const { nodes, weights } = gaussLegendre(NODES);
  const table = new Float32Array(LEVELS * 3 * NODES);
  for (let level = 0; level < LEVELS; level++) {
    const stretch = Math.max(1, 0.5 * Math.log(2) * (level + 0.7) + 0.5);
    const top = Math.tanh(stretch);
    for (let k = 0; k < NODES; k++) {
      const t = Math.tanh(stretch * (2 * nodes[k] - 1));
      const at = level * 3 * NODES + k;
      table[at] = 0.5 * (1 + t / top);
      table[at + NODES] = 0.5 * (1 - t / top);
      table[at + 2 * NODES] = weights[k] * stretch * (1 - t * t) / top;
    }
  }
  return table;
}

/** A prior and its scratch in kernel memory, until the memory is released. */
export function packMint(
  exports: Pick<KernelExports, "orbitVmfScratchBytes">,
  memory: KernelMemory,
  model: MintModel,
): PackedMint {
  if (model.family !== "orbit_vmf" && model.components > 0) {
    throw new InputError(
      `The wasm backend has no kernel for mint.family ${model.family}: use --backend reference`,
    );
  }
  const { particles, dimension: n, components, broadWeight, broadScale } = model;
  const m = particles - 1;
  const labellings = mintLabellings(model);
  const tableLength = n === 3 ? LEVELS * 3 * NODES : 0;
  const labellingLength = Math.ceil(labellings.particles.length / 4) * 4;
  const componentLength = 4 + 8 * m;
  const length = 8 + tableLength + labellingLength + components * componentLength;
  const address = memory.alloc(4 * length);
  const scratch = memory.alloc(
    exports.orbitVmfScratchBytes(particles, n, components, labellings.count),
  );
  memory.i32(address, 4).set([particles, n, components, labellings.count]);
  memory.f32(address + 16, 2).set([
    Math.log(broadWeight) - 0.5 * m * n * Math.log(2 * Math.PI * broadScale ** 2) -
    0.5 * n * Math.log(particles),
    1 / broadScale ** 2,
  ]);
  let at = address + 32;
  if (n === 3) memory.f32(at, tableLength).set(quadratureTables());
  at += 4 * tableLength;
  memory.i32(at, labellings.particles.length).set(labellings.particles);
  at += 4 * labellingLength;
  const size = mintComponentSize(particles, n);
  const logits = Float64Array.from({ length: components }, (_, k) => model.parameters[k * size]);
  const normaliser = logSumExp(logits);
  const common = Math.log1p(-broadWeight) - Math.log(labellings.count) - normaliser;
  for (let k = 0; k < components; k++, at += 4 * componentLength) {
    const parameters = model.parameters.subarray(k * size, (k + 1) * size);
    packComponent(memory.f32(at, componentLength), parameters, m, n, common, normaliser);
  }
  return { address, scratch };
}

/** Constant (without −Σκ, which the kernel joins to log I), π_k, Σκ, 1/Σκ; eight numbers a place. */
function packComponent(
  out: Float32Array,
  parameters: Float64Array,
  m: number,
  n: 2 | 3,
  common: number,
  normaliser: number,
): void {
  let constant = parameters[0] + common;
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
  out.set([constant, Math.exp(parameters[0] - normaliser), kappas, 1 / kappas]);
}

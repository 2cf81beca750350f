/** Packs a Mint prior of any family for shaders/common/mint_prior.wgsl, whose comment gives the layout. */
import { logSumExp } from "../../math/special.ts";
import { componentSize } from "../../mint/families.ts";
import { mintLabellings } from "../../mint/mixture.ts";
import type { MintModel } from "../../mint/model.ts";
import { normalisersOf } from "../../mint/pvmf_normaliser.ts";
import { NODES, OCTAVES, quadratureTables } from "../orbit_quadrature.ts";
import { gaussianStride, packOrbitGaussian } from "./orbit_gaussian.ts";
import { packOrbitVmf } from "./orbit_vmf.ts";
import { packPvmf } from "./pvmf.ts";

/** log of the broad part where its weight is zero: e^it is zero, and it is a finite f32. */
const NO_BROAD_PART = -1e30;

export interface PriorLayout {
  /** G. */
  readonly labellings: number;
  /** Constants of the kernels. */
  readonly offsets: Readonly<Record<string, number>>;
}

export function priorLayout(model: MintModel): PriorLayout {
  const { particles: N, dimension: n, family } = model;
  const { count } = mintLabellings(model);
  const LABELLINGS = 4;
  const ANCHORS = LABELLINGS + count * N;
  const NODE_TABLES = ANCHORS + 2 * N;
  const COMPONENTS = NODE_TABLES + (n === 3 ? OCTAVES * 3 * NODES : 0);
  const COMPONENT_STRIDE = family === "orbit_gaussian" ? gaussianStride(N, n) : 4 + 8 * (N - 1);
  const offsets = { LABELLINGS, ANCHORS, NODE_TABLES, COMPONENTS, COMPONENT_STRIDE };
  return { labellings: count, offsets };
}

/** Parts of shaders/common that make the prior of this family. */
export function priorParts(model: Pick<MintModel, "family" | "components"> | null): string[] {
  if (!model || model.components === 0) return ["broad_prior"];
  if (model.family === "pvmf") return ["directional_prior", "pvmf"];
  if (model.family === "orbit_gaussian") return ["orbit_integral", "orbit_gaussian"];
  return ["directional_prior", "orbit_integral", "orbit_vmf"];
}

/** Turns of loops of one thread of W for log q and its gradient, rather too many. */
export function priorTurns(model: MintModel, W: number): number {
  const { particles: N, dimension: n, components, family } = model;
  const times = (items: number) => Math.ceil(items / W);
  const terms = components * priorLayout(model).labellings;
  const integral = n === 3 ? 60 : 0;
  if (family === "orbit_gaussian") {
    const orbit = 2 * N * N + integral;
    return times(terms) * orbit + times(N) * terms * (orbit + N * N + N);
  }
  const orbit = family === "pvmf" ? 5 * N + N * N : 4 * N + integral;
  return times(terms) * orbit + terms / N * times(N * N) * orbit;
}

/** The prior in float32. */
export function packPrior(model: MintModel): Float32Array<ArrayBuffer> {
  const { particles: N, dimension: n, components: K, broadWeight, broadScale, family } = model;
  const m = N - 1;
  const labellings = mintLabellings(model);
  const { offsets } = priorLayout(model);
  const stride = offsets.COMPONENT_STRIDE;
  const out = new Float32Array(offsets.COMPONENTS + K * stride);
  out[0] = broadWeight === 0
    ? NO_BROAD_PART
    : Math.log(broadWeight) - 0.5 * m * n * Math.log(2 * Math.PI * broadScale ** 2) -
      0.5 * n * Math.log(N);
  out[1] = 1 / broadScale ** 2;
  out.set(labellings.particles, offsets.LABELLINGS);
  for (let g = labellings.count - 1; g >= 0; g--) {
    const at = offsets.ANCHORS + 2 * labellings.particles[g * N];
    out[at] = g; // rows are sorted by the anchor: the last one written is the first row
    out[at + 1]++;
  }
  if (n === 3) out.set(quadratureTables(), offsets.NODE_TABLES);
  if (K === 0) return out;
  const size = componentSize(model);
  const logits = Float64Array.from({ length: K }, (_, k) => model.parameters[k * size]);
  const common = Math.log1p(-broadWeight) - Math.log(labellings.count) - logSumExp(logits);
  const logZ = family === "pvmf" ? normalisersOf(model).logZ : null;
  for (let k = 0; k < K; k++) {
    const own = model.parameters.subarray(k * size, (k + 1) * size);
    const logWeight = logits[k] + common;
    const packed = family === "pvmf"
      ? packPvmf(own, m, n, logWeight, logZ![k])
      : family === "orbit_gaussian"
      ? packOrbitGaussian(own, N, n, model.gaussian!, logWeight)
      : packOrbitVmf(own, m, n, logWeight);
    out.set(packed, offsets.COMPONENTS + k * stride);
  }
  return out;
}

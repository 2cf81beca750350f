/** Packs a Mint prior for shaders/common/orbit_vmf.wgsl, whose comment gives the layout. */
import { logSumExp } from "../../math/special.ts";
import { mintLabellings } from "../../mint/mixture.ts";
import { mintComponentSize, type MintModel } from "../../mint/model.ts";
import { logVmfConstant } from "../../mint/von_mises_fisher.ts";
import { NODES, OCTAVES, quadratureTables } from "../orbit_quadrature.ts";

/** log of the broad part where its weight is zero: e^it is zero, and it is a finite f32. */
const NO_BROAD_PART = -1e30;

export interface PriorLayout {
  /** G. */
  readonly labellings: number;
  /** Constants of the kernels. */
  readonly offsets: Readonly<Record<string, number>>;
}

export function priorLayout(model: MintModel): PriorLayout {
  const { particles: N, dimension: n } = model;
  const { count } = mintLabellings(model);
  const LABELLINGS = 4;
  const ANCHORS = LABELLINGS + count * N;
  const NODE_TABLES = ANCHORS + 2 * N;
  const COMPONENTS = NODE_TABLES + (n === 3 ? OCTAVES * 3 * NODES : 0);
  return { labellings: count, offsets: { LABELLINGS, ANCHORS, NODE_TABLES, COMPONENTS } };
}

/** The prior in float32. */
export function packPrior(model: MintModel): Float32Array<ArrayBuffer> {
  const { particles: N, dimension: n, components: K, broadWeight, broadScale } = model;
  const m = N - 1;
  const labellings = mintLabellings(model);
  const { offsets } = priorLayout(model);
  const componentLength = 4 + 8 * m;
  const out = new Float32Array(offsets.COMPONENTS + K * componentLength);
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
  const size = mintComponentSize(N, n);
  const logits = Float64Array.from({ length: K }, (_, k) => model.parameters[k * size]);
  const normaliser = logSumExp(logits);
  const common = Math.log1p(-broadWeight) - Math.log(labellings.count) - normaliser;
  for (let k = 0; k < K; k++) {
    out.set(
      packComponent(
        model.parameters.subarray(k * size, (k + 1) * size),
        m,
        n,
        common,
        normaliser,
      ),
      offsets.COMPONENTS + k * componentLength,
    );
  }
  return out;
}

/** Constant (without −Σκ, which the kernel joins to log I), π, Σκ, 1/Σκ; eight numbers a place. */
function packComponent(
  parameters: Float64Array,
  m: number,
  n: 2 | 3,
  common: number,
  normaliser: number,
): Float64Array {
  const out = new Float64Array(4 + 8 * m);
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
      mu[0] / norm,
      mu[1] / norm,
      n === 3 ? mu[2] / norm : 0,
      parameters[1 + m * n + j],
      Math.exp(-logSigma),
    ], 4 + 8 * j);
  }
  out.set([constant, Math.exp(parameters[0] - normaliser), kappas, 1 / kappas]);
  return out;
}

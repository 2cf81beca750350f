/** Host side of shaders/common/egnn.wgsl: where tensors stand, and parameters as the kernels read them. */
import { egnnLayout } from "../../julep/egnn.ts";
import type { NetworkShape } from "../../julep/model.ts";

/** Stands in where a problem has no network; the kernels' branch is compiled away. */
export const EGNN_SHAPE_WITHOUT_NETWORK: NetworkShape = {
  particles: 2,
  dimension: 2,
  layers: 1,
  hidden: 8,
  channels: 0,
  lengthScale: 1,
  anchored: false,
};

export interface PackedShape {
  /** Constants of the kernels: offsets in the flat array, of layer 0 where there are layers. */
  readonly offsets: Readonly<Record<string, number>>;
  /** Length of the flat array. */
  readonly size: number;
}

const tensors: Record<string, string> = {
  INPUT: "input.weight",
  INPUT_BIAS: "input.bias",
  EDGE_I: "layers.0.edge.weight_i",
  EDGE_J: "layers.0.edge.weight_j",
  EDGE_E: "layers.0.edge.weight_e",
  EDGE_BIAS: "layers.0.edge.bias",
  MESSAGE: "layers.0.message.weight",
  MESSAGE_BIAS: "layers.0.message.bias",
  NODE: "layers.0.node.weight",
  NODE_BIAS: "layers.0.node.bias",
  UPDATE: "layers.0.update.weight",
  UPDATE_BIAS: "layers.0.update.bias",
  DRIFT_HEAD: "heads.drift.weight",
  DRIFT_BIAS: "heads.drift.bias",
  CHANNEL: "heads.channel.weight",
  CHANNEL_BIAS: "heads.channel.bias",
  STRENGTH: "heads.strength.weight",
  STRENGTH_BIAS: "heads.strength.bias",
};

export function packedShape(shape: NetworkShape): PackedShape {
  const { entries, size } = egnnLayout(shape);
  const at = new Map(entries.map(({ name, offset }) => [name, offset]));
  const offsets: Record<string, number> = {};
  // A network without channels has no such heads; the constants must exist all the same.
  for (const [name, tensor] of Object.entries(tensors)) offsets[name] = at.get(tensor) ?? 0;
  offsets.LAYER_SIZE = at.get("heads.drift.weight")! - at.get("layers.0.edge.weight_i")!;
  offsets.LAYER_SIZE /= shape.layers;
  offsets.TRANSPOSED = size;
  return { offsets, size };
}

/** Place of every parameter in the flat array whose matrices are transposed to (in, out). */
export function transposedPlaces(shape: NetworkShape): Float32Array<ArrayBuffer> {
  const { entries, size } = egnnLayout(shape);
  const places = new Float32Array(size);
  for (const { shape: [rows, columns = 1], offset } of entries) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) places[offset + r * columns + c] = offset + c * rows + r;
    }
  }
  return places;
}

/** Parameters as they stand, (out, in), then every matrix transposed to (in, out); float32. */
export function packEgnn(
  shape: NetworkShape,
  parameters: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const places = transposedPlaces(shape);
  const size = places.length;
  if (parameters.length !== size) {
    throw new RangeError(`network has ${size} parameters, got ${parameters.length}`);
  }
  const out = new Float32Array(2 * size);
  out.set(parameters);
  for (let i = 0; i < size; i++) out[size + places[i]] = out[i];
  return out;
}

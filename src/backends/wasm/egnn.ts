/** Host side of assembly/egnn.ts: packs a network and gives its sizes. */
import { egnnLayout, scaleHeads, typeCount } from "../../julep/egnn.ts";
import type { NetworkShape } from "../../julep/model.ts";
import type { KernelExports } from "./exports.ts";
import type { KernelMemory } from "./memory.ts";

/** A network in kernel memory. */
export interface PackedEgnn {
  /** Address of the packed parameters, the kernels' `network`. */
  readonly address: number;
  readonly scratch: number;
  /** Space for what the backward pass needs of one evaluation at the network's place in a path. */
  readonly tape: number;
  readonly tapeBytes: number;
}

/** Numbers the network gives for one system: b, c (N·n each), h (N·C), s (C). */
export function egnnOutputSize(shape: NetworkShape): number {
  const { particles: N, dimension: n, channels: C } = shape;
  return 2 * N * n + N * C + C;
}

/**
 * Rounds flat parameters to float32 and packs them, with the areas to work in, into kernel memory.
 *
 * @param parameters flat, in the order of `egnnLayout(shape)`; RangeError on another length
 */
export function packEgnn(
  kernels: KernelExports,
  memory: KernelMemory,
  shape: NetworkShape,
  parameters: Float64Array,
): PackedEgnn {
  const { size } = egnnLayout(shape);
  if (parameters.length !== size) {
    throw new RangeError(`network has ${size} parameters, got ${parameters.length}`);
  }
  const { particles: N, dimension: n, layers: L, hidden: H, channels: C } = shape;
  const address = memory.alloc(kernels.egnnPackedBytes(L, H));
  const scratch = memory.alloc(kernels.egnnScratchBytes(N, L, H));
  const tapeBytes = kernels.julepTapeBytes(N, n, L, H, C);
  const tape = memory.alloc(tapeBytes);
  const types = typeCount(shape);
  const table = types > 0 ? memory.alloc(kernels.egnnTypesBytes(N, H, types)) : 0;
  const mark = memory.mark();
  const flat = memory.alloc(4 * size);
  const scaled = memory.f32(flat, size);
  scaled.set(parameters);
  scaleHeads(shape, scaled);
  const anchored = shape.anchored ? 1 + (shape.anchor ?? 0) : 0;
  kernels.egnnPack(flat, address, N, n, L, H, C, shape.lengthScale, anchored);
  if (table) {
    const indices = memory.alloc(4 * N);
    memory.i32(indices, N).set(shape.types!);
    kernels.egnnPackTypes(flat, address, table, indices, types);
  }
  memory.release(mark);
  return { address, scratch, tape, tapeBytes };
}

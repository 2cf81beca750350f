/**
 * The network's parameters: names, shapes and order in one flat array, and their initial values.
 * What the network computes stands in backends/reference/egnn.ts; assembly/egnn.ts reads the same
 * flat layout (as float32).
 *
 * Weights are (out, in), row-major: y = W x + bias.
 */
import { RandomStream, Stream } from "../math/random.ts";
import type { NetworkShape } from "./model.ts";

/** t, sin πt, cos πt, sin 2πt, cos 2πt, radius / lengthScale, anchor flag. */
export const NODE_FEATURES = 7;
/** s_ij, 1 / (1 + s_ij²). */
export const EDGE_FEATURES = 2;
/** Most channels of A that the fast kernel's head holds. */
export const MAX_CHANNELS = 4;

/** One tensor of the network inside the flat array. */
export interface EgnnEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** Index of its first number in the flat array. */
  readonly offset: number;
}

export interface EgnnLayout {
  readonly entries: readonly EgnnEntry[];
  /** Length of the flat array. */
  readonly size: number;
}

/** What the network gives for one state; not projected on any gauge. */
export interface EgnnOutput {
  /** Odd drift b, (N, n). */
  readonly b: Float64Array;
  /** Even drift c, (N, n). */
  readonly c: Float64Array;
  /** Node channels of A, (N, C), each in (−1, 1). */
  readonly h: Float64Array;
  /** Signed channel strengths of A, (C). */
  readonly s: Float64Array;
}

/** Zeroed outputs (or adjoints of outputs) for a network of this shape. */
export function egnnOutput(shape: NetworkShape): EgnnOutput {
  const { particles: N, dimension: n, channels: C } = shape;
  return {
    b: new Float64Array(N * n),
    c: new Float64Array(N * n),
    h: new Float64Array(N * C),
    s: new Float64Array(C),
  };
}

/** Throws RangeError where the shape is outside what every backend computes. */
function checkShape(shape: NetworkShape): void {
  const { particles, dimension, layers, hidden, channels, lengthScale } = shape;
  const check = (ok: boolean, field: string, value: number, rule: string) => {
    if (!ok) throw new RangeError(`network ${field} must be ${rule}, got ${value}`);
  };
  check(Number.isInteger(particles) && particles >= 2, "particles", particles, "an integer >= 2");
  check(dimension === 2 || dimension === 3, "dimension", dimension, "2 or 3");
  check(Number.isInteger(layers) && layers >= 1, "layers", layers, "an integer >= 1");
  check(hidden > 0 && hidden % 8 === 0, "hidden", hidden, "a positive multiple of 8");
  const few = Number.isInteger(channels) && channels >= 0 && channels <= MAX_CHANNELS;
  check(few, "channels", channels, `an integer from 0 to ${MAX_CHANNELS}`);
  const { types = [] } = shape;
  const typed = types.every((type) => Number.isInteger(type) && type >= 0 && type < particles);
  check(!shape.types || types.length === particles, "types", types.length, "one a particle");
  check(typed, "types", NaN, "integers from 0 to the number of particles");
  check(lengthScale > 0 && lengthScale < Infinity, "lengthScale", lengthScale, "positive");
}

/**
 * Names, shapes and offsets of all parameters. With no channels the two heads of A are left out;
 * the last layer's node and update tensors then reach no output and their gradients are zero.
 */
export function egnnLayout(shape: NetworkShape): EgnnLayout {
  checkShape(shape);
  const { layers, hidden: H, channels: C } = shape;
  const entries: EgnnEntry[] = [];
  let size = 0;
  const add = (name: string, ...dimensions: number[]) => {
    entries.push({ name, shape: dimensions, offset: size });
    size += dimensions.reduce((product, d) => product * d, 1);
  };
  add("input.weight", H, NODE_FEATURES);
  add("input.bias", H);
  for (let l = 0; l < layers; l++) {
    add(`layers.${l}.edge.weight_i`, H, H);
    add(`layers.${l}.edge.weight_j`, H, H);
    add(`layers.${l}.edge.weight_e`, H, EDGE_FEATURES);
    add(`layers.${l}.edge.bias`, H);
    add(`layers.${l}.message.weight`, H, H);
    add(`layers.${l}.message.bias`, H);
    add(`layers.${l}.node.weight`, H, 2 * H);
    add(`layers.${l}.node.bias`, H);
    add(`layers.${l}.update.weight`, H, H);
    add(`layers.${l}.update.bias`, H);
  }
  add("heads.drift.weight", 2, H);
  add("heads.drift.bias", 2);
  if (C > 0) {
    add("heads.channel.weight", C, H);
    add("heads.channel.bias", C);
    add("heads.strength.weight", C, H);
    add("heads.strength.bias", C);
  }
  if (shape.types) add("input.types", typeCount(shape), H);
  return { entries, size };
}

/** T, 0 for particles all alike. */
export function typeCount({ types }: NetworkShape): number {
  return types ? 1 + types.reduce((most, type) => Math.max(most, type), -1) : 0;
}

/** Views of the flat array by name. */
export function egnnTensors(
  layout: EgnnLayout,
  flat: Float64Array,
): Record<string, Float64Array> {
  if (flat.length !== layout.size) {
    throw new RangeError(`network has ${layout.size} parameters, got ${flat.length}`);
  }
  const tensors: Record<string, Float64Array> = {};
  for (const { name, shape, offset } of layout.entries) {
    const length = shape.reduce((product, d) => product * d, 1);
    tensors[name] = flat.subarray(offset, offset + length);
  }
  return tensors;
}

/**
 * Multiplies the tensors of the heads of b, c and s by shape.outputScale, in place: what fast kernels
 * take as parameters, or give as a gradient. The tensors stand in `flat` as in `egnnLayout`.
 */
export function scaleHeads(shape: NetworkShape, flat: Float32Array | Float64Array): void {
  const { outputScale = 1 } = shape;
  if (outputScale === 1) return;
  for (const { name, shape: dimensions, offset } of egnnLayout(shape).entries) {
    if (!/^heads\.(drift|strength)\./.test(name)) continue;
    const length = dimensions.reduce((product, d) => product * d, 1);
    for (let i = offset; i < offset + length; i++) flat[i] *= outputScale;
  }
}

/** Standard deviation of a tensor's initial normals; 0 for tensors that start at zero. */
function initialScale(entry: EgnnEntry): number {
  // Training starts from plain annealed Langevin dynamics: b = c = 0 and A = 0.
  if (entry.name.startsWith("heads.drift.") || entry.name.startsWith("heads.strength.")) return 0;
  if (entry.name.endsWith(".bias")) return 0;
  if (entry.name === "input.types") return 1;
  const fanIn = entry.shape[1];
  // weight_i and weight_j read one concatenated vector of 2H numbers.
  const concatenated = /\.weight_[ij]$/.test(entry.name) ? 2 : 1;
  return 1 / Math.sqrt(concatenated * fanIn);
}

/**
 * Initial parameters: weights normal with variance 1 / fan-in, biases zero; the heads of b, c and s
 * exactly zero. Tensor k of the layout takes the numbers of (seed, Stream.network, k).
 */
export function initialiseEgnn(shape: NetworkShape, seed: number): Float64Array {
  const layout = egnnLayout(shape);
  const flat = new Float64Array(layout.size);
  layout.entries.forEach((entry, k) => {
    const scale = initialScale(entry);
    if (scale === 0) return;
    const stream = new RandomStream(seed, Stream.network, k);
    const length = entry.shape.reduce((product, d) => product * d, 1);
    for (let p = 0; p < length; p++) flat[entry.offset + p] = scale * stream.normal();
  });
  return flat;
}

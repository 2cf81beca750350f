/**
 * Julep's network in whitened internal coordinates of a molecule: a multilayer perceptron from features
 * of z and t to the drifts b and c of every whitened coordinate, in float64, with its gradient by the
 * parameters written out. Features have the period of every dihedral, so the drift has it too: paths
 * may then run on the covering space, and E[e^W] = Z holds without wrapping any coordinate.
 *
 *   y_0 = features, y_l = tanh(W_l y_{l−1} + b_l) for l = 1..L, (b, c) = outputScale (W_{L+1} y_L + b_{L+1})
 */
import { RandomStream, Stream } from "../math/random.ts";

/** One coordinate's part in the features. */
export type FeatureKind =
  /** (z − centre)/scale: bonds and angles. */
  | { readonly kind: "linear"; readonly centre: number; readonly scale: number }
  /** The same by the shorter way round: stiff dihedrals. */
  | { readonly kind: "wrapped"; readonly centre: number; readonly scale: number }
  /** cos kz and sin kz, k = m and 2m: torsions of symmetry m. */
  | { readonly kind: "periodic"; readonly symmetry: number };

/** The shape of the network; plain data. */
export interface WhitenedShape {
  /** One for each coordinate. */
  readonly features: readonly FeatureKind[];
  /** L ≥ 1 layers of H units. */
  readonly layers: number;
  readonly hidden: number;
  readonly outputScale: number;
}

/** t, sin πt, cos πt. */
const TIMES = 3;

/** Numbers that enter the network. */
export function featureCount({ features }: WhitenedShape): number {
  return features.reduce((sum, { kind }) => sum + (kind === "periodic" ? 4 : 1), TIMES);
}

/** Widths of all layers, input and output included; layer l has (w_l + 1)·w_{l+1} parameters. */
function widths(shape: WhitenedShape): number[] {
  const hidden = new Array<number>(shape.layers).fill(shape.hidden);
  return [featureCount(shape), ...hidden, 2 * shape.features.length];
}

/** Length of the flat parameters: of every layer the weights (out, in), then the biases. */
export function whitenedSize(shape: WhitenedShape): number {
  const w = widths(shape);
  return w.slice(1).reduce((sum, out, l) => sum + out * (w[l] + 1), 0);
}

/** Weights normal with variance 1/fan-in, biases zero, the last layer zero: b = c = 0. */
export function initialiseWhitened(shape: WhitenedShape, seed: number): Float64Array {
  const w = widths(shape);
  const flat = new Float64Array(whitenedSize(shape));
  let at = 0;
  for (let l = 0; l < shape.layers; l++) {
    const random = new RandomStream(seed, Stream.network, l);
    const scale = 1 / Math.sqrt(w[l]);
    for (let p = 0; p < w[l] * w[l + 1]; p++) flat[at + p] = scale * random.normal();
    at += (w[l] + 1) * w[l + 1];
  }
  return flat;
}

const TWO_PI = 2 * Math.PI;

/** Evaluates one state at a time and remembers it, so that `backward` can follow. */
export class WhitenedNetwork {
  readonly shape: WhitenedShape;
  readonly #parameters: Float64Array;
  readonly #widths: readonly number[];
  /** Activations of every layer, the features first. */
  readonly #values: readonly Float64Array[];
  readonly #adjoints: readonly Float64Array[];

  /** Throws RangeError where the parameters are not of this shape. */
  constructor(shape: WhitenedShape, parameters: Float64Array) {
    if (parameters.length !== whitenedSize(shape)) {
      throw new RangeError(
        `network has ${whitenedSize(shape)} parameters, got ${parameters.length}`,
      );
    }
    this.shape = shape;
    this.#parameters = parameters;
    this.#widths = widths(shape);
    this.#values = this.#widths.map((width) => new Float64Array(width));
    this.#adjoints = this.#widths.map((width) => new Float64Array(width));
  }

  /** b and c (n each) at z and t. */
  forward(z: Float64Array, t: number, b: Float64Array, c: Float64Array): void {
    const { features, outputScale } = this.shape;
    const input = this.#values[0];
    let at = 0;
    features.forEach((feature, k) => {
      if (feature.kind === "periodic") {
        for (const times of [1, 2]) {
          const angle = times * feature.symmetry * z[k];
          input[at++] = Math.cos(angle);
          input[at++] = Math.sin(angle);
        }
        return;
      }
      let d = z[k] - feature.centre;
      if (feature.kind === "wrapped") d -= TWO_PI * Math.round(d / TWO_PI);
      input[at++] = d / feature.scale;
    });
    input[at++] = t;
    input[at++] = Math.sin(Math.PI * t);
    input[at++] = Math.cos(Math.PI * t);
    let from = 0;
    for (let l = 1; l < this.#widths.length; l++) {
      const [below, out] = [this.#values[l - 1], this.#values[l]];
      const bias = from + below.length * out.length;
      const last = l === this.#widths.length - 1;
      for (let o = 0; o < out.length; o++) {
        let sum = this.#parameters[bias + o];
        const row = from + o * below.length;
        for (let i = 0; i < below.length; i++) sum += this.#parameters[row + i] * below[i];
        out[o] = last ? outputScale * sum : Math.tanh(sum);
      }
      from = bias + out.length;
    }
    const n = features.length;
    const output = this.#values[this.#values.length - 1];
    for (let k = 0; k < n; k++) {
      b[k] = output[k];
      c[k] = output[n + k];
    }
  }

  /** gradient += ∂(⟨byB, b⟩ + ⟨byC, c⟩)/∂parameters at the state of the last `forward`. */
  backward(byB: Float64Array, byC: Float64Array, gradient: Float64Array): void {
    const { features, outputScale } = this.shape;
    const n = features.length;
    const top = this.#adjoints[this.#adjoints.length - 1];
    for (let k = 0; k < n; k++) {
      top[k] = outputScale * byB[k];
      top[n + k] = outputScale * byC[k];
    }
    let end = this.#parameters.length;
    for (let l = this.#widths.length - 1; l >= 1; l--) {
      const [below, d] = [this.#values[l - 1], this.#adjoints[l]];
      const bias = end - d.length;
      const from = bias - below.length * d.length;
      const lower = this.#adjoints[l - 1].fill(0);
      for (let o = 0; o < d.length; o++) {
        const value = d[o];
        gradient[bias + o] += value;
        const row = from + o * below.length;
        for (let i = 0; i < below.length; i++) {
          gradient[row + i] += value * below[i];
          lower[i] += value * this.#parameters[row + i];
        }
      }
      if (l > 1) { for (let i = 0; i < below.length; i++) lower[i] *= 1 - below[i] * below[i]; }
      end = from;
    }
  }
}

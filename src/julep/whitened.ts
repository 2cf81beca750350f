/**
 * Julep's network in whitened internal coordinates of a molecule: a multilayer perceptron from features
 * of z and t to the drifts b and c of every whitened coordinate and to the matrix A = H S Hᵀ, in float64,
 * with its gradient by the parameters written out. Features have the period of every dihedral, so what
 * is learnt has it too: paths may then run on the covering space, and E[e^W] = Z holds without wrapping
 * any coordinate.
 *
 *   y_0 = features, y_l = tanh(W_l y_{l−1} + b_l) for l = 1..L,
 *   (b, c, s, √n H) = (W_{L+1} y_L + b_{L+1}), the first three times outputScale
 *
 * with n coordinates and C channels: H is (n, C), S = diag(s). A acts on the periodic displacement of
 * `displacement` in place of the coordinates themselves, which have no origin on a circle.
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
  /** H. */
  readonly hidden: number;
  /** What b, c and s are multiplied by. */
  readonly outputScale: number;
  /** C, channels of A; absent: 0, no matrix. */
  readonly channels?: number;
}

/** What the network says of one state; the adjoints of that have the same shape. */
export interface WhitenedOutput {
  /** (n). */
  readonly b: Float64Array;
  readonly c: Float64Array;
  /** (C). */
  readonly s: Float64Array;
  /** (n, C). */
  readonly h: Float64Array;
}

export function whitenedOutput({ features, channels = 0 }: WhitenedShape): WhitenedOutput {
  const n = features.length;
  return {
    b: new Float64Array(n),
    c: new Float64Array(n),
    s: new Float64Array(channels),
    h: new Float64Array(n * channels),
  };
}

/**
 * δ(z): how far each coordinate is from its centre, periodic in every dihedral (nm and radians).
 * Torsions of symmetry m that turn have sin(mz)/m.
 */
export function displacement(
  { features }: WhitenedShape,
  z: Float64Array,
  out: Float64Array,
): void {
  features.forEach((feature, k) => {
    out[k] = feature.kind === "periodic"
      ? Math.sin(feature.symmetry * z[k]) / feature.symmetry
      : fromCentre(feature, z[k]);
  });
}

function fromCentre(
  { kind, centre }: Exclude<FeatureKind, { kind: "periodic" }>,
  z: number,
): number {
  const d = z - centre;
  return kind === "wrapped" ? d - TWO_PI * Math.round(d / TWO_PI) : d;
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
  const { features: { length: n }, channels = 0 } = shape;
  return [featureCount(shape), ...hidden, 2 * n + channels * (n + 1)];
}

/** Length of the flat parameters: of every layer the weights (out, in), then the biases. */
export function whitenedSize(shape: WhitenedShape): number {
  const w = widths(shape);
  return w.slice(1).reduce((sum, out, l) => sum + out * (w[l] + 1), 0);
}

/**
 * Weights normal with variance 1/fan-in, biases zero; of the last layer those of b, c and s zero: b = c = 0
 * and A = 0. With s zero as well as H neither would ever have a gradient.
 */
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
  const { features: { length: n }, channels = 0, hidden } = shape;
  const random = new RandomStream(seed, Stream.network, shape.layers);
  const first = 2 * n + channels;
  for (let p = first * hidden; p < (first + n * channels) * hidden; p++) {
    flat[at + p] = random.normal() / Math.sqrt(hidden);
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

  /** Writes b, c, s and H at z and t. */
  forward(z: Float64Array, t: number, { b, c, s, h }: WhitenedOutput): void {
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
      input[at++] = fromCentre(feature, z[k]) / feature.scale;
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
        out[o] = last ? sum : Math.tanh(sum);
      }
      from = bias + out.length;
    }
    const n = features.length;
    const output = this.#values[this.#values.length - 1];
    const first = 2 * n + s.length;
    for (let k = 0; k < n; k++) {
      b[k] = outputScale * output[k];
      c[k] = outputScale * output[n + k];
    }
    for (let k = 0; k < s.length; k++) s[k] = outputScale * output[2 * n + k];
    for (let k = 0; k < h.length; k++) h[k] = output[first + k] / Math.sqrt(n);
  }

  /** gradient += ∂⟨by, output⟩/∂parameters at the state of the last `forward`. */
  backward({ b, c, s, h }: WhitenedOutput, gradient: Float64Array): void {
    const { features, outputScale } = this.shape;
    const n = features.length;
    const top = this.#adjoints[this.#adjoints.length - 1];
    const first = 2 * n + s.length;
    for (let k = 0; k < n; k++) {
      top[k] = outputScale * b[k];
      top[n + k] = outputScale * c[k];
    }
    for (let k = 0; k < s.length; k++) top[2 * n + k] = outputScale * s[k];
    for (let k = 0; k < h.length; k++) top[first + k] = h[k] / Math.sqrt(n);
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

/**
 * The Mint prior's density and its exact sampler, in float64: the reference for every backend.
 *
 * q(x) = (1 − w)·(1/|G|) Σ_g Σ_k π_k q_k(g x) + w·q_broad(x), π = softmax(logits).
 */
import { InputError } from "../errors.ts";
import { RandomStream, Stream } from "../math/random.ts";
import { logSumExp } from "../math/special.ts";
import { addBroadGradient, drawBroad, logBroadDensity } from "./broad.ts";
import { componentSize, familyOf } from "./families.ts";
import type { ComponentDensity } from "./family.ts";
import { enumerateLabellings, identityLabelling, type Labellings } from "./labellings.ts";
import type { MintModel } from "./model.ts";
import { PairGeometry } from "./pair_geometry.ts";
import { permutationTreatment } from "./permutations.ts";
import { drawOrthogonal } from "./von_mises_fisher.ts";

/** Terms this far (in log) below the largest do not change a float64 sum and are not computed. */
const NEGLIGIBLE = 40;
/** Terms of a smaller share of the density are left out of gradients. */
const SMALLEST_SHARE = 1e-9;

/** The labellings a model's mixture is averaged over; the identity where none need be. */
export function mintLabellings(model: MintModel): Labellings {
  return permutationTreatment(model) === "enumerated"
    ? enumerateLabellings(model.particles, model.identicalParticles, model.anchor)
    : identityLabelling(model.particles, model.anchor);
}

/** A model made ready for evaluation and drawing. Not safe to share between concurrent callers. */
export class MintDensity {
  readonly model: MintModel;
  readonly #labellings: Labellings;
  readonly #components: ComponentDensity[] = [];
  /** log[(1 − w) π_k / |G|]. */
  readonly #logWeights: Float64Array;
  readonly #shares: Float64Array;
  readonly #pairs: PairGeometry;
  /** K·|G| terms and the broad one. */
  readonly #terms: Float64Array;
  readonly #byLogRadius: Float64Array;
  readonly #byDirection: Float64Array;
  /** Takes derivatives by positions where only those by parameters are wanted. */
  readonly #unused: Float64Array;
  readonly #componentSize: number;

  /** @throws InputError where parameters and shape disagree, or there are too many labellings */
  constructor(model: MintModel) {
    const { particles, dimension, components, broadWeight } = model;
    if (!(broadWeight >= 0 && broadWeight <= 1)) {
      throw new InputError(`mint.broad.weight must be from 0 to 1, got ${broadWeight}`);
    }
    if (!(model.broadScale > 0)) {
      throw new InputError(`mint.broad.scale must be positive, got ${model.broadScale}`);
    }
    if (components === 0 && broadWeight !== 1) {
      throw new InputError(
        `mint.broad.weight must be 1 where mint.components is 0, got ${broadWeight}`,
      );
    }
    const size = componentSize(model);
    if (model.parameters.length !== components * size) {
      throw new InputError(
        `Mint model: ${model.parameters.length} parameters, ${components} components of ${size} expected`,
      );
    }
    this.model = model;
    this.#labellings = mintLabellings(model);
    this.#componentSize = size;
    const family = familyOf(model);
    const logits = new Float64Array(components);
    for (let k = 0; k < components; k++) {
      const slice = model.parameters.subarray(k * size, (k + 1) * size);
      logits[k] = slice[0];
      this.#components.push(family.component(slice.subarray(1), model, k));
    }
    const normaliser = logSumExp(logits);
    this.#shares = logits.map((logit) => Math.exp(logit - normaliser));
    const common = Math.log1p(-broadWeight) - Math.log(this.#labellings.count) - normaliser;
    this.#logWeights = logits.map((logit) => logit + common);
    this.#pairs = new PairGeometry(particles, dimension);
    this.#terms = new Float64Array(components * this.#labellings.count + 1);
    this.#byLogRadius = new Float64Array(particles * particles);
    this.#byDirection = new Float64Array(particles * particles * dimension);
    this.#unused = new Float64Array(particles * dimension);
  }

  /**
   * log q of the N·n numbers at `offset`, any translation. NaN for positions that are not finite.
   */
  logDensity(positions: Float64Array, offset = 0): number {
    const { model } = this;
    const { particles, dimension } = model;
    const count = this.#labellings.count;
    const terms = this.#terms;
    this.#pairs.set(positions, offset);
    // The broad term stands last. It is evaluated for weight 0 too, to let NaN through.
    const broad = Math.log(model.broadWeight) +
      logBroadDensity(positions, offset, particles, dimension, model.broadScale);
    let largest = terms[terms.length - 1] = broad;
    for (let k = 0; k < model.components; k++) {
      const weight = this.#logWeights[k];
      const floor = largest - NEGLIGIBLE - weight;
      this.#components[k].logDensities(this.#pairs, this.#labellings, floor, terms, k * count);
      for (let i = k * count; i < (k + 1) * count; i++) {
        terms[i] += weight;
        if (terms[i] > largest) largest = terms[i];
      }
    }
    return logSumExp(terms);
  }

  /** log q, and ∂log q/∂x written to the N·n numbers of `gradient` at `gradientOffset`. */
  logDensityAndGradient(
    positions: Float64Array,
    gradient: Float64Array,
    offset = 0,
    gradientOffset = 0,
  ): number {
    const { particles, dimension, broadScale } = this.model;
    const logDensity = this.logDensity(positions, offset);
    const end = gradientOffset + particles * dimension;
    if (Number.isNaN(logDensity)) {
      gradient.fill(NaN, gradientOffset, end);
      return logDensity;
    }
    gradient.fill(0, gradientOffset, end);
    const byPosition = gradient.subarray(gradientOffset, end);
    this.#byLogRadius.fill(0);
    this.#byDirection.fill(0);
    this.#visitTerms(logDensity, (k, g, share) => {
      this.#components[k].addGradient(this.#pairs, this.#labellings, g, share, {
        byLogRadius: this.#byLogRadius,
        byDirection: this.#byDirection,
        byPosition,
        byParameters: null,
      });
    });
    this.#pairs.pullBack(this.#byLogRadius, this.#byDirection, gradient, gradientOffset);
    addBroadGradient(
      positions,
      offset,
      particles,
      dimension,
      broadScale,
      Math.exp(this.#terms[this.#terms.length - 1] - logDensity),
      gradient,
      gradientOffset,
    );
    return logDensity;
  }

  /** log q; adds weight · ∂log q/∂parameters to `out`, in MintModel's layout. */
  addParameterGradient(
    positions: Float64Array,
    weight: number,
    out: Float64Array,
    offset = 0,
  ): number {
    const size = this.#componentSize;
    const logDensity = this.logDensity(positions, offset);
    if (!Number.isFinite(logDensity) || weight === 0) return logDensity;
    let all = 0;
    this.#visitTerms(logDensity, (k, g, share) => {
      all += share;
      out[k * size] += weight * share;
      this.#components[k].addGradient(this.#pairs, this.#labellings, g, weight * share, {
        byLogRadius: this.#byLogRadius,
        byDirection: this.#byDirection,
        byPosition: this.#unused,
        byParameters: out.subarray(k * size + 1, (k + 1) * size),
      });
    });
    for (let k = 0; k < this.model.components; k++) out[k * size] -= weight * all * this.#shares[k];
    return logDensity;
  }

  /** Every component's term that matters, with its share of the density. */
  #visitTerms(logDensity: number, visit: (k: number, g: number, share: number) => void): void {
    const count = this.#labellings.count;
    for (let k = 0; k < this.model.components; k++) {
      for (let g = 0; g < count; g++) {
        const share = Math.exp(this.#terms[k * count + g] - logDensity);
        if (share >= SMALLEST_SHARE) visit(k, g, share);
      }
    }
  }

  /**
   * One exact draw to the N·n numbers of `out` at `offset`: a component or the broad part, a
   * uniform labelling, a Haar-random orientation; particle 0 is put at the origin.
   */
  draw(random: RandomStream, out: Float64Array, offset = 0): void {
    const { particles, dimension: n, broadWeight, broadScale, components } = this.model;
    const raw = new Float64Array(particles * n);
    if (components === 0 || random.uniform() < broadWeight) {
      drawBroad(random, broadScale, raw);
    } else {
      const local = new Float64Array((particles - 1) * n);
      this.#components[pick(this.#shares, random.uniform())].draw(random, local);
      const row = random.integer(this.#labellings.count) * particles;
      for (let j = 1; j < particles; j++) {
        const particle = this.#labellings.particles[row + j];
        for (let d = 0; d < n; d++) raw[particle * n + d] = local[(j - 1) * n + d];
      }
    }
    const orientation = new Float64Array(n * n);
    drawOrthogonal(random, n, orientation);
    for (let i = 0; i < particles; i++) {
      for (let d = 0; d < n; d++) {
        let sum = 0;
        for (let e = 0; e < n; e++) sum += orientation[d * n + e] * (raw[i * n + e] - raw[e]);
        out[offset + i * n + d] = sum;
      }
    }
  }
}

/** The index drawn by the uniform number u. */
function pick(shares: Float64Array, u: number): number {
  let sum = 0;
  for (let k = 0; k < shares.length; k++) {
    sum += shares[k];
    if (u < sum) return k;
  }
  return shares.length - 1;
}

/**
 * Draws number first, first + 1, ... of a model: (count, N, n), particle 0 at the origin, rounded
 * to float32 values. Draw s is a function of (seed, stream, s) alone.
 */
export function drawMint(
  density: MintDensity,
  seed: number,
  first: number,
  count: number,
  stream: Stream = Stream.prior,
): Float64Array {
  const size = density.model.particles * density.model.dimension;
  const positions = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    density.draw(new RandomStream(seed, stream, first + s), positions, s * size);
  }
  for (let i = 0; i < positions.length; i++) positions[i] = Math.fround(positions[i]);
  return positions;
}

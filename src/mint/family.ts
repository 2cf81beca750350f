/**
 * What a density family gives the mixture. A family is a set of orthogonally invariant densities of
 * anchored configurations; the mixture asks each component for its density under every labelling
 * at once, so that a family can share work between labellings.
 */
import type { MintConfig } from "../config/config.ts";
import type { RandomStream } from "../math/random.ts";
import type { Labellings } from "./labellings.ts";
import type { MintModel, MintShape } from "./model.ts";
import type { PairGeometry } from "./pair_geometry.ts";

/**
 * How a density deals with identical particles. "enumerated": it is labelled, and averaged over all
 * labellings; "invariant": no relabelling changes it; "none": it is labelled and covers only the
 * labelling it was made for.
 */
export type PermutationTreatment = "enumerated" | "invariant" | "none";

/** Where a component starts: a configuration by place, the anchor first and at the origin, and a width (length). */
export interface ComponentStart {
  /** (N, n). */
  readonly positions: Float64Array;
  readonly width: number;
  /** Covariance of places 1 to N − 1 relative to the anchor, (M, M), of each axis; in place of `width`. */
  readonly covariance?: Float64Array;
}

export interface DensityFamily {
  readonly name: MintConfig["family"];
  /** Can identical particles be left to the density, or must labellings be enumerated? */
  permutations(shape: MintShape): "invariant" | "enumerated";
  /** Numbers of one component's parameters, the logit not counted. */
  parameterCount(shape: MintShape): number;
  /** Do components start with (N − 1)·n numbers that are a configuration's directions or positions? */
  hasMeans(shape: MintShape): boolean;
  /** Component k ready to be evaluated. `parameters` is its slice without the logit. */
  component(parameters: Float64Array, model: MintModel, k: number): ComponentDensity;
  /** Writes the parameters (without the logit) of a component to start from. */
  place(parameters: Float64Array, start: ComponentStart, shape: MintShape): void;
}

/** Where derivatives of a component are added. */
export interface ComponentGradients {
  /** ∂/∂log |x_b − x_a|, (N, N). */
  readonly byLogRadius: Float64Array;
  /** ∂/∂direction of x_b − x_a, (N, N, n), tangential part only needed. */
  readonly byDirection: Float64Array;
  /** ∂/∂x, (N, n); used beside or instead of the two above. */
  readonly byPosition: Float64Array;
  /** ∂/∂parameters of the component without the logit; null: not wanted. */
  readonly byParameters: Float64Array | null;
}

export interface ComponentDensity {
  /**
   * log density of every labelling g in the anchored measure ∏_{i≥1} d(x_i − x_0), to
   * out[first + g].
   *
   * @param floor labellings whose log density is certainly below it may be written as −∞
   */
  logDensities(
    pairs: PairGeometry,
    labellings: Labellings,
    floor: number,
    out: Float64Array,
    first: number,
  ): void;

  /** Adds weight · ∂(log density of labelling g)/∂(·) to `gradients`. */
  addGradient(
    pairs: PairGeometry,
    labellings: Labellings,
    g: number,
    weight: number,
    gradients: ComponentGradients,
  ): void;

  /** One draw in one orientation: places 1 to N − 1 relative to the anchor, M·n numbers. */
  draw(random: RandomStream, out: Float64Array): void;
}

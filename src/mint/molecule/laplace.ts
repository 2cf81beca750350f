/** Laplace's mixture: one normal density per minimum with the inverse Hessian as its covariance. */
import { logSumExp } from "../../math/special.ts";
import type { RandomStream } from "../../math/random.ts";
import { wrap, type ZMatrix } from "../../systems/molecule/zmatrix.ts";
import {
  addCovariance,
  drawGaussian,
  flooredInverse,
  type Gaussian,
  gaussian,
  type InternalDensity,
  relabelAtRandom,
} from "./gaussian.ts";
import { type DensityPart, type ImageComponent, ImageSum } from "./image_sum.ts";
import type { InternalEnergy } from "./internal_energy.ts";
import type { Minimum } from "./minima.ts";

/** Eigenvalues of a scaled Hessian below this are taken as this. */
const FLOOR = 0.02;

/** A mixture as plain data. */
export interface LaplaceModel {
  readonly kind: "laplace";
  /** (K, n). */
  readonly means: Float64Array;
  /** (K, n, n). */
  readonly covariances: Float64Array;
  /** (K), normalised. */
  readonly logWeights: Float64Array;
  /** Standard deviations are multiplied by it. */
  readonly widening: number;
  /** Variants of every component; absent: one, `widening` wide. */
  readonly parts?: readonly DensityPart[];
}

/** The variants of a mixture's components. */
export function laplaceParts(
  { widening, parts }: Pick<LaplaceModel, "widening" | "parts">,
): readonly DensityPart[] {
  return parts ?? [{ weight: 1, widening }];
}

/** Components of least weight are left out that together weigh no more than this. */
const LEFT_OUT = 1e-4;

/** Numbers of the components to keep, in their order. */
function weighty(logWeights: readonly number[]): number[] {
  const total = logSumExp(logWeights);
  const rising = [...logWeights.keys()].sort((p, q) => logWeights[p] - logWeights[q]);
  let left = LEFT_OUT;
  const kept = rising.filter((k) => (left -= Math.exp(logWeights[k] - total)) < 0);
  return kept.sort((p, q) => p - q);
}

/** Weights e^{−V} √det H⁻¹, covariances H⁻¹, of all minima but those of next to no weight. */
export function laplaceModel(
  energy: InternalEnergy,
  minima: readonly Minimum[],
  widening = 1,
  parts?: readonly DensityPart[],
): LaplaceModel {
  const n = energy.coordinates.size;
  const all = minima.map(({ z }) => flooredInverse(energy.hessian(z), energy.scales, FLOOR));
  const weights = minima.map(({ value }, k) => -gaussian(all[k], n).logNorm - value);
  const kept = weighty(weights);
  const covariances = kept.map((k) => all[k]);
  const raw = kept.map((k) => weights[k]);
  const total = logSumExp(raw);
  return {
    kind: "laplace",
    means: Float64Array.from(kept.flatMap((k) => [...minima[k].z])),
    covariances: Float64Array.from(covariances.flatMap((c) => [...c])),
    logWeights: Float64Array.from(raw, (w) => w - total),
    widening,
    ...(parts ? { parts } : {}),
  };
}

/** Spread of each coordinate's mean over components, relative to the widths within them. */
export function tellingApart(
  { means, covariances }: Pick<LaplaceModel, "means" | "covariances">,
): Float64Array {
  const n = covariances.length / means.length;
  const K = means.length / n;
  return Float64Array.from({ length: n }, (_, k) => {
    let mean = 0, square = 0, within = 0;
    for (let c = 0; c < K; c++) {
      mean += means[c * n + k] / K;
      within += covariances[c * n * n + k * n + k] / K;
    }
    for (let c = 0; c < K; c++) square += (means[c * n + k] - mean) ** 2 / K;
    return square / within;
  });
}

/** Places of the torsions that turn whole branches, rotors' left out. */
export function properTorsions(coordinates: ZMatrix): number[] {
  return coordinates.rows.flatMap(({ kind }, row) =>
    kind === "proper" && !coordinates.rotors.some(({ rows }) => rows[0] === row)
      ? [coordinates.dihedralAt(row)]
      : []
  );
}

/** The part that a uniform number falls to. */
function partAt(parts: readonly DensityPart[], level: number): DensityPart {
  return parts.find(({ weight }) => (level -= weight) <= 0) ?? parts[0];
}

/** d + (f − 1) d_b Σ e_b/Σ_bb: f times as far along coordinate b and its response. */
function stretch({ lower }: Gaussian, b: number, factor: number, d: Float64Array): void {
  const n = d.length;
  const covariance = (i: number) => {
    let sum = 0;
    for (let k = 0; k <= Math.min(i, b); k++) sum += lower[i * n + k] * lower[b * n + k];
    return sum;
  };
  const scale = (factor - 1) * d[b] / covariance(b);
  for (let i = 0; i < n; i++) d[i] += scale * covariance(i);
}

export class LaplaceMixture implements InternalDensity {
  readonly #coordinates: ZMatrix;
  readonly #sum: ImageSum;
  readonly #parts: readonly DensityPart[];
  readonly #components: {
    mean: Float64Array;
    normal: Gaussian;
    component: ImageComponent;
    logWeight: number;
  }[];

  /** Rotors' images are summed exactly: q(z) is the mean of the mixture over all relabellings. */
  constructor(coordinates: ZMatrix, model: LaplaceModel) {
    const { means, covariances, logWeights } = model;
    this.#coordinates = coordinates;
    this.#parts = laplaceParts(model);
    const n = coordinates.size;
    this.#sum = new ImageSum(
      coordinates,
      Array.from({ length: n }, (_, k) => k),
      properTorsions(coordinates),
      this.#parts,
      tellingApart({ means, covariances }),
    );
    this.#components = Array.from(logWeights, (logWeight, k) => ({
      mean: means.subarray(k * n, (k + 1) * n),
      normal: gaussian(covariances.subarray(k * n * n, (k + 1) * n * n), n),
      component: this.#sum.component(covariances.subarray(k * n * n, (k + 1) * n * n)),
      logWeight,
    }));
  }

  draw(random: RandomStream): Float64Array | null {
    let level = random.uniform();
    const chosen = this.#components.find(({ logWeight }) => (level -= Math.exp(logWeight)) <= 0) ??
      this.#components[this.#components.length - 1];
    const z = new Float64Array(chosen.mean.length);
    const part = partAt(this.#parts, random.uniform());
    drawGaussian(chosen.normal, random, z);
    if (part.stretched) {
      const at = this.#coordinates.dihedralAt(part.stretched.row);
      stretch(chosen.normal, at, part.stretched.factor, z);
    }
    for (let k = 0; k < z.length; k++) z[k] *= part.widening;
    const first = 2 * this.#coordinates.atoms - 3;
    if (z.subarray(first).some((d) => Math.abs(d) > Math.PI)) return null;
    for (let k = 0; k < z.length; k++) z[k] += chosen.mean[k];
    relabelAtRandom(this.#coordinates, z, random);
    return this.#coordinates.inDomain(z) ? z : null;
  }

  logDensity(z: Float64Array): number {
    const first = 2 * this.#coordinates.atoms - 3;
    const candidates = this.#components.map(({ mean, component, logWeight }) => ({
      component,
      logWeight,
      displace: (z: Float64Array, k: number) => {
        const d = z[k] - mean[k];
        return k < first ? d : wrap(d);
      },
    }));
    return this.#sum.logDensity(z, candidates);
  }

  localCovariance(): Float64Array {
    const n = this.#coordinates.size;
    const sum = new Float64Array(n * n);
    const all = Array.from({ length: n }, (_, k) => k);
    for (const { normal, logWeight } of this.#components) {
      addCovariance(normal, Math.exp(logWeight), all, sum, n);
    }
    return sum;
  }
}

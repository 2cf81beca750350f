/**
 * Mixtures of normal densities, summed over all relabellings of rotors. An image of z differs from it in
 * its rotors' own coordinates alone. Coordinates are taken in an order of their own, soft torsions and
 * rotors' torsions first: with Σ = L Lᵀ in that order the first rows of L⁻¹d give the square of those
 * coordinates' own distribution, a lower bound of the whole, and relabellings and components that can
 * add nothing (less than e^−32 of the largest term) are left out before the others are worked out.
 */
import { cholesky, invertLower } from "../../math/linear.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";

/** A variant of every component's normal density. */
export interface DensityPart {
  readonly weight: number;
  /** Standard deviations times this. */
  readonly widening: number;
  /** Row of a torsion along whose response the density is stretched, and how far. */
  readonly stretched?: { readonly row: number; readonly factor: number };
}

/** A normal density in the sum's own order of coordinates. */
export interface ImageComponent {
  /** L⁻¹, (m, m). */
  readonly inverse: Float64Array;
  /** −log det L − ½ m log 2π − log(number of images). */
  readonly logNorm: number;
  /** Variance of each part's stretched coordinate. */
  readonly variances: readonly number[];
}

export interface Candidate {
  readonly component: ImageComponent;
  readonly logWeight: number;
  /** Displacement from the component's mean at the model's coordinate i, of z or of an image of it. */
  readonly displace: (z: Float64Array, i: number) => number;
}

/** Terms smaller than the largest by this many e-folds are below float64's rounding. */
const NEGLIGIBLE = 32;

interface Part {
  readonly logWeight: number;
  readonly inverse: number;
  /** Place of the stretched coordinate in the sum's order, −1 for none. */
  readonly along: number;
  /** 1 − 1/factor². */
  readonly shrink: number;
}

/** Numbers of the rotors, those that some part stretches first: they bound its terms. */
export function rotorOrder({ rotors }: ZMatrix, parts: readonly DensityPart[]): number[] {
  const stretched = (r: number) =>
    parts.some((part) => part.stretched && part.stretched.row === rotors[r].rows[0]) ? 0 : 1;
  return [...rotors.keys()].sort((p, q) => stretched(p) - stretched(q) || p - q);
}

export class ImageSum {
  /** The model's coordinates in the sum's order: `soft`, one of each rotor, the rest. */
  readonly order: readonly number[];
  readonly #coordinates: ZMatrix;
  /** Numbers of the rotors in the sum's order. */
  readonly #rotors: readonly number[];
  readonly #soft: number;
  readonly #parts: readonly Part[];
  readonly #images: number;
  /** Of each rotor, its coordinates in the sum's order. */
  readonly #blocks: readonly (readonly number[])[];
  readonly #rest: readonly number[];
  /** z with one rotor relabelled; displacements of its coordinates. */
  readonly #moved: Float64Array[][];
  readonly #own: Float64Array[][];
  readonly #nearest: Int32Array[];
  readonly #d: Float64Array;
  #top = -Infinity;
  #total = 0;

  /**
   * @param places place in z of each of the model's m coordinates
   * @param soft places of torsions that tell components apart
   * @param telling how well each of the model's coordinates tells components apart: the best come early
   */
  constructor(
    coordinates: ZMatrix,
    places: readonly number[],
    soft: readonly number[],
    parts: readonly DensityPart[],
    telling?: Float64Array,
  ) {
    const rotors = this.#rotors = rotorOrder(coordinates, parts);
    const m = places.length;
    this.#coordinates = coordinates;
    this.#soft = soft.length;
    const lead = [
      ...soft,
      ...rotors.map((r) => coordinates.dihedralAt(coordinates.rotors[r].rows[0])),
    ]
      .map((place) => places.indexOf(place));
    const leads = new Set(lead);
    const rest = [...places.keys().filter((i) => !leads.has(i))];
    if (telling) rest.sort((p, q) => telling[q] - telling[p]);
    this.order = [...lead, ...rest];
    const ofPlace = new Map(this.order.map((i, at) => [places[i], at]));
    this.#parts = parts.map(({ weight, widening, stretched }) => ({
      logWeight: Math.log(weight / (stretched?.factor ?? 1)) - m * Math.log(widening),
      inverse: 1 / widening ** 2,
      along: stretched ? ofPlace.get(coordinates.dihedralAt(stretched.row))! : -1,
      shrink: stretched ? 1 - 1 / stretched.factor ** 2 : 0,
    }));
    const ends = rotors.map((r) => coordinates.rotors[r].rows);
    this.#images = ends.reduce((product, rows) => product * rows.length, 1);
    this.#blocks = ends.map((rows) =>
      rows.flatMap((row) => [
        coordinates.dihedralAt(row),
        coordinates.bondAt(row),
        coordinates.angleAt(row),
      ]).map((place) => ofPlace.get(place)!)
    );
    const inBlocks = new Set(this.#blocks.flat());
    this.#rest = this.order.map((_, at) => at).filter((at) =>
      at >= this.#soft && !inBlocks.has(at)
    );
    this.#moved = ends.map((rows) => rows.map(() => new Float64Array(coordinates.size)));
    this.#own = ends.map((rows, r) => rows.map(() => new Float64Array(this.#blocks[r].length)));
    this.#nearest = ends.map((rows) => new Int32Array(rows.length));
    this.#d = new Float64Array(m);
  }

  /** A normal density of the model's coordinates with this covariance (m·m). */
  component(covariance: Float64Array): ImageComponent {
    const { order } = this;
    const m = order.length;
    const sorted = new Float64Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < m; j++) sorted[i * m + j] = covariance[order[i] * m + order[j]];
    }
    const lower = cholesky(sorted, m);
    let logNorm = -0.5 * m * Math.log(2 * Math.PI) - Math.log(this.#images);
    for (let i = 0; i < m; i++) logNorm -= Math.log(lower[i * m + i]);
    const variances = this.#parts.map(({ along }) => along < 0 ? 1 : sorted[along * m + along]);
    return { inverse: invertLower(lower, m), logNorm, variances };
  }

  /** log Σ_c w_c mean_images Σ_p weight_p N_cp. */
  logDensity(z: Float64Array, candidates: readonly Candidate[]): number {
    this.#top = -Infinity;
    this.#total = 0;
    this.#moved.forEach((copies, r) =>
      copies.forEach((copy, steps) => {
        copy.set(z);
        if (steps > 0) this.#coordinates.relabel(copy, this.#rotors[r], steps);
      })
    );
    // The likeliest first, so that the others are soon known to be negligible.
    const ranked = candidates.map((candidate) => {
      const square = this.#lead(z, candidate);
      const { logWeight, component } = candidate;
      return { candidate, square, rank: logWeight + component.logNorm - 0.5 * square };
    });
    if (this.#soft > 0) ranked.sort((p, q) => q.rank - p.rank);
    for (const { candidate, square } of ranked) this.#addComponent(z, candidate, square);
    return this.#top + Math.log(this.#total);
  }

  /** Displacements of the soft torsions, and the square of theirs. */
  #lead(z: Float64Array, { component, displace }: Candidate): number {
    let square = 0;
    for (let i = 0; i < this.#soft; i++) {
      this.#d[i] = displace(z, this.order[i]);
      square += this.#row(component, i) ** 2;
    }
    return square;
  }

  #row({ inverse }: ImageComponent, i: number): number {
    const d = this.#d;
    const at = i * d.length;
    let sum = 0;
    for (let k = 0; k <= i; k++) sum += inverse[at + k] * d[k];
    return sum;
  }

  #addComponent(z: Float64Array, candidate: Candidate, square: number): void {
    const { displace } = candidate;
    if (!this.#matters(candidate, square, this.#soft)) return;
    this.#lead(z, candidate);
    for (const at of this.#rest) this.#d[at] = displace(z, this.order[at]);
    this.#blocks.forEach((block, r) => {
      const own = this.#own[r];
      own.forEach((d, steps) =>
        block.forEach((at, b) => d[b] = displace(this.#moved[r][steps], this.order[at]))
      );
      this.#nearest[r].forEach((_, steps) => this.#nearest[r][steps] = steps);
      this.#nearest[r].sort((p, q) => Math.abs(own[p][0]) - Math.abs(own[q][0]));
    });
    this.#descend(candidate, 0, square);
  }

  /** All images whose rotors before r are chosen. */
  #descend(candidate: Candidate, r: number, square: number): void {
    const { component } = candidate;
    if (r === this.#blocks.length) {
      for (let i = this.#soft + r; i < this.#d.length; i++) {
        square += this.#row(component, i) ** 2;
        if (i % 8 === 0 && !this.#matters(candidate, square, i + 1)) return;
      }
      this.#addTerms(candidate, square);
      return;
    }
    const block = this.#blocks[r], at = this.#soft + r;
    for (const steps of this.#nearest[r]) {
      const own = this.#own[r][steps];
      for (let b = 0; b < block.length; b++) this.#d[block[b]] = own[b];
      const next = square + this.#row(component, at) ** 2;
      if (this.#matters(candidate, next, at + 1)) this.#descend(candidate, r + 1, next);
    }
  }

  /**
   * A density stretched by f along coordinate b and its response has for its square
   * |L⁻¹d|² − (1 − 1/f²) d_b²/Σ_bb.
   */
  #term({ component, logWeight }: Candidate, p: number, square: number, known: number): number {
    const part = this.#parts[p];
    let own = square;
    // Along what is not known yet: no less than by the factor.
    if (part.along >= known) own *= 1 - part.shrink;
    else if (part.along >= 0) {
      own -= part.shrink * this.#d[part.along] ** 2 / component.variances[p];
    }
    return logWeight + component.logNorm + part.logWeight - 0.5 * part.inverse * own;
  }

  /** Whether any part can still count, at the square of the first `known` coordinates. */
  #matters(candidate: Candidate, square: number, known: number): boolean {
    return this.#parts.some((_, p) =>
      this.#term(candidate, p, square, known) > this.#top - NEGLIGIBLE
    );
  }

  #addTerms(candidate: Candidate, square: number): void {
    for (let p = 0; p < this.#parts.length; p++) {
      const term = this.#term(candidate, p, square, this.#d.length);
      if (!(term > -Infinity)) continue;
      if (term > this.#top) {
        this.#total = this.#total * Math.exp(this.#top - term) + 1;
        this.#top = term;
      } else this.#total += Math.exp(term - this.#top);
    }
  }
}

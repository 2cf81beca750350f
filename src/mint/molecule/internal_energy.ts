/** What is sampled in internal coordinates: p(z) ∝ exp(−V(z)), V = U(x(z)) − Σ 2 log r − Σ log sin θ. */
import type { Molecule } from "../../systems/molecule/molecule.ts";
import type { ZMatrix } from "../../systems/molecule/zmatrix.ts";

/** Steps in z that change V by about as much, whatever the coordinate: nm or radians. */
const SCALES = { bond: 0.003, angle: 0.06, sibling: 0.12, proper: 0.3 };

export class InternalEnergy {
  readonly molecule: Molecule;
  readonly coordinates: ZMatrix;
  /** Typical steps, one for each coordinate; what searches are preconditioned by. */
  readonly scales: Float64Array;
  /** Energies (with or without gradient) evaluated so far. */
  evaluations = 0;
  readonly #x: Float64Array;
  readonly #byX: Float64Array;

  constructor(molecule: Molecule, coordinates: ZMatrix) {
    this.molecule = molecule;
    this.coordinates = coordinates;
    this.#x = new Float64Array(3 * coordinates.atoms);
    this.#byX = new Float64Array(3 * coordinates.atoms);
    this.scales = new Float64Array(coordinates.size);
    coordinates.rows.forEach((row, k) => {
      this.scales[coordinates.bondAt(k)] = SCALES.bond;
      if (k > 0) this.scales[coordinates.angleAt(k)] = SCALES.angle;
      if (k > 1) {
        this.scales[coordinates.dihedralAt(k)] = row.kind === "proper"
          ? SCALES.proper
          : SCALES.sibling;
      }
    });
  }

  /** V(z), +∞ outside the domain; ∂V/∂z overwrites `gradient` where given. */
  value(z: Float64Array, gradient?: Float64Array): number {
    const { coordinates, molecule } = this;
    this.evaluations++;
    if (!coordinates.inDomain(z)) {
      gradient?.fill(0);
      return Infinity;
    }
    coordinates.toCartesian(z, this.#x);
    if (!gradient) return molecule.energy(this.#x) - coordinates.logJacobian(z);
    const energy = molecule.energyAndGradient(this.#x, this.#byX);
    coordinates.chain(this.#x, this.#byX, gradient);
    return energy - coordinates.logJacobian(z, gradient, -1);
  }

  /** ∂²V/∂z², symmetric n·n, by central differences of the gradient. */
  hessian(z: Float64Array): Float64Array {
    const n = z.length;
    const hessian = new Float64Array(n * n);
    const moved = z.slice();
    const [above, below] = [new Float64Array(n), new Float64Array(n)];
    for (let k = 0; k < n; k++) {
      const h = 0.01 * this.scales[k];
      moved[k] = z[k] + h;
      this.value(moved, above);
      moved[k] = z[k] - h;
      this.value(moved, below);
      moved[k] = z[k];
      for (let l = 0; l < n; l++) hessian[k * n + l] = (above[l] - below[l]) / (2 * h);
    }
    for (let k = 0; k < n; k++) {
      for (let l = 0; l < k; l++) {
        const mean = 0.5 * (hessian[k * n + l] + hessian[l * n + k]);
        hessian[k * n + l] = hessian[l * n + k] = mean;
      }
    }
    return hessian;
  }
}

/** A molecule's prior and path, ready to draw from: what a run in internal coordinates is. */
import { internalDensity, type InternalPrior } from "../mint/molecule/model.ts";
import type { InternalDensity } from "../mint/molecule/gaussian.ts";
import { InternalEnergy } from "../mint/molecule/internal_energy.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";
import { InternalPath } from "./internal_path.ts";

/** Plain data: crosses to workers and is stored with a run. */
export interface InternalModel {
  /** The geometry that internal coordinates are built from, (N, 3) in nm. */
  readonly reference: Float64Array;
  readonly prior: InternalPrior;
  readonly levels: number;
  readonly leapfrogs: number;
  readonly stepSize: number;
}

/** log 8π²: rotations, which internal coordinates leave out. */
export const LOG_ROTATIONS = Math.log(8 * Math.PI ** 2);

export class InternalSampler {
  readonly energy: InternalEnergy;
  readonly prior: InternalDensity;
  readonly path: InternalPath;
  /** The reference geometry and its U. */
  readonly reference: { readonly z: Float64Array; readonly energy: number };

  constructor(molecule: Molecule, model: InternalModel) {
    const coordinates = new ZMatrix(molecule.forces.forceField, model.reference);
    this.energy = new InternalEnergy(molecule, coordinates);
    this.prior = internalDensity(this.energy, model.prior);
    this.path = new InternalPath(this.energy, this.prior, model);
    const z = this.coordinatesOf(model.reference);
    this.reference = { z, energy: molecule.energy(model.reference.slice()) };
  }

  /** z of positions (N, 3). */
  coordinatesOf(positions: Float64Array): Float64Array {
    const z = new Float64Array(this.energy.coordinates.size);
    this.energy.coordinates.fromCartesian(positions, z);
    return z;
  }
}

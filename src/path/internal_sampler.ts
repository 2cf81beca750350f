/** A molecule's prior and path, ready to draw from: what a run in internal coordinates is. */
import { internalDensity, type InternalPrior } from "../mint/molecule/model.ts";
import type { InternalDensity } from "../mint/molecule/gaussian.ts";
import { InternalEnergy } from "../mint/molecule/internal_energy.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";

/** Plain data: crosses to workers and is stored with a run. */
export interface InternalModel {
  /** The geometry that internal coordinates are built from, (N, 3) in nm. */
  readonly reference: Float64Array;
  readonly prior: InternalPrior;
  /** K ≥ 0; 0 is the prior alone. */
  readonly levels: number;
  /** t of the levels, rising to 1 (K); absent, or of another number: equally spaced. */
  readonly times?: Float64Array;
  /** Leapfrogs of a transition, ≥ 1; 1 is MALA. Each takes one gradient. */
  readonly leapfrogs: number;
  /** Time step in whitened coordinates; every transition varies it by ± 20 %. */
  readonly stepSize: number;
}

/** t of every level, rising to 1. */
export function levelTimes({ levels, times }: Pick<InternalModel, "levels" | "times">) {
  if (times?.length === levels) return times;
  return Float64Array.from({ length: levels }, (_, k) => (k + 1) / levels);
}

/** log 8π²: rotations, which internal coordinates leave out. */
export const LOG_ROTATIONS = Math.log(8 * Math.PI ** 2);

export class InternalSampler {
  readonly model: InternalModel;
  readonly energy: InternalEnergy;
  readonly prior: InternalDensity;
  /** The reference geometry and its U. */
  readonly reference: { readonly z: Float64Array; readonly energy: number };

  /** @param like a sampler whose energy and prior are taken over where they are the same */
  constructor(molecule: Molecule, model: InternalModel, like?: InternalSampler | null) {
    this.model = model;
    if (like && like.energy.molecule.hash === molecule.hash && equalData(like.model, model)) {
      this.energy = like.energy;
      this.prior = like.prior;
    } else {
      const coordinates = new ZMatrix(molecule.forces.forceField, model.reference);
      this.energy = new InternalEnergy(molecule, coordinates);
      this.prior = internalDensity(this.energy, model.prior);
    }
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

/** Whether reference and prior are the same numbers. */
function equalData(a: InternalModel, b: InternalModel): boolean {
  return sameNumbers(a.reference, b.reference) && equalPriors(a.prior, b.prior);
}

function equalPriors(a: InternalPrior, b: InternalPrior): boolean {
  const [p, q] = [a, b].map((prior) => Object.entries(prior));
  return p.length === q.length && p.every(([name, value], k) => {
    const [otherName, other] = q[k];
    if (name !== otherName) return false;
    return value instanceof Float64Array && other instanceof Float64Array
      ? sameNumbers(value, other)
      : JSON.stringify(value) === JSON.stringify(other);
  });
}

function sameNumbers(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

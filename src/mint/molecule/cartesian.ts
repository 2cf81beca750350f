/**
 * Where Cartesian families start on a molecule: minima found in internal coordinates (random clouds of
 * atoms relax to no molecule), each with what the families can hold of its Hessian: positions relative
 * to the anchor, one covariance for x, y and z alike.
 */
import type { CartesianMoleculeConfig } from "../../config/config.ts";
import { InputError } from "../../errors.ts";
import { bondGraph, centralAtom } from "../../systems/molecule/bond_graph.ts";
import type { Molecule } from "../../systems/molecule/molecule.ts";
import { namedMolecule } from "../../systems/molecule/presets.ts";
import { ZMatrix } from "../../systems/molecule/zmatrix.ts";
import { flooredInverse } from "./gaussian.ts";
import { InternalEnergy } from "./internal_energy.ts";
import { findMinima } from "./minima.ts";
import { softTorsions } from "./torsions.ts";

export interface CartesianStart {
  /** (N, 3) in nm, the anchor first and at the origin, then the other atoms in rising order. */
  readonly positions: Float64Array;
  /** Of the atoms but the anchor, in that order: (N − 1, N − 1) in nm², for each axis. */
  readonly covariance: Float64Array;
  /** V at the minimum, kT. */
  readonly energy: number;
}

/** Minima this far above the lowest (kT) are left out. */
const RANGE = 25;
/** nm, of central differences. */
const DIFFERENCE = 1e-4;
/**
 * Curvatures (kT/nm²) below this are taken as this: 0.03 nm wide. Rotations, which the density averages
 * over, have none; further out along torsions nothing is harmonic in these coordinates.
 */
const SOFTEST = 1000;

/** The atom that positions are relative to. Throws InputError for one that is not there. */
export function anchorAtom(molecule: Molecule, { anchor }: CartesianMoleculeConfig): number {
  if (anchor === "centre") return centralAtom(bondGraph(molecule.forces.forceField));
  if (anchor < molecule.particles) return anchor;
  throw new InputError(
    `mint.molecule.anchor must be below ${molecule.particles}, the number of atoms, got ${anchor}`,
  );
}

/**
 * The geometry that internal coordinates are built from: the one given, or that of a named molecule.
 * Throws InputError, naming `field`, where there is none or it is of another molecule.
 */
export function referenceGeometry(
  { config, particles }: Molecule,
  reference: readonly number[] | null,
  field: string,
): Float64Array {
  if (reference && reference.length !== 3 * particles) {
    throw new InputError(`${field} must have ${3 * particles} numbers, got ${reference.length}`);
  }
  if (reference) return Float64Array.from(reference);
  const named = typeof config.forceField === "string" ? namedMolecule(config.forceField) : null;
  if (named) return named.positions;
  throw new InputError(`${field} is null: a molecule from a file needs a geometry, (N, 3) in nm`);
}

/** Minima with their covariances, lowest first; deterministic in the seed. */
export function cartesianStarts(
  molecule: Molecule,
  config: CartesianMoleculeConfig,
  count: number,
  steps: number,
  seed: number,
): CartesianStart[] {
  const reference = referenceGeometry(molecule, config.reference, "mint.molecule.reference");
  const anchor = anchorAtom(molecule, config);
  const { forceField } = molecule.forces;
  const coordinates = new ZMatrix(forceField, reference);
  const energy = new InternalEnergy(molecule, coordinates);
  const soft = softTorsions(forceField, coordinates, reference);
  const start = new Float64Array(coordinates.size);
  coordinates.fromCartesian(reference, start);
  const minima = findMinima(energy, start, soft, { seed, starts: count, steps, range: RANGE });
  return minima.map(({ z, value }) => {
    const x = new Float64Array(3 * coordinates.atoms);
    coordinates.toCartesian(z, x);
    const covariance = meanCovariance(molecule, x, anchor);
    const others = Array.from({ length: molecule.particles }, (_, i) => i)
      .filter((i) => i !== anchor);
    const positions = new Float64Array(x.length);
    [anchor, ...others].forEach((atom, place) => {
      for (let a = 0; a < 3; a++) positions[3 * place + a] = x[3 * atom + a] - x[3 * anchor + a];
    });
    return { positions, covariance, energy: value };
  });
}

/**
 * The covariance of the harmonic approximation, averaged over x, y and z: of all covariances alike for
 * the three axes, the one whose Gaussian is nearest to e^{−U} near x in KL(p ‖ q). It is too wide along
 * bonds, which an annealing path mends first. (The inverse of the averaged Hessian is nearest in
 * KL(q ‖ p), as narrow across bonds as along them: trained from there by eq. 17, log q was 200 nats too
 * low at the median sample of alanine dipeptide.)
 */
function meanCovariance(molecule: Molecule, x: Float64Array, anchor: number): Float64Array {
  const others = Array.from({ length: molecule.particles }, (_, i) => i).filter((i) =>
    i !== anchor
  );
  const m = others.length;
  const n = 3 * m;
  const moved = x.slice();
  const [above, below] = [new Float64Array(x.length), new Float64Array(x.length)];
  const hessian = new Float64Array(n * n);
  others.forEach((atom, i) => {
    for (let a = 0; a < 3; a++) {
      const at = 3 * atom + a;
      moved[at] = x[at] + DIFFERENCE;
      molecule.energyAndGradient(moved, above);
      moved[at] = x[at] - DIFFERENCE;
      molecule.energyAndGradient(moved, below);
      moved[at] = x[at];
      others.forEach((other, j) => {
        for (let b = 0; b < 3; b++) {
          hessian[(3 * i + a) * n + 3 * j + b] = (above[3 * other + b] - below[3 * other + b]) /
            (2 * DIFFERENCE);
        }
      });
    }
  });
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      hessian[i * n + j] = hessian[j * n + i] = 0.5 * (hessian[i * n + j] + hessian[j * n + i]);
    }
  }
  const covariance = flooredInverse(hessian, new Float64Array(n).fill(1), SOFTEST);
  const mean = new Float64Array(m * m);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) {
      for (let a = 0; a < 3; a++) mean[i * m + j] += covariance[(3 * i + a) * n + 3 * j + a] / 3;
    }
  }
  return mean;
}

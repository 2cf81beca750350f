import { sha256 } from "@noble/hashes/sha2.js";
import type { MoleculeConfig } from "../../config/config.ts";
import type { PairKernel, System } from "../system.ts";
import { definitionHash } from "../pair_potential.ts";
import { MoleculeEnergy } from "./energy.ts";
import { packMolecule } from "./packed.ts";
import { namedMolecule } from "./presets.ts";
import { symmetricEnds } from "./symmetry.ts";
import { softening } from "./soften.ts";
import { GAS_CONSTANT } from "./units.ts";

/**
 * A molecule as a system: U(x) = E(x)/kT with E the energy of its force field (energy.ts). Lengths are
 * in nm, n = 3; hydrogens of a methyl are identical, other atoms are not. U_t is softened as
 * config.softCore says (soften.ts): it shapes the way, not the target, and is not in the definition.
 */
export class Molecule implements System {
  readonly name = "molecule";
  readonly config: MoleculeConfig;
  readonly particles: number;
  readonly dimension = 3;
  readonly degreesOfFreedom: number;
  readonly lengthScale = 0.15;
  readonly definition: string;
  readonly hash: string;
  /** kT in kJ/mol. */
  readonly kT: number;
  readonly forces: MoleculeEnergy;
  #packed: PairKernel | null = null;
  #identical: number[][] | null = null;

  constructor(config: MoleculeConfig) {
    const { solvent, temperature } = config;
    const forceField = typeof config.forceField === "string"
      ? namedMolecule(config.forceField)!.forceField
      : config.forceField;
    this.config = config;
    this.forces = new MoleculeEnergy(forceField, solvent);
    const N = this.particles = this.forces.atoms;
    this.degreesOfFreedom = 3 * (N - 1);
    this.kT = GAS_CONSTANT * temperature;
    // Names and titles do not enter the energy.
    const { atoms, bonds, angles, torsions, lennardJones, exceptions, born } = forceField;
    const parameters = JSON.stringify([
      atoms.charges,
      bonds,
      angles,
      torsions,
      lennardJones,
      exceptions,
      solvent === "none" ? null : born,
    ]);
    const digest = sha256(new TextEncoder().encode(parameters)).toHex();
    this.definition = "molecule: U(x) = E(x)/kT, E = bonds + angles + torsions + Coulomb + " +
      `Lennard-Jones${solvent === "none" ? "" : ` + ${solvent} solvation`}, all pairs, nm and ` +
      `kJ/mol; N=${N}, n=3, T=${temperature} K, solvent=${solvent}, parameters sha256=${digest}`;
    this.hash = definitionHash(this.definition);
  }

  /** Hydrogens of methyls and the like (symmetry.ts); found on first use. */
  get identicalParticles(): readonly (readonly number[])[] {
    return this.#identical ??= symmetricEnds(this.forces.forceField);
  }

  /** Packed on first use: most systems are made for their reference energy alone. */
  get pairKernel(): PairKernel {
    return this.#packed ??= packMolecule(this.forces, this.kT, this.config.softCore ?? null);
  }

  energy(positions: Float64Array, t = 1): number {
    this.#check(positions);
    return this.forces.evaluate(positions, null, undefined, this.#soft(t)) / this.kT;
  }

  energyAndGradient(positions: Float64Array, gradient: Float64Array, t = 1): number {
    this.#check(positions, gradient);
    const energy = this.forces.evaluate(positions, gradient, undefined, this.#soft(t));
    for (let a = 0; a < gradient.length; a++) gradient[a] /= this.kT;
    return energy / this.kT;
  }

  #soft(t: number) {
    return softening(this.config.softCore ?? null, t);
  }

  #check(...arrays: Float64Array[]): void {
    for (const { length } of arrays) {
      if (length === 3 * this.particles) continue;
      throw new RangeError(
        `molecule: positions and gradient must have ${3 * this.particles} numbers, got ${length}`,
      );
    }
  }
}

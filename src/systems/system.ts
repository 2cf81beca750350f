import type { SystemConfig } from "../config/config.ts";

/**
 * What is sampled: p(x) ∝ exp(−U(x)). Positions are Float64Arrays of length N·n, particle by
 * particle (x_1, y_1[, z_1], x_2, ...). U is dimensionless (energy / kT) and invariant under
 * translations and orthogonal maps.
 */
export interface System {
  /** Registered name of the kind, e.g. "double_well". */
  readonly name: string;
  /** The parameters this system was made from (plain data, crosses to workers). */
  readonly config: SystemConfig;
  /** N. */
  readonly particles: number;
  /** n, 2 or 3. */
  readonly dimension: 2 | 3;
  /** (N − 1)·n: translation is removed, rotation is not. */
  readonly degreesOfFreedom: number;
  /** Groups of interchangeable particles (indices); U is unchanged when a group is permuted. */
  readonly identicalParticles: readonly (readonly number[])[];
  /** A length typical of neighbouring particles; the network's inputs are scaled by it. */
  readonly lengthScale: number;
  /** One canonical line: the formula with every parameter. Equal lines mean equal U. */
  readonly definition: string;
  /** First 16 hex digits of SHA-256 of the definition. */
  readonly hash: string;
  /** What the fast pair kernels need; see assembly/pair_energies.ts. */
  readonly pairKernel: PairKernel;

  /**
   * U_t(x), softened at t < 1; t = 1 (the default) is the target itself.
   * Not finite where particles coincide.
   */
  energy(positions: Float64Array, t?: number): number;

  /** U_t(x), and ∂U_t/∂x written to `gradient` (length N·n). */
  energyAndGradient(positions: Float64Array, gradient: Float64Array, t?: number): number;
}

/** Numbers for the fast kernels: `kind` selects the formula, `parameters` are its f32 constants. */
export interface PairKernel {
  /**
   * 0: double well; 1: Lennard-Jones "shifted"; 2: Lennard-Jones "beutler"; 3: a molecule, more than
   * its pairs (assembly/molecule_energies.ts).
   */
  readonly kind: 0 | 1 | 2 | 3;
  /**
   * double well: offset, linear/τ, quadratic/τ, quartic/τ. Lennard-Jones: ε, k, alpha. Molecule: the
   * tables of molecule/packed.ts.
   */
  readonly parameters: readonly number[];
  /** Numbers of scratch room the kernel needs right behind the parameters; 0 by default. */
  readonly scratch?: number;
}

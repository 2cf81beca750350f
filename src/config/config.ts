/**
 * What the user asked for: every field of a run with its unit and meaning. Plain data: it is
 * written to DIR/config.json in full, so that a run can be read and repeated without this program's
 * defaults. Defaults and presets stand in presets.ts, validation in schema.ts.
 *
 * Units: energies are dimensionless (energy / kT), lengths are those of the system's definition,
 * time t runs from 0 (prior) to 1 (target).
 */

import type { ForceField, Solvent } from "./force_field.ts";

/** Σ_{i<j} [ linear·d + quadratic·d² + quartic·d⁴ ] / temperature, d = |x_i − x_j| − offset. */
export interface DoubleWellConfig {
  /** Which system this is. */
  kind: "double_well";
  /** N ≥ 2. */
  particles: number;
  /** n, 2 or 3. */
  dimension: 2 | 3;
  /** Length. */
  offset: number;
  /** Coefficient of d, energy / length. */
  linear: number;
  /** Coefficient of d², energy / length². */
  quadratic: number;
  /** Coefficient of d⁴, energy / length⁴. */
  quartic: number;
  /** τ > 0, divides the energy. */
  temperature: number;
}

/** ε Σ_{i<j} [r⁻¹² − 2 r⁻⁶] + ½ k Σ_i |x_i − x_com|² in three dimensions, σ = 1. */
export interface LennardJonesConfig {
  /** Which system this is. */
  kind: "lennard_jones";
  /** N ≥ 2. */
  particles: number;
  /** ε: 2 is "every pair counted twice", the convention of published LJ-13 and LJ-55 tables. */
  epsilon: number;
  /** k of the oscillator about the centre of mass. */
  oscillator: number;
  /** How pair repulsion is softened at t < 1 (nothing is softened at t = 1). */
  softCore: SoftCoreConfig;
}

/**
 * "shifted": r → r + (1 − t), the well kept at its depth (the paper's eq. 26);
 * "beutler": 1/r⁶ → 1/(alpha·(1 − t)² + r⁶).
 */
export type SoftCoreConfig = { kind: "shifted" } | { kind: "beutler"; alpha: number };

/** A molecule: the energy of its force field over kT. Lengths are in nm. */
export interface MoleculeConfig {
  /** Which system this is. */
  kind: "molecule";
  /** Kelvin. */
  temperature: number;
  /** Implicit solvent. */
  solvent: Solvent;
  /** In full, or the name of a molecule that comes with the program. */
  forceField: ForceField | MoleculeName;
  /** How it is softened at t < 1 (nothing is at t = 1); null or absent: not at all. */
  softCore?: MoleculeSoftCore | null;
}

/**
 * "shifted": r → r + (1 − t) r_min (the paper's eq. 26); "beutler": r⁶ → r⁶ + alpha·(1 − t)² σ⁶, for
 * Lennard-Jones and Coulomb alike. Charges are scaled by √t (src/systems/molecule/soften.ts).
 */
export interface MoleculeSoftCore {
  /** Which form. */
  kind: "shifted" | "beutler";
  /** Of "beutler"; "shifted" does not use it. */
  alpha: number;
  /** Factor on bonds, angles and torsions at t = 0, in (0, 1]; it grows to 1 linearly. */
  bonded: number;
}

/** Molecules that come with the program (src/systems/molecule/presets.ts). */
export type MoleculeName = "aldp";

/** What is sampled. */
export type SystemConfig = DoubleWellConfig | LennardJonesConfig | MoleculeConfig;

/**
 * The components of the orbit Gaussian X = (M + L E) Q, E independent normal numbers, Q uniform over
 * rotations and reflections. Components of mean "zero" and covariance "scale" are invariant under
 * every relabelling of particles: with more than one, a mixture of scales.
 */
export interface GaussianConfig {
  /** M: minimised configurations, then trained; or zero. */
  mean: "minima" | "zero";
  /**
   * L (lengths): one standard deviation for all particles; one for each particle; or the full
   * Cholesky factor of the positions relative to the anchor.
   */
  covariance: "scale" | "diagonal" | "full";
}

/** Numerics of the family "pvmf", whose normaliser has no closed form. */
export interface PvmfConfig {
  /** Importance samples of each component's normaliser (an eighth of them while training), >= 64. */
  normaliserSamples: number;
  /** Metropolis-adjusted Langevin steps of a draw, after the draw of the Laplace Gaussian, >= 0. */
  langevinSteps: number;
}

/** Stage 1: the mixture of orthogonally invariant densities. */
export interface MintConfig {
  /**
   * Density family of the components. "orbit_vmf": orbit von Mises-Fisher x LogNormal; "pvmf": the
   * paper's x LogNormal, normalised by estimate (its error is carried along); "orbit_gaussian".
   */
  family: "orbit_vmf" | "pvmf" | "orbit_gaussian";
  /** Of the family "orbit_gaussian"; others do not use it. */
  gaussian: GaussianConfig;
  /** Of the family "pvmf"; others do not use it. */
  pvmf: PvmfConfig;
  /** K ≥ 0; 0 leaves the broad component alone (it must then have weight 1). */
  components: number;
  /** Average the mixture over all labellings of identical particles, the anchor included. */
  symmetrise: boolean;
  /**
   * Run a labelled family without symmetrisation although the identical particles have too many
   * labellings to enumerate. Almost all of them are then missing from the samples.
   */
  allowLabelled: boolean;
  /** The broad permutation-invariant Gaussian kept at a fixed weight, during training and after. */
  broad: {
    /** Weight in [0, 1]. */
    weight: number;
    /** Standard deviation per coordinate, length; "auto" takes it from the minimised starts. */
    scale: number | "auto";
  };
  /** Initial radial and angular width of a component, length. */
  initialWidth: number;
  /** Minimised random configurations: how many are tried, and descent steps for each. */
  starts: number;
  /** Steps of each descent. */
  descentSteps: number;
  /** Training iterations of eq. 17 and samples in each. */
  iterations: number;
  /** Samples of an iteration. */
  samples: number;
  /** Of Adam, per parameter and iteration, at the start; it falls to a fifth. */
  learningRate: number;
  /** Largest norm of the whole gradient. */
  gradientClip: number;
  /**
   * Exponent of the importance weights at the end of training, growing from 1: 1 is eq. 17 (least
   * Kullback-Leibler divergence), 2 maximises the ESS.
   */
  weightExponent: number;
  /** Weights are tempered until the batch's ESS reaches this fraction (docs/method.md section 2). */
  temperedEss: number;
  /** Strength of the repulsion between components' Gram matrices (eq. 18). */
  repulsion: number;
  /** Molecules in Cartesian coordinates only. */
  molecule?: CartesianMoleculeConfig;
}

/** What the families of Cartesian coordinates need to know of a molecule. */
export interface CartesianMoleculeConfig {
  /**
   * The atom at the origin, of prior and paths: index from 0, or "centre", the atom nearest the centre
   * of the bond graph.
   */
  anchor: number | "centre";
  /** As internal.reference. */
  reference: number[] | null;
}

/** The equivariant network whose outputs are the learned drift. */
export interface NetworkConfig {
  /** false: plain annealed Langevin dynamics (the control), learned ε only. */
  enabled: boolean;
  /** L ≥ 1, message-passing layers. */
  layers: number;
  /** Units per layer; a multiple of 8. */
  hidden: number;
  /** Node channels of the matrix A = Σ_c s_c h_c h_cᵀ: 1, 2, 3 or 4. */
  channels: number;
  /** What the outputs b, c and s are multiplied by, energy / length²; absent: 1. */
  outputScale?: number;
  /** Which outputs act: b (odd drift), c (even drift), A (matrix exponential). */
  drift: boolean;
  /** Whether c acts. */
  evenDrift: boolean;
  /** Whether A acts, and which signs s may take. */
  matrix: "none" | "signed" | "positive";
}

/** ε(t), the step size of the kernels. */
export interface StepSizeConfig {
  /**
   * Initial ε (length²; h = ε·Δt is the Langevin step); "path": h = Δ² of the moves Δ of julep.path,
   * which must then be given.
   */
  initial: number | "path";
  /** Where initial is a number: ε falls geometrically to this fraction of it, (0, 1]; absent: 1. */
  fall?: number | null;
  /** Knots of log ε, linear between them, equally spaced on [0, 1]. */
  knots: number;
  /** Whether the knots are trained. */
  learn: boolean;
  /** Learning rate of log ε relative to the network's. */
  learningRateFactor: number;
}

/** A comparator of the paper's tables: a diffusion with a learned control (src/julep/diffusion.ts). */
export interface DiffusionConfig {
  /**
   * "pis": Brownian motion, trained by the Kullback-Leibler divergence through the path;
   * "dds": Ornstein-Uhlenbeck process that keeps the prior, trained by log-variance.
   */
  kind: "pis" | "dds";
  /** Whether the control contains the target's force (softened, clipped) beside the network. */
  targetForce: boolean;
  /** λ, length⁻²: the force acts once the noise still to come is of variance 1/λ or less. */
  stiffness: number;
  /** K ≥ 1, evaluations of the force in every step (src/julep/diffusion.ts). */
  proximalSteps: number;
  /** Per-particle clip of the adjoint where the gradient goes through the path, in units of the
   * control's size at its time; null: none. */
  adjointClip: number | null;
  /** ε(t) falls from stepSize.initial geometrically to this fraction of it; (0, 1]. */
  finalStepSize: number;
}

/** A Lennard-Jones cluster's own annealing path in place of U_t (src/julep/pair_path.ts). */
export interface JulepPathConfig {
  /** Which path this is. */
  kind: "cluster";
  /**
   * As PathConfig.variant. The prior should be as wide as its own (clusterRule, src/path/cluster.ts):
   * mint.broad.scale is the root of that variance.
   */
  variant: "robust" | "tuned" | "two_sided";
  /**
   * The pair flow, fitted by least squares before training: "drift", a velocity beside the network's b;
   * "exact", every step begins with the flow itself, whose Jacobian enters the weight; "none".
   */
  flow: "none" | "drift" | "exact";
  /** Population the flow is fitted on, a multiple of 4. */
  fitSamples: number;
}

/** Stage 2: annealed Langevin kernels with a learned drift. */
export interface JulepConfig {
  /** T ≥ 1 kernels per trajectory. */
  steps: number;
  /** Trajectories per training iteration. */
  samples: number;
  /** Training iterations; 0 leaves the transport as it was initialised. */
  iterations: number;
  /** Of Adam, per parameter and iteration, after the warm-up. */
  learningRate: number;
  /** Iterations of linear warm-up; cosine decay to 5 % follows. */
  warmup: number;
  /** Largest norm of the whole gradient. */
  gradientClip: number;
  /** How translation is removed: a particle held at the origin, or the centre of mass. */
  gauge: "anchor" | "centre_of_mass";
  /** Time grid while training: "uniform", or "random" sorted uniforms (the paper's). */
  grid: "uniform" | "random";
  /**
   * "total": Var[W]; "per_step": the summed variance of the steps' increments; "grouped": the summed
   * variance over lossGroups groups of consecutive steps. It trains the network; the step size ε
   * always follows the total.
   */
  loss: "total" | "per_step" | "grouped";
  /** Groups of the "grouped" loss, >= 1; the other forms do not use it. */
  lossGroups: number;
  /** Trajectories weigh softmax(tilt·W) in the loss; in [0, 1]. 0: all alike. */
  tilt: number;
  /** Fraction of each trajectory's steps whose gradient is taken (a random window), (0, 1]. */
  gradientFraction: number;
  /** Per-particle force clip: F → F/√(1 + |F|²/clip²), alike in both kernels; null: none. */
  forceClip: number | null;
  /** The learned drift. */
  network: NetworkConfig;
  /** The step size of the kernels. */
  stepSize: StepSizeConfig;
  /** null: U_t with the system's own soft core. Its clip replaces forceClip. */
  path: JulepPathConfig | null;
  /** A comparator's kernels in place of Julep's; absent: Julep. */
  diffusion?: DiffusionConfig;
}

/** A run without a network: annealed paths (src/path/model.ts) in place of Julep. */
export interface PathConfig {
  /** Transition of every level: "underdamped" (one gradient) or "adjusted" (HMC). */
  kernel: "underdamped" | "adjusted";
  /** K ≥ 2. */
  levels: number;
  /** Leapfrogs of an adjusted transition (1: MALA); the underdamped kernel has none. */
  leapfrogs: number;
  /**
   * Lennard-Jones: factor on the step sizes of the path's rule (src/path/cluster.ts), null: the
   * rule's own; other systems: the time step of every level, length.
   */
  stepSize: number | null;
  /**
   * Lennard-Jones: "tuned" for the path ESS, "robust" against heavy tails, "two_sided" for the ESS from
   * both ends (underdamped paths; confinement saturates).
   */
  variant: "robust" | "tuned" | "two_sided";
  /** The pair flow, fitted on a population of that many; null: none. */
  flow: {
    /** A multiple of 4. */
    population: number;
    /** Resample the fitting population below this ESS fraction, [0, 1]; 0: never. */
    threshold: number;
    /** How often the levels are put where the last fit found them needed, and fitted again. */
    retimings: number;
  } | null;
  /** Logarithms of factors along the path (src/path/tuning.ts), as `tune` writes them. */
  tuning?: number[];
  /** Sequential Monte Carlo: islands of `population`, resampled below an ESS fraction; null: none. */
  resampling: {
    population: number;
    threshold: number;
    /** HMC transitions after every resampling, which part the copies; null: none. */
    moves: {
      transitions: number;
      leapfrogs: number;
      /** Time step in units of the level's own. */
      stepFactor: number;
    } | null;
  } | null;
}

/** Long HMC chains on the target alone. */
export interface ChainsConfig {
  /** Independent chains; a multiple of 4, so that no two share a lane. */
  chains: number;
  /** Leapfrogs of a transition, its first time step (length) and the acceptance it is adapted to. */
  leapfrogs: number;
  /** First time step, length. */
  stepSize: number;
  /** Acceptance that every chain's time step is adapted to, (0, 1). */
  targetAcceptance: number;
  /** Transitions before the first kept state, and between kept states. */
  warmup: number;
  /** Transitions between kept states, at least 1. */
  thin: number;
}

/**
 * Molecules: a prior in internal coordinates, made from the energy alone, and adjusted annealing from
 * it (src/mint/molecule, src/backends/internal_paths.ts).
 */
export interface InternalConfig {
  /**
   * "torsion_grid": a table of one to three soft torsions with harmonic densities of all else;
   * "laplace": a harmonic density for every minimum; "auto": the grid where there are one or two.
   */
  prior: "auto" | "torsion_grid" | "laplace";
  /**
   * Geometry with the handedness wanted, (N, 3) in nm, flat; null: that of the named molecule. Stiff
   * torsions (amides, rings) keep to it.
   */
  reference: number[] | null;
  /** Random starts of the search for minima, and descent steps for each. */
  starts: number;
  /** Steps of each descent. */
  descentSteps: number;
  /** Cells along each torsion of the grid, and pieces of its table in each. */
  cells: number;
  /** Pieces of the table in each cell, at least 1. */
  subcells: number;
  /**
   * "adjusted" (absent): annealing by accepted and refused moves, no learning; "julep": the paper's
   * unadjusted kernels and network in whitened coordinates, by the fields of RunConfig.julep.
   */
  kernel?: "adjusted" | "julep";
  /** Levels of the annealing; 0: the prior alone. */
  levels: number;
  /** Leapfrogs of a level's HMC transition (1: MALA). */
  leapfrogs: number;
  /** Their time step at most, in whitened coordinates: a pilot takes smaller ones where few are accepted. */
  stepSize: number;
  /** Sequential Monte Carlo on the same levels; null: single paths. */
  resampling: InternalResampling | null;
  /**
   * Fits a mixture of minima to samples of its own path (kernel "adjusted"); null (or absent): as the
   * minima have it.
   */
  refine?: InternalRefinement | null;
}

/** Rounds of refinement, src/run/refine_internal.ts. */
export interface InternalRefinement {
  /** At most; one that a buffer says is no better ends them. */
  rounds: number;
  /** Paths of a round. */
  samples: number;
  /** Configurations of the buffer that judges, own samples moved on by HMC. */
  buffer: number;
  /** Share of the mixture as the minima have it, in (0, 1): fixed. */
  defensive: number;
  /** Samples that the means and covariances of a minimum are worth. */
  strength: number;
}

/** Islands of `population` samples, resampled below an ESS fraction. */
export interface InternalResampling {
  /** A multiple of 4. */
  population: number;
  /** Resample below this ESS fraction, [0, 1]; 0: never. */
  threshold: number;
  /**
   * Conditional ESS of neighbouring levels, (0, 1): a pilot island puts the levels where that is so, at
   * most `levels`. null: equally spaced.
   */
  conditionalEss: number | null;
}

/** What is told about a molecule beside its energy: which handedness is sampled, what is looked at. */
export interface MoleculeRunConfig {
  /**
   * "keep": the given handedness is the target; "both": every handedness; "fold": every handedness,
   * mirror images shown folded onto the given one (src/sampling/chirality.ts, where log Z is told).
   * "auto": keep in internal coordinates, whose prior holds one handedness, both for other methods.
   */
  chirality: "auto" | "keep" | "both" | "fold";
  /**
   * Geometry of the handedness given, (N, 3) in nm, flat; null: internal.reference, or that of the
   * named molecule.
   */
  reference: number[] | null;
  /** Four atoms each, counted from 1; null: found from names and bonds (molecule/backbone.ts). */
  phi: number[] | null;
  /** As `phi`. */
  psi: number[] | null;
}

/** All of a run. */
export interface RunConfig {
  /** Version of this layout. */
  version: 1;
  /** The preset it came from, or "custom". */
  preset: string;
  /** What all random numbers are keyed by, from 0 to 2³² − 1. */
  seed: number;
  /** What is sampled. */
  system: SystemConfig;
  /** Stage 1. */
  mint: MintConfig;
  /** Stage 2. */
  julep: JulepConfig;
  /** Iterations between checkpoints (both stages). */
  checkpointEvery: number;
  /** In place of `julep`, which is then not used; absent: Julep. */
  path?: PathConfig;
  /** In place of `mint` and `julep`. */
  chains?: ChainsConfig;
  /** In place of `mint` and `julep`; molecules only. */
  internal?: InternalConfig | null;
  /** Molecules only. */
  molecule?: MoleculeRunConfig;
}

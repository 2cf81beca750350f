/** What `--method NAME` changes in a configuration; fields set by hand come after it. */
import { InputError } from "../errors.ts";
import type {
  ChainsConfig,
  DiffusionConfig,
  InternalConfig,
  MoleculeSoftCore,
  PathConfig,
  RunConfig,
} from "./config.ts";

/**
 * Names of all methods: the paper's; the same prior with other transitions and the pair flow; what
 * needs no learning (annealed importance sampling, Sequential Monte Carlo, chains); the comparators.
 */
export const methodNames = [
  "julep",
  "underdamped",
  "adjusted",
  "ais",
  "smc",
  "mcmc",
  "internal",
  "internal-julep",
  "pis",
  "dds",
] as const;
export type MethodName = (typeof methodNames)[number];

/** The configuration of another method for the same system. Throws InputError for unknown names. */
export function withMethod(config: RunConfig, method: string): RunConfig {
  switch (method) {
    case "julep":
      return config.system.kind === "molecule" ? cartesianJulep(config) : config;
    case "underdamped":
    case "adjusted":
    case "ais":
    case "smc":
      if (method === "smc" && config.system.kind === "molecule") return withInternalSmc(config);
      return withPath(config, method);
    case "mcmc":
      return { ...withoutStages(config), chains: chains[config.system.kind] };
    case "internal":
      return withInternal(config);
    case "internal-julep":
      return withWhitenedJulep(config);
    case "pis":
    case "dds":
      return withDiffusion(config, method);
    default:
      throw new InputError(
        `unknown method "${method}": the methods are ${methodNames.join(", ")}`,
      );
  }
}

/** The method that a configuration is of, by its fields. */
export function methodOf({ julep, path, chains, internal }: RunConfig): MethodName {
  if (internal?.kernel === "julep") return "internal-julep";
  if (internal) return internal.resampling ? "smc" : "internal";
  if (chains) return "mcmc";
  if (path?.resampling) return "smc";
  if (path) return path.flow || path.kernel === "underdamped" ? path.kernel : "ais";
  return julep.diffusion?.kind ?? "julep";
}

/**
 * Few long chains: R-hat judges halves of chains, and halves of a few draws each scatter about 1 by more
 * than 0.01 whatever the chains do. Energies of clusters forget themselves in 30 (LJ-13) to 60 (LJ-55)
 * transitions, dw4's distances in 100.
 */
const chains: Record<RunConfig["system"]["kind"], ChainsConfig> = {
  double_well: {
    chains: 16,
    leapfrogs: 16,
    stepSize: 0.2,
    targetAcceptance: 0.8,
    warmup: 1000,
    thin: 100,
  },
  lennard_jones: {
    chains: 16,
    leapfrogs: 8,
    stepSize: 0.02,
    targetAcceptance: 0.8,
    warmup: 3000,
    thin: 100,
  },
  molecule: {
    chains: 32,
    leapfrogs: 10,
    stepSize: 0.001,
    targetAcceptance: 0.8,
    warmup: 2000,
    thin: 50,
  },
};

/** What a molecule's prior and path are made with: docs/method.md section 6, tuned on aldp. */
export const internalDefaults: InternalConfig = {
  prior: "auto",
  reference: null,
  starts: 200,
  descentSteps: 600,
  cells: 24,
  subcells: 6,
  levels: 100,
  leapfrogs: 1,
  stepSize: 0.7,
  resampling: null,
  refine: null,
};

/** Sequential Monte Carlo in internal coordinates, for molecules whose prior falls short. */
const internalSmc: Partial<InternalConfig> = {
  levels: 1000,
  leapfrogs: 5,
  stepSize: 0.4,
  resampling: { population: 1000, threshold: 0.75, conditionalEss: 0.9 },
};

function withInternal(config: RunConfig): RunConfig {
  if (config.system.kind !== "molecule") {
    throw new InputError(`method internal is for molecules, system.kind is ${config.system.kind}`);
  }
  return config.internal ? config : { ...withoutStages(config), internal: { ...internalDefaults } };
}

/** Julep's kernels and network from the internal prior, in coordinates whitened by it. */
function withWhitenedJulep(config: RunConfig): RunConfig {
  const base = withInternal(config);
  const { julep } = base;
  return {
    ...base,
    internal: { ...base.internal!, kernel: "julep", resampling: null },
    julep: {
      ...julep,
      steps: 25,
      samples: 128,
      iterations: 100,
      learningRate: 2e-3,
      warmup: 5,
      gradientFraction: 0.5,
      forceClip: 30,
      network: { ...julep.network, layers: 2, hidden: 64, matrix: "none" },
      stepSize: { ...julep.stepSize, initial: 1.5 },
      path: null,
    },
  };
}

/** What `--soft-core` stands for: measured on aldp-vacuum with --method julep (docs/method.md 6). */
export const moleculeSoftCores: Record<"none" | MoleculeSoftCore["kind"], MoleculeSoftCore | null> =
  {
    none: null,
    shifted: { kind: "shifted", alpha: 0.5, bonded: 0.05 },
    beutler: { kind: "beutler", alpha: 0.5, bonded: 0.05 },
  };

/**
 * The paper's own setting on a molecule, for comparison: orbit Gaussians of correlated atoms and Julep
 * in Cartesian coordinates (nm). The prior stays as wide as its minima say (training by eq. 17 narrows
 * it until most of the target is out of reach), bonded terms are weak early in the path, and ε falls as
 * they grow stiff (2.5e5 kT/nm² in the end).
 */
function cartesianJulep(config: RunConfig): RunConfig {
  const { mint, julep, internal, system, ...rest } = config;
  if (mint.molecule || system.kind !== "molecule") return config;
  return {
    ...rest,
    system: { ...system, softCore: system.softCore ?? moleculeSoftCores.beutler },
    ...(internal ? { internal: null } : {}),
    mint: {
      ...mint,
      family: "orbit_gaussian",
      gaussian: { mean: "minima", covariance: "full" },
      components: 3,
      broad: { weight: 0.01, scale: "auto" },
      starts: 60,
      iterations: 0,
      samples: 512,
      learningRate: 2e-4,
      molecule: mint.molecule ?? { anchor: "centre", reference: internal?.reference ?? null },
    },
    julep: {
      ...julep,
      iterations: 25,
      learningRate: 1e-4,
      gauge: "anchor",
      tilt: 0.1,
      forceClip: 20_000,
      network: { ...julep.network, layers: 2, hidden: 32, outputScale: 1000 },
      stepSize: { ...julep.stepSize, initial: 6e-4, fall: 0.25, learningRateFactor: 5 },
    },
  };
}

function withInternalSmc(config: RunConfig): RunConfig {
  const made = withInternal(config);
  return { ...made, internal: { ...made.internal!, ...internalSmc } };
}

/** The broad Gaussian alone, and no training. */
function withoutStages(config: RunConfig): RunConfig {
  const { mint } = config;
  const internal = config.internal ? { internal: null } : {};
  return {
    ...config,
    ...internal,
    mint: { ...mint, components: 0, iterations: 0, broad: { ...mint.broad, weight: 1 } },
  };
}

/** Levels for systems other than clusters: few where Mint's mixture is the prior, and costs as much. */
const LEVELS_OF_PAIRS = { underdamped: 50, adjusted: 20, ais: 200, smc: 200 };

function withPath(
  config: RunConfig,
  method: "underdamped" | "adjusted" | "ais" | "smc",
): RunConfig {
  const { system } = config;
  if (system.kind === "molecule") {
    throw new InputError(`method ${method} is not for molecules yet`);
  }
  const cluster = system.kind === "lennard_jones";
  // Between distant minima a short underdamped path hardly moves; HMC does.
  const underdamped = method === "underdamped" || (method === "smc" && cluster);
  const kernel = underdamped ? "underdamped" : "adjusted";
  const large = cluster && system.particles > 20;
  // Tuned at ε = 2; at ε = 1, where most particles are free, the robust one is better (LJ-13).
  const bound = cluster && system.epsilon >= 1.5 && method !== "ais";
  const variant = bound ? "two_sided" : "robust";
  const path: PathConfig = {
    kernel,
    levels: large ? 400 : cluster ? (underdamped ? 100 : 200) : LEVELS_OF_PAIRS[method],
    leapfrogs: 4,
    stepSize: cluster ? null : underdamped ? 0.1 : 0.2,
    variant,
    flow: method === "ais" || !cluster
      ? null
      : { population: large ? 400 : 3000, threshold: large ? 0.7 : 0, retimings: 0 },
    resampling: method === "smc"
      ? { population: large ? 1000 : 2000, threshold: cluster ? 0.5 : 0.75, moves: null }
      : null,
  };
  // A mixture of labelled components is part of the method; baselines start from a Gaussian.
  const base = method === "ais" || method === "smc" || cluster ? withoutStages(config) : config;
  return { ...base, path };
}

/**
 * Width of the Gaussian prior, ε at the start and its fall, from the width of the target; λ near its
 * largest stiffness; and how long training goes on improving (docs/method.md section 3), by kind of
 * system. Those of the double well are where the variance of W is least without a network: a prior
 * as wide as the target, and no more noise than its modes need.
 */
const comparators = {
  double_well: {
    prior: { pis: 1.9, dds: 2.2 },
    stepSize: { pis: 2.8, dds: 2.5 },
    finalStepSize: { pis: 0.015, dds: 0.03 },
    stiffness: { pis: 48, dds: 50 },
    forceClip: { pis: 25, dds: 30 },
    iterations: 150,
    samples: { pis: 48, dds: 96 },
  },
  lennard_jones: {
    prior: { pis: 0.5, dds: 1 },
    stepSize: { pis: 4, dds: 15 },
    finalStepSize: { pis: 0.005, dds: 0.005 },
    stiffness: { pis: 300, dds: 300 },
    forceClip: { pis: 20, dds: 20 },
    iterations: 100,
    samples: { pis: 32, dds: 32 },
  },
} as const;

function withDiffusion(config: RunConfig, kind: DiffusionConfig["kind"]): RunConfig {
  const { system } = config;
  if (system.kind === "molecule") {
    throw new InputError(
      `method ${kind} is for double wells and Lennard-Jones clusters, got a molecule`,
    );
  }
  const tuned = comparators[system.kind];
  const { prior, stepSize, iterations, samples } = tuned;
  return {
    ...config,
    mint: {
      ...config.mint,
      components: 0,
      iterations: 0,
      broad: { weight: 1, scale: prior[kind] },
    },
    julep: {
      ...config.julep,
      samples: samples[kind],
      iterations,
      learningRate: 2e-3,
      gauge: "centre_of_mass",
      grid: "uniform",
      loss: "total",
      tilt: 0,
      gradientFraction: 1,
      forceClip: tuned.forceClip[kind],
      network: {
        ...config.julep.network,
        hidden: 32,
        drift: true,
        evenDrift: false,
        matrix: "none",
      },
      stepSize: { ...config.julep.stepSize, initial: stepSize[kind], knots: 8, learn: false },
      path: null,
      diffusion: {
        kind,
        targetForce: true,
        stiffness: tuned.stiffness[kind],
        proximalSteps: 5,
        adjointClip: 5,
        finalStepSize: tuned.finalStepSize[kind],
      },
    },
  };
}

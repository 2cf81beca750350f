/** What `--method NAME` changes in a configuration; fields set by hand come after it. */
import { InputError } from "../errors.ts";
import type { DiffusionConfig, RunConfig } from "./config.ts";

/** Names of all methods: the paper's, then its comparators. */
export const methodNames = ["julep", "pis", "dds"] as const;
export type MethodName = (typeof methodNames)[number];

/** The configuration of another method for the same system. Throws InputError for unknown names. */
export function withMethod(config: RunConfig, method: string): RunConfig {
  switch (method) {
    case "julep":
      return config;
    case "pis":
    case "dds":
      return withDiffusion(config, method);
    default:
      throw new InputError(
        `unknown method "${method}": the methods are ${methodNames.join(", ")}`,
      );
  }
}

/** Width of the Gaussian prior and ∫ε: from the width of the target, by kind of system. */
const scales = {
  double_well: { prior: { pis: 1, dds: 2 }, stepSize: { pis: 4, dds: 20 } },
  lennard_jones: { prior: { pis: 0.5, dds: 1 }, stepSize: { pis: 1, dds: 5 } },
} as const;

function withDiffusion(config: RunConfig, kind: DiffusionConfig["kind"]): RunConfig {
  const { system } = config;
  if (system.kind === "molecule") {
    throw new InputError(
      `method ${kind} is for double wells and Lennard-Jones clusters, got a molecule`,
    );
  }
  const { prior, stepSize } = scales[system.kind];
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
      iterations: 1000,
      gauge: "centre_of_mass",
      grid: "uniform",
      loss: "total",
      tilt: 0,
      gradientFraction: 1,
      forceClip: 100,
      network: { ...config.julep.network, drift: true, evenDrift: false, matrix: "none" },
      stepSize: { ...config.julep.stepSize, initial: stepSize[kind], learn: false },
      diffusion: { kind, targetForce: true, finalStepSize: 0.02 },
    },
  };
}

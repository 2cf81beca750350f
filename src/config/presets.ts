/** Named starting points; `RunConfig` in full, so that config.json spells every default out. */
import { InputError } from "../errors.ts";
import { internalDefaults } from "./methods.ts";
import type {
  JulepConfig,
  JulepPathConfig,
  MintConfig,
  RunConfig,
  SystemConfig,
} from "./config.ts";

const mint: MintConfig = {
  family: "orbit_vmf",
  gaussian: { mean: "minima", covariance: "diagonal" },
  pvmf: { normaliserSamples: 4096, langevinSteps: 20 },
  components: 48,
  symmetrise: true,
  allowLabelled: false,
  broad: { weight: 0.02, scale: "auto" },
  initialWidth: 0.3,
  starts: 96,
  descentSteps: 400,
  iterations: 1200,
  samples: 512,
  learningRate: 0.02,
  gradientClip: 5,
  weightExponent: 2,
  temperedEss: 0.1,
  repulsion: 0,
};

const julep: JulepConfig = {
  steps: 100,
  samples: 100,
  iterations: 150,
  learningRate: 1e-3,
  warmup: 20,
  gradientClip: 1,
  gauge: "centre_of_mass",
  grid: "uniform",
  loss: "per_step",
  lossGroups: 10,
  tilt: 1,
  gradientFraction: 0.25,
  forceClip: null,
  network: {
    enabled: true,
    layers: 3,
    hidden: 64,
    channels: 2,
    drift: true,
    evenDrift: true,
    matrix: "signed",
  },
  stepSize: { initial: 0.08, knots: 8, learn: true, learningRateFactor: 30 },
  path: null,
};

const base = { version: 1, seed: 2666, checkpointEvery: 25 } as const;

const lennardJones = (particles: number, epsilon: number): SystemConfig => ({
  kind: "lennard_jones",
  particles,
  epsilon,
  oscillator: 1,
  softCore: { kind: "beutler", alpha: 0.5 },
});

/** `priorVariance`: that of the path's variant (src/path/cluster.ts). */
const cluster = (
  preset: string,
  particles: number,
  epsilon: number,
  priorVariance: number,
  path: Pick<JulepPathConfig, "variant" | "flow">,
): RunConfig => ({
  ...base,
  preset,
  system: lennardJones(particles, epsilon),
  mint: {
    ...mint,
    components: 0,
    broad: { weight: 1, scale: Math.sqrt(priorVariance) },
    iterations: 0,
  },
  julep: {
    ...julep,
    stepSize: { ...julep.stepSize, initial: "path", knots: 20 },
    path: { kind: "cluster", fitSamples: 512, ...path },
  },
});

const molecule = (preset: string, solvent: "none" | "obc1"): RunConfig => ({
  ...base,
  preset,
  system: { kind: "molecule", temperature: 300, solvent, forceField: "aldp", softCore: null },
  mint: { ...mint, components: 0, broad: { weight: 1, scale: 0.2 }, iterations: 0 },
  julep,
  internal: { ...internalDefaults },
  molecule: { chirality: "auto", reference: null, phi: null, psi: null },
});

const presets: Record<string, () => RunConfig> = {
  dw4: () => ({
    ...base,
    preset: "dw4",
    system: {
      kind: "double_well",
      particles: 4,
      dimension: 2,
      offset: 4,
      linear: 0,
      quadratic: -4,
      quartic: 0.9,
      temperature: 1,
    },
    mint,
    julep,
  }),
  lj13: () => cluster("lj13", 13, 2, 0.432, { variant: "two_sided", flow: "exact" }),
  lj55: () => cluster("lj55", 55, 2, 1, { variant: "two_sided", flow: "exact" }),
  "lj13-eacf": () => cluster("lj13-eacf", 13, 1, 0.5, { variant: "robust", flow: "exact" }),
  aldp: () => molecule("aldp", "obc1"),
  "aldp-vacuum": () => molecule("aldp-vacuum", "none"),
};

/** Names of all presets. */
export const presetNames: readonly string[] = Object.keys(presets);

/** A fresh copy of a preset's complete configuration. Throws InputError on an unknown name. */
export function preset(name: string): RunConfig {
  if (!Object.hasOwn(presets, name)) {
    throw new InputError(`Unknown preset "${name}": the presets are ${presetNames.join(", ")}`);
  }
  return structuredClone(presets[name]());
}

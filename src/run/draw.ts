/** `sample`: weighted samples of a trained run to a .npz that numpy.load reads. */
import type { BackendChoice } from "../backends/select.ts";
import type { MoleculeRunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import type { PdbAtoms } from "../io/pdb.ts";
import { writeSamples } from "../io/samples.ts";
import { isTrajectory, writeTrajectory } from "../io/trajectory.ts";
import { type ChiralityFigures, chiralityFigures } from "../sampling/chirality.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { systematicResample } from "../sampling/resample.ts";
import { createSystem } from "../systems/create.ts";
import { elementSymbol } from "../systems/molecule/elements.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { withMolecule } from "./chirality.ts";
import { evaluationsPerSample } from "./cost.ts";
import { openRun } from "./directory.ts";
import { type ForwardFigures, forwardFigures } from "./figures.ts";
import { RunJobs } from "./jobs.ts";
import { startPool, survivingGpu } from "./machine.ts";
import { type Progress, silent } from "./progress.ts";
import { forward, samplerOf, stepsOf } from "./session.ts";

/** How many samples are drawn from a finished run, and where they go. */
export interface SampleOptions {
  /** Sequential Monte Carlo gives whole islands, chains an equal number of states from each. */
  readonly samples: number;
  /**
   * The .npz to write: positions, log_weights, energies, seed, definition, hash; or a trajectory, .pdb
   * or .dcd, with the log-weights in a file beside it.
   */
  readonly out: string;
  /** Write this many equally weighted samples instead, drawn by systematic resampling. */
  readonly resample?: number;
  /** Kernels per path; the trained number by default. */
  readonly steps?: number;
  /** The run's seed by default. */
  readonly seed?: number;
  /** In place of the run's own settings of a molecule. */
  readonly molecule?: Partial<MoleculeRunConfig>;
  /** Worker threads, 1 to 1024; default: the machine's cores. Results do not depend on it. */
  readonly workers?: number;
  /** What computes. */
  readonly backend: BackendChoice;
  /** Stops the run: it throws AbortedError. */
  readonly signal?: AbortSignal;
  /** Told how far it is; default: nobody. */
  readonly progress?: Progress;
}

/** Figures of the samples, and where they are. */
export interface SampleSummary extends ForwardFigures {
  /** The file written. */
  readonly out: string;
  /** The system in one line. */
  readonly definition: string;
  /** First 16 hexadecimal digits of the definition's SHA-256. */
  readonly hash: string;
  /** The seed of the samples. */
  readonly seed: number;
  /** Kernels or levels of a path. */
  readonly steps: number;
  /** Evaluations of energies and gradients for each sample. */
  readonly energyEvaluationsPerSample: number;
  /** Wall clock of drawing, seconds. */
  readonly sampleSeconds: number;
  /** Molecules with stereocentres. */
  readonly chirality?: ChiralityFigures;
  /** Of `resample`: samples written, and how many of them differ. */
  readonly resampled?: { readonly written: number; readonly distinct: number };
}

/** Throws InputError for a folder without a finished run or a path that cannot be written. */
export async function sampleRun(dir: string, options: SampleOptions): Promise<SampleSummary> {
  if (!isTrajectory(options.out) && !/\.npz$/i.test(options.out)) {
    throw new InputError(`cannot write ${options.out}: its name must end in .npz, .pdb or .dcd`);
  }
  return await survivingGpu(options, (machine) => sampleOnPool(dir, machine));
}

async function sampleOnPool(dir: string, options: SampleOptions): Promise<SampleSummary> {
  const { progress = silent, samples, out } = options;
  const { config: trained, state } = await openRun(dir, (line) => progress.note(line));
  const config = withMolecule(trained, options.molecule, dir);
  const system = createSystem(config.system);
  const seed = options.seed ?? config.seed;
  const steps = stepsOf(config, options.steps, state);
  progress.note(`system ${system.definition}`);
  progress.note(`hash ${system.hash}, seed ${seed}`);
  await using pool = await startPool(config, options);
  const jobs = new RunJobs(pool, config.system, options.signal);
  const sampler = samplerOf(config, system, state, jobs, progress);
  const drawn = await forward(sampler, samples, steps, seed);
  if (options.resample !== undefined && drawn.logWeights.every((w) => w === -Infinity)) {
    throw new InputError("--resample: no sample has any weight, there is nothing to draw from");
  }
  const chosen = options.resample === undefined
    ? null
    : systematicResample(drawn.logWeights, options.resample, seed);
  await write(out, system, seed, chosen ? resampled(drawn, chosen) : drawn);
  return {
    out,
    definition: system.definition,
    hash: system.hash,
    seed,
    steps,
    ...forwardFigures(system, drawn),
    energyEvaluationsPerSample: evaluationsPerSample(drawn, config, steps),
    sampleSeconds: drawn.seconds,
    chirality: sampler.chirality && system instanceof Molecule
      ? chiralityFigures(drawn, sampler.chirality, system.forces.forceField.atoms.names)
      : undefined,
    resampled: chosen ? { written: chosen.length, distinct: new Set(chosen).size } : undefined,
  };
}

type Drawn = Pick<WeightedSamples, "positions" | "logWeights" | "energies">;

/** The chosen samples, all of the same weight. */
function resampled(drawn: Drawn, chosen: Uint32Array): Drawn {
  const size = drawn.positions.length / drawn.energies.length;
  const positions = new Float32Array(chosen.length * size);
  chosen.forEach((sample, k) =>
    positions.set(drawn.positions.subarray(sample * size, (sample + 1) * size), k * size)
  );
  return {
    positions,
    logWeights: new Float64Array(chosen.length),
    energies: Float64Array.from(chosen, (sample) => drawn.energies[sample]),
  };
}

async function write(out: string, system: System, seed: number, drawn: Drawn): Promise<void> {
  const { positions, logWeights, energies } = drawn;
  const { particles, dimension, definition, hash } = system;
  const count = energies.length;
  if (isTrajectory(out)) {
    const atoms = namesOf(system);
    const same = logWeights.every((w) => w === 0);
    await writeTrajectory(out, {
      atoms,
      positions,
      dimension,
      count,
      logWeights: same ? null : logWeights,
      definition,
    });
    return;
  }
  const shape = [count, particles, dimension] as const;
  await writeSamples(out, { positions, shape, logWeights, energies, seed, definition, hash });
}

/** Names of a molecule's atoms; a cluster's particles are all "X". */
function namesOf(system: System): PdbAtoms {
  const { particles } = system;
  if (system instanceof Molecule) {
    const { atoms } = system.forces.forceField;
    return { ...atoms, symbols: atoms.elements.map(elementSymbol) };
  }
  const all = <T>(value: T) => new Array<T>(particles).fill(value);
  return { names: all("X"), residues: all(0), residueNames: ["UNK"], symbols: all("X") };
}

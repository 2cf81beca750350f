/** `evaluate`: exact weights, two-sided diagnostics and the control of a trained run. */
import type { BackendChoice } from "../backends/select.ts";
import { readReference } from "../io/samples.ts";
import type { PathCost } from "../backends/backend.ts";
import type { MoleculeRunConfig } from "../config/config.ts";
import { methodOf } from "../config/methods.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { encodeNpy } from "../io/npy.ts";
import { chainStatistics } from "../sampling/chain_statistics.ts";
import { meanDistances } from "../sampling/observables.ts";
import type { MoleculeFigures } from "../report/input.ts";
import { essFromReference } from "../sampling/diagnostics.ts";
import { type Identities, identities } from "../sampling/identities.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import { warnings } from "../sampling/warnings.ts";
import { InputError } from "../errors.ts";
import { type NormaliserFigures, normaliserFigures } from "../mint/families.ts";
import { missesLabellings } from "../mint/permutations.ts";
import { createSystem } from "../systems/create.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { knownValues, withMolecule } from "./chirality.ts";
import { evaluationsPerSample, type StageSeconds, timed, trainEvaluations } from "./cost.ts";
import { files, openRun, writeJson } from "./directory.ts";
import {
  type ForwardFigures,
  forwardFigures,
  type ReferenceFigures,
  referenceFigures,
} from "./figures.ts";
import { RunJobs } from "./jobs.ts";
import { startPool, survivingGpu } from "./machine.ts";
import { loadConfigurations } from "./molecule_files.ts";
import { checkMolecule, moleculeFigures } from "./molecule_figures.ts";
import { type Progress, silent } from "./progress.ts";
import { writeReport } from "./report.ts";
import {
  backward,
  forward,
  ownBuffer,
  priorSamples,
  priorWeightsAt,
  samplerOf,
  stepsOf,
  trainControl,
} from "./session.ts";

/** What a finished run is evaluated with. */
export interface EvaluateOptions {
  /** Paths in all, shared out among the seeds. */
  readonly samples: number;
  /** Kernels per path; the trained number by default. */
  readonly steps?: number;
  /** Independent sets: seeds seed, seed + 1, ... */
  readonly seeds: number;
  /** .npy of target samples, (S, N·n) or (S, N, n); of a molecule also .npz, .dcd, .pdb. */
  readonly reference?: string;
  /** In place of a reference: own samples, resampled and moved on by HMC. */
  readonly buffer?: boolean;
  /** Train and evaluate the control, the same kernels without the network, too. */
  readonly control: boolean;
  /** In place of the run's own settings of a molecule. */
  readonly molecule?: Partial<MoleculeRunConfig>;
  /** Worker threads, 1 to 1024; default: the machine's cores. Results do not depend on it. */
  readonly workers?: number;
  /** What computes. */
  readonly backend: BackendChoice;
  /** Stops the evaluation: it throws AbortedError. */
  readonly signal?: AbortSignal;
  /** Told how far it is; default: nobody. */
  readonly progress?: Progress;
}

/** The prior alone: importance sampling without any path. */
export interface PriorFigures {
  /** (Σw)²/(n Σw²), a fraction. */
  ess: number;
  /** In the anchored measure. */
  logZ: number;
  /** Standard error of logZ, by a block jackknife. */
  logZStdErr: number;
  /** ESS as seen from the reference, 1 / E_p[e^{w − log Z}] with w = −U − log q; absent without one. */
  essFromReference?: number;
  /** Only where the prior's normalisers are estimates. */
  normaliser?: NormaliserFigures;
}

/** All figures of an evaluation, as `evaluate --json` prints them. */
export interface EvaluateReport extends ForwardFigures, Partial<ReferenceFigures> {
  /** The system's kind. */
  system: string;
  /** The system in one line. */
  definition: string;
  /** First 16 hexadecimal digits of the definition's SHA-256. */
  hash: string;
  /** The preset that the run came from, or "custom". */
  preset: string;
  /** The method, as `--method` names it. */
  method: string;
  /** What computed. */
  backend: string;
  /** Worker threads. */
  workers: number;
  /** Kernels or levels of a path. */
  steps: number;
  /** The seeds of the sets. */
  seeds: number[];
  /** `ess` of each set. */
  essPerSeed: number[];
  /** `logZ` of each set. */
  logZPerSeed: number[];
  /** Gradients and energies per sample: warm-up of chains and the energy at a path's end included. */
  energyEvaluationsPerSample: number;
  /** Evaluations of training: gradients and energies of all iterations or fits. */
  trainEvaluations?: number;
  /** Those of a molecule's prior, by what they were for. */
  trainEvaluationsOf?: Readonly<Record<string, number>>;
  /** Training and these samples together, where training was counted. */
  energyEvaluationsInAll?: number;
  /** The reference is the run's own buffer. */
  buffer?: boolean;
  /** Chains: the file that `evaluate` wrote their states to. */
  referenceFile?: string;
  /** log Z of the same target and measure by long runs, where it is not known exactly. */
  knownLogZ?: number;
  /** Where it comes from. */
  knownLogZSource?: string;
  /** log Z where it is known by quadrature. */
  exactLogZ?: number;
  /** ⟨U⟩ where it is known by quadrature. */
  exactMeanEnergy?: number;
  /** ⟨mean pair distance⟩ where it is known by quadrature. */
  exactMeanPairDistance?: number;
  /** Wall clock of training, seconds. */
  trainSeconds: number;
  /** Wall clock of drawing all sets, seconds. */
  sampleSeconds: number;
  /** Wall clock of training and of this evaluation, by stage. */
  trainStageSeconds?: StageSeconds;
  /** Wall clock of this evaluation by stage, seconds. */
  stageSeconds: StageSeconds;
  /** Not for chains. */
  prior?: PriorFigures;
  /** Two averages that hold for any target. */
  identities: Identities;
  /** Molecules: handedness, Ramachandran histograms. */
  molecule?: MoleculeFigures;
  /** The control's figures and the step sizes ε (length²) it learnt at its knots. */
  control?: ForwardFigures & Partial<ReferenceFigures> & { stepSizes: number[] };
  /** What is wrong with these figures or may be, a line each. */
  warnings: string[];
}

/** Samples in the estimate of the two identities: each costs a Laplacian by finite differences. */
const identitySamples = (coordinates: number) => coordinates <= 24 ? 20_000 : 1000;

/** Throws InputError for a folder without a finished run or an unreadable reference. */
export async function evaluateRun(dir: string, options: EvaluateOptions): Promise<EvaluateReport> {
  return await survivingGpu(options, (machine) => evaluateOnPool(dir, machine));
}

async function evaluateOnPool(dir: string, options: EvaluateOptions): Promise<EvaluateReport> {
  const { signal, samples } = options;
  const { progress, seconds } = timed(options.progress ?? silent);
  const { config: asTrained, state, trainSeconds, stageSeconds: trainStageSeconds } = await openRun(
    dir,
    (line) => progress.note(line),
  );
  const config = withMolecule(asTrained, options.molecule, dir);
  const system = createSystem(config.system);
  checkMolecule(config, system);
  const method = methodOf(config);
  if (options.control && method !== "julep" && method !== "internal-julep") {
    throw new InputError(`--control is Julep's: ${dir} holds a run of method ${method}`);
  }
  if (options.buffer && (options.reference || method === "mcmc")) {
    throw new InputError(
      options.reference
        ? "--buffer stands in for --reference: give one of them"
        : `--buffer needs weighted samples: ${dir} holds a run of method ${method}`,
    );
  }
  const steps = stepsOf(config, options.steps, state);
  let reference = options.reference
    ? thin(await loadReference(options.reference, system), system, samples)
    : null;
  progress.note(`system ${system.definition}`);
  progress.note(`hash ${system.hash}`);
  await using pool = await startPool(config, options);
  const jobs = new RunJobs(pool, config.system, signal);
  const sampler = samplerOf(config, system, state, jobs, progress);

  const seeds = Array.from(
    { length: Math.min(options.seeds, samples) },
    (_, k) => config.seed + k,
  );
  const sets: WeightedSamples[] = [];
  for (const [k, seed] of seeds.entries()) {
    const share = Math.floor((k + 1) * samples / seeds.length) -
      Math.floor(k * samples / seeds.length);
    sets.push(await forward(sampler, share, steps, seed, `Sampling, seed ${seed}`));
  }
  const drawn = concatenate(sets, system);
  if (options.buffer) reference = (await ownBuffer(sampler, drawn, config.seed)).positions;
  const back = reference ? await backward(sampler, reference, steps, config.seed) : null;
  const figures = forwardFigures(system, drawn);
  const perSeed = sets.map((set) => forwardFigures(system, set));
  const known = knownValues(config, system);
  const priorDrawn = drawn.chains ? undefined : await priorSamples(sampler, samples, config.seed);
  const prior = priorDrawn?.logWeights ?? new Float64Array(0);
  const priorLogZ = logPartitionFunction(prior);
  const moments = identities(
    system,
    drawn.positions,
    drawn.chains ? null : drawn.logWeights,
    identitySamples(system.particles * system.dimension),
    drawn.islands?.length ?? drawn.chains?.chains,
  );
  const perSample = evaluationsPerSample(drawn, config, steps);
  const trained = trainEvaluations(config, state);
  const molecule = moleculeFigures(config, system, {
    drawn,
    prior: priorDrawn,
    reference: options.buffer ? undefined : back ?? undefined,
    chirality: sampler.chirality ?? null,
  });
  const report: EvaluateReport = {
    system: system.name,
    definition: system.definition,
    hash: system.hash,
    preset: config.preset,
    method,
    backend: pool.backend,
    workers: pool.workers,
    steps,
    seeds,
    essPerSeed: perSeed.map((f) => f.ess),
    logZPerSeed: perSeed.map((f) => f.logZ),
    energyEvaluationsPerSample: perSample,
    trainEvaluations: trained,
    energyEvaluationsInAll: trained === undefined
      ? undefined
      : trained + Math.round(perSample * drawn.energies.length),
    trainEvaluationsOf: state.internal?.evaluationsOf,
    ...(options.buffer ? { buffer: true } : {}),
    ...figures,
    ...(back ? referenceFigures(system, drawn, back) : {}),
    ...(known?.exact
      ? {
        exactLogZ: known.logZ!.value,
        exactMeanEnergy: known.meanEnergy.value,
        exactMeanPairDistance: known.meanPairDistance?.value,
      }
      : known?.logZ && !drawn.chains
      ? { knownLogZ: known.logZ.value, knownLogZSource: known.source }
      : {}),
    trainSeconds,
    sampleSeconds: drawn.seconds,
    trainStageSeconds,
    stageSeconds: {}, // at the end
    ...(drawn.chains ? {} : {
      prior: {
        ess: effectiveSampleSize(prior),
        logZ: priorLogZ.logZ,
        logZStdErr: priorLogZ.standardError,
        normaliser: normaliserFigures(state.mint),
      },
    }),
    identities: moments,
    molecule: molecule?.figures,
    warnings: warnings({
      logWeights: drawn.logWeights,
      logWeightsFromReference: drawn.chains ? undefined : back?.logWeights,
      referenceName: options.buffer ? "the run's own buffer" : undefined,
      islands: drawn.islands,
      chains: drawn.chains,
      exactLogZ: known?.exact ? known.logZ!.value : undefined,
      knownLogZ: known?.logZ && { ...known.logZ, source: known.source },
      identities: moments,
      priorMissesLabellings: missesLabellings(state.mint),
      priorNormaliser: normaliserFigures(state.mint),
    }),
  };
  if (drawn.chains) {
    report.referenceFile = files.reference(dir);
    const size = system.particles * system.dimension;
    await writeFileAtomic(
      report.referenceFile,
      encodeNpy(drawn.positions, [drawn.energies.length, size]),
    );
  }
  if (back && report.prior) {
    const logZ = known?.exact
      ? known.logZ!.value
      : drawn.islands
      ? report.logZ
      : report.logZBothEnds!;
    report.prior.essFromReference = essFromReference(await priorWeightsAt(sampler, back), logZ).ess;
  }
  if (options.control) {
    const model = await trainControl(sampler, config, steps);
    const control = { ...sampler, julep: model };
    const own = await forward(control, samples, steps, config.seed, "Control");
    const ownBack = reference
      ? await backward(control, reference, steps, config.seed, "Control, backward")
      : null;
    report.control = {
      ...forwardFigures(system, own),
      ...(ownBack ? referenceFigures(system, own, ownBack) : {}),
      stepSizes: [...model.logStepSize].map(Math.exp),
    };
  }
  report.stageSeconds = seconds();
  await writeJson(files.evaluation(dir), report);
  await writeReport(dir, config, system, state, {
    drawn,
    backward: back ?? undefined,
    priorLogWeights: prior,
    ramachandran: molecule?.pictures,
    evaluation: report,
  });
  return report;
}

/** Target samples from a .npy file; those of a molecule from any file that holds its configurations. */
async function loadReference(path: string, system: System): Promise<Float64Array> {
  if (!(system instanceof Molecule)) {
    return await readReference(path, system.particles, system.dimension);
  }
  return (await loadConfigurations(path, system.forces.forceField)).positions;
}

/** At most `count` configurations, evenly spaced. */
function thin(reference: Float64Array, system: System, count: number): Float64Array {
  const size = system.particles * system.dimension;
  const total = reference.length / size;
  if (total <= count) return reference;
  const out = new Float64Array(count * size);
  for (let k = 0; k < count; k++) {
    const s = Math.floor(k * total / count);
    out.set(reference.subarray(s * size, (s + 1) * size), k * size);
  }
  return out;
}

/** One set of several; chains of several seeds become one set of more chains. */
function concatenate(sets: readonly WeightedSamples[], system: System): WeightedSamples {
  if (sets.length === 1) return sets[0];
  const f32 = (pick: (s: WeightedSamples) => Float32Array) => {
    const out = new Float32Array(sets.reduce((sum, s) => sum + pick(s).length, 0));
    let at = 0;
    for (const s of sets) {
      out.set(pick(s), at);
      at += pick(s).length;
    }
    return out;
  };
  return {
    positions: f32((s) => s.positions),
    priorPositions: f32((s) => s.priorPositions),
    energies: Float64Array.from(sets.flatMap((s) => [...s.energies])),
    logWeights: Float64Array.from(sets.flatMap((s) => [...s.logWeights])),
    seconds: sets.reduce((sum, s) => sum + s.seconds, 0),
    ...joinedExtras(sets, system),
  };
}

function joinedExtras(sets: readonly WeightedSamples[], system: System): Partial<WeightedSamples> {
  const sum = (pick: (cost: PathCost) => number) =>
    sets.reduce((total, { cost }) => total + (cost ? pick(cost) : 0), 0);
  const extras: { -readonly [K in keyof WeightedSamples]?: WeightedSamples[K] } = {};
  if (sets[0].cost) {
    extras.cost = {
      gradients: sum((c) => c.gradients),
      energies: sum((c) => c.energies),
      flowPasses: sum((c) => c.flowPasses),
    };
  }
  if (sets[0].handedness) {
    extras.handedness = Int8Array.from(sets.flatMap((s) => [...s.handedness!]));
  }
  if (sets[0].islands) extras.islands = sets.flatMap((s) => s.islands ?? []);
  const [{ chains: first }] = sets;
  if (first && sets.every((s) => s.chains?.draws === first.draws)) {
    const { particles, dimension } = system;
    const count = sets.length * first.chains;
    const all = (pick: (s: WeightedSamples) => Float64Array) =>
      chainStatistics(Float64Array.from(sets.flatMap((s) => [...pick(s)])), count);
    extras.chains = {
      ...first,
      chains: count,
      acceptance: sets.reduce((total, s) => total + s.chains!.acceptance, 0) / sets.length,
      energy: all((s) => s.energies),
      pairDistance: all((s) => meanDistances(s.positions, particles, dimension)),
    };
  }
  return extras;
}

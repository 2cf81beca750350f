/** Runs of molecules in internal coordinates: making the prior and its path from the energy alone. */
import type { IslandJob, PathJob } from "../backends/backend.ts";
import type { InternalConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { trainingSeed } from "../julep/train.ts";
import { torsionGridBuild, torsionGridSteps } from "../mint/molecule/build_torsion_grid.ts";
import { referenceGeometry } from "../mint/molecule/cartesian.ts";
import { InternalEnergy } from "../mint/molecule/internal_energy.ts";
import { laplaceModel } from "../mint/molecule/laplace.ts";
import { Conformers } from "../mint/molecule/conformers.ts";
import { differInShape, minimaSearch } from "../mint/molecule/minima.ts";
import type { InternalPrior } from "../mint/molecule/model.ts";
import { defensiveParts, mixtureParts } from "../mint/molecule/parts.ts";
import { softTorsions } from "../mint/molecule/torsions.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import { refuseLinear } from "../systems/molecule/linear.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import type { System } from "../systems/system.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";
import type { InternalStage } from "./directory.ts";
import type { RunJobs } from "./jobs.ts";
import { inTurns } from "./in_turns.ts";
import type { Progress } from "./progress.ts";

/** Minima this far above the lowest (kT) are left out. */
const RANGE = 25;
/** Times the starts asked for that a search may go on for. */
const MOST_ROUNDS = 5;
/** Weight of minima found once that is worth a warning. */
const MUCH_UNSEEN = 0.1;
/** Every component of a mixture costs a Hessian, its memory, and time in every density. */
const MOST_COMPONENTS = 400;
/** 3^7: seven methyls. */
const MAX_IMAGES = 2187;
/** Descent steps of a grid cell's constrained minimum. */
const CELL_STEPS = 300;

/** Throws InputError for a reference that is not of the molecule, or a grid it has no torsions for. */
export async function makeInternal(
  system: System,
  config: InternalConfig,
  seed: number,
  progress: Progress,
  signal?: AbortSignal,
): Promise<InternalStage> {
  if (!(system instanceof Molecule)) throw new InputError("internal: the system is no molecule");
  const { forceField } = system.forces;
  const reference = referenceGeometry(system, config.reference, "internal.reference");
  const coordinates = new ZMatrix(forceField, reference);
  refuseLinear(forceField, coordinates);
  const energy = new InternalEnergy(system, coordinates);
  const soft = softTorsions(forceField, coordinates, reference);
  const name = (i: number) => forceField.atoms.names[i];
  const torsions = soft.map((row) => coordinates.rows[row])
    .map(({ bond, angle }) => `${name(angle)}-${name(bond)}`).join(", ");
  progress.note(
    `internal coordinates from atom ${coordinates.root + 1} (${name(coordinates.root)}), ` +
      `${coordinates.rotors.length} symmetric rotors, soft torsions: ${torsions || "none"}`,
  );
  const conformers = new Conformers(forceField, reference);
  if (conformers.any) {
    progress.note(
      `${conformers.rings.length} rings that may pucker, ${conformers.pyramids.length} nitrogens ` +
        "that may invert",
    );
  }
  const images = coordinates.rotors.reduce((product, { rows }) => product * rows.length, 1);
  if (images > MAX_IMAGES) {
    throw new InputError(
      `the molecule has ${coordinates.rotors.length} symmetric rotors with ${images} relabellings, ` +
        `of which every density is a sum: more than ${MAX_IMAGES} are not summed`,
    );
  }
  const start = new Float64Array(coordinates.size);
  coordinates.fromCartesian(reference, start);
  const { starts, descentSteps: steps } = config;
  const few = soft.length === 1 || soft.length === 2;
  const wanted = config.prior === "torsion_grid" || (config.prior === "auto" && few);
  progress.stage("Minima", starts);
  // A grid goes through the torsions itself.
  const most = wanted && !conformers.any ? starts : MOST_ROUNDS * starts;
  const search = { seed, starts, steps, range: RANGE, conformers, most };
  const { minima, unseen, starts: made } = await inTurns(
    minimaSearch(energy, start, soft, search),
    signal,
    (done) => progress.update(Math.min(done, starts), {}),
  );
  progress.update(starts, { minima: minima.length });
  progress.end();
  const searched = energy.evaluations;
  if (minima.length === 0) throw new InputError("internal.starts: no start could be minimised");
  progress.note(`${minima.length} minima from ${made} starts, ${energy.evaluations} evaluations`);
  const shapes = differInShape(energy, minima, soft);
  const grid = config.prior === "torsion_grid" || (wanted && !shapes);
  if (grid && shapes) {
    progress.note(
      "warning: minima differ by rings or nitrogens, of which every cell of a torsion grid holds " +
        "one shape alone: internal.prior laplace holds all",
    );
  }
  if (!grid && unseen > MUCH_UNSEEN) {
    progress.note(
      `warning: minima that one start alone has found hold ${Math.round(100 * unseen)} % of the ` +
        `weight, about as much has been found by none: raise internal.starts (${starts})`,
    );
  }
  if (grid && (soft.length < 1 || soft.length > 3)) {
    throw new InputError(
      `internal.prior must be "laplace" or "auto": a torsion grid holds 1 to 3 soft torsions, ` +
        `the molecule has ${soft.length}`,
    );
  }
  if (grid && config.refine) {
    throw new InputError(
      'internal.refine is for a mixture of minima: set internal.prior to "laplace" (a torsion grid is not refined)',
    );
  }
  let prior: InternalPrior;
  if (grid) {
    const { cells, subcells } = config;
    progress.stage("Torsion grid", torsionGridSteps(cells, soft.length));
    const parts = defensiveParts(energy, minima[0].z);
    const options = { cells, subcells, steps: CELL_STEPS, parts };
    prior = await inTurns(
      torsionGridBuild(energy, minima[0].z, soft, options),
      signal,
      (done) => progress.update(done, {}),
    );
    progress.end();
  } else {
    if (minima.length > MOST_COMPONENTS) {
      progress.note(`the lowest ${MOST_COMPONENTS} minima make the mixture`);
    }
    const parts = mixtureParts(energy, minima[0].z, soft);
    prior = laplaceModel(energy, minima.slice(0, MOST_COMPONENTS), 1, parts);
  }
  const { levels, leapfrogs, stepSize } = config;
  const model: InternalModel = { reference, prior, levels, leapfrogs, stepSize };
  const evaluationsOf = { minima: searched, prior: energy.evaluations - searched };
  return { model, evaluations: energy.evaluations, evaluationsOf };
}

/** Paths and levels of a pilot that judges the time step, and the acceptance that it must reach. */
const PILOT = 128;
const PILOT_LEVELS = 20;
const LEAST_ACCEPTANCE = 0.45;
const MOST_PILOTS = 10;

/**
 * The model with its time step as small as its moves need: where torsions' responses bend (rings) the
 * harmonic widths that coordinates are whitened by are too large, and paths of refused moves stay the
 * prior's draws.
 */
export async function withStepSize(
  stage: InternalStage,
  seed: number,
  jobs: RunJobs,
  progress: Progress,
): Promise<InternalStage> {
  let { model } = stage;
  if (model.levels === 0) return stage;
  let evaluations = 0;
  for (let pilot = 0; pilot < MOST_PILOTS; pilot++) {
    const job: PathJob = { seed: trainingSeed(seed), first: 0, count: PILOT, direction: "forward" };
    const short = { ...model, levels: Math.min(model.levels, PILOT_LEVELS) };
    const [{ acceptance, cost }] = await jobs.runInternal(short)([job]);
    evaluations += cost.gradients + cost.energies;
    const mean = acceptance.reduce((sum, a) => sum + a, 0) / acceptance.length;
    if (mean >= LEAST_ACCEPTANCE) break;
    const stepSize = 0.7 * model.stepSize;
    progress.note(
      `time step ${model.stepSize.toPrecision(3)}: ${
        (100 * mean).toFixed(0)
      } % of moves accepted, ` +
        `taken smaller (${stepSize.toPrecision(3)})`,
    );
    model = { ...model, stepSize };
  }
  return {
    ...stage,
    model,
    evaluations: stage.evaluations + evaluations,
    evaluationsOf: { ...stage.evaluationsOf, stepSize: evaluations },
  };
}

/** The model with its levels where a pilot island needs them, if it is asked for. */
export async function withLevels(
  stage: InternalStage,
  { resampling, levels }: InternalConfig,
  seed: number,
  jobs: RunJobs,
  progress: Progress,
): Promise<InternalStage> {
  if (!resampling?.conditionalEss || levels === 0) return stage;
  const { population, threshold, conditionalEss } = resampling;
  const job: IslandJob = {
    seed: trainingSeed(seed),
    island: 0,
    population,
    threshold,
    adapt: { conditionalEss, maximum: levels },
  };
  const [{ times, cost, logZ }] = await jobs.runInternalIslands(stage.model)([job]);
  const evaluations = cost.gradients + cost.energies;
  progress.note(
    `${times!.length} levels of conditional ESS ${conditionalEss} by a pilot of ${population}, ` +
      `${evaluations} evaluations, log Z ${logZ.toFixed(3)}`,
  );
  return {
    ...stage,
    model: { ...stage.model, levels: times!.length, times },
    evaluations: stage.evaluations + evaluations,
    evaluationsOf: { ...stage.evaluationsOf, levels: evaluations },
  };
}

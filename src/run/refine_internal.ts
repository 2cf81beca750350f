/**
 * Refinement of a molecule's mixture of minima by weighted samples of its own path (the paper's surrogate,
 * src/mint/molecule/refine.ts), kept only where a buffer that the fit has not seen says it is nearer to the
 * target.
 */
import type { RunConfig } from "../config/config.ts";
import { trainingSeed } from "../julep/train.ts";
import type { LaplaceModel } from "../mint/molecule/laplace.ts";
import { refineMixture } from "../mint/molecule/refine.ts";
import type { MintModel } from "../mint/model.ts";
import type { InternalModel } from "../path/internal_sampler.ts";
import { essFromReference } from "../sampling/diagnostics.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { Molecule } from "../systems/molecule/molecule.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";
import type { InternalStage } from "./directory.ts";
import type { RunJobs } from "./jobs.ts";
import type { Progress } from "./progress.ts";
import { backward, forward, ownBuffer, type Sampler } from "./session.ts";

/** Steps of expectation maximisation on one set of samples. */
const STEPS = 3;
/** Share of a round's paths that are fitted to; the first round's others make the buffer. */
const FITTED = 0.75;
/** Levels of a round's paths at most: their ESS is what counts, and islands may have ten times as many. */
const MOST_LEVELS = 100;
/** Effective samples at least, of a fit and of what the buffer is made from. */
const FEWEST = 10;

/** What a prior is worth on the buffer. */
interface Judgement {
  /** −U − log q of every configuration. */
  readonly logWeights: Float64Array;
  readonly ess: number;
  readonly essFromBuffer: number;
}

/** The stage with its prior refined, or as it was where no round is asked for. */
export async function withRefinement(
  stage: InternalStage,
  config: RunConfig,
  molecule: Molecule,
  mint: MintModel,
  jobs: RunJobs,
  progress: Progress,
): Promise<InternalStage> {
  const { refine, levels } = config.internal!;
  if (!refine) return stage;
  const { rounds, samples, buffer, defensive, strength } = refine;
  const steps = Math.min(levels, MOST_LEVELS);
  const fitting = Math.round(FITTED * samples);
  const start = stage.model.prior;
  if (start.kind !== "laplace") throw new Error("a torsion grid is not refined");
  const coordinates = new ZMatrix(molecule.forces.forceField, stage.model.reference);
  const seed = (round: number) => trainingSeed(config.seed) + (1 + round) * 2 ** 33;
  const samplerOf = (prior: LaplaceModel): Sampler => ({
    system: molecule,
    mint,
    jobs,
    progress,
    julep: null,
    internal: { ...stage.model, prior },
  });
  let evaluations = 0;
  let held: Float64Array | null = null;
  let logZ = 0;
  let best: LaplaceModel = start;
  let fitted: LaplaceModel = start;
  let before: Judgement | null = null;
  for (let round = 0; round < rounds; round++) {
    const sampler = samplerOf(best);
    const drawn = await forward(sampler, samples, steps, seed(round), "Refining the prior");
    evaluations += drawn.cost!.gradients + drawn.cost!.energies;
    const fit = part(drawn, 0, fitting), apart = part(drawn, fitting, samples);
    const fewer = Math.min(...[fit, apart].map(effectiveCount));
    if (!(fewer >= FEWEST)) {
      progress.note(
        `refinement: ${
          fewer.toFixed(0)
        } effective samples of ${samples} are too few, the prior stays ` +
          "as it is (more internal.levels, or internal.refine.samples)",
      );
      break;
    }
    if (!held) {
      const made = await ownBuffer(sampler, apart, seed(rounds), buffer);
      held = made.positions;
      evaluations += made.evaluations;
      logZ = logPartitionFunction(drawn.logWeights).logZ;
      before = await judge(sampler, held, samples, seed(rounds + 1), logZ);
      evaluations += samples + buffer;
    }
    const places = placesOf(coordinates, fit);
    let next = { mixture: best, fitted };
    for (let k = 0; k < STEPS; k++) {
      next = refineMixture(coordinates, start, next.fitted, places, { defensive, strength });
    }
    const after = await judge(samplerOf(next.mixture), held, samples, seed(rounds + 1), logZ);
    evaluations += samples + buffer;
    const gain = pairedGain(before!.logWeights, after.logWeights);
    const better = gain.mean > 2 * gain.standardError &&
      after.essFromBuffer >= before!.essFromBuffer;
    const [own, seen] = (["ess", "essFromBuffer"] as const).map((name) =>
      `${percent(before![name])} to ${percent(after[name])}`
    );
    const rise = `${gain.mean >= 0 ? "+" : ""}${gain.mean.toFixed(3)}`;
    progress.note(
      `refinement ${round + 1}: ESS ${own}, from a buffer ${seen}, log q of the buffer ` +
        `${rise} ± ${gain.standardError.toFixed(3)}: ${better ? "kept" : "not kept"}`,
    );
    if (!better) break;
    best = next.mixture;
    fitted = next.fitted;
    before = after;
  }
  const model: InternalModel = { ...stage.model, prior: best };
  return {
    ...stage,
    model,
    evaluations: stage.evaluations + evaluations,
    evaluationsOf: { ...stage.evaluationsOf, refinement: evaluations },
  };
}

const effectiveCount = ({ logWeights }: { logWeights: Float64Array }) =>
  logWeights.some(Number.isFinite) ? logWeights.length * effectiveSampleSize(logWeights) : 0;

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;

/** Samples from `first` up to `end`. */
function part(
  { positions, energies, logWeights, seconds }: WeightedSamples,
  first: number,
  end: number,
) {
  const size = positions.length / logWeights.length;
  const own = positions.slice(first * size, end * size);
  return {
    positions: own,
    priorPositions: own,
    energies: energies.slice(first, end),
    logWeights: logWeights.slice(first, end),
    seconds,
  };
}

function placesOf(coordinates: ZMatrix, { positions, logWeights }: WeightedSamples) {
  const size = positions.length / logWeights.length;
  const n = coordinates.size;
  const places = new Float64Array(logWeights.length * n);
  logWeights.forEach((_, s) =>
    coordinates.fromCartesian(
      Float64Array.from(positions.subarray(s * size, (s + 1) * size)),
      places.subarray(s * n, (s + 1) * n),
    )
  );
  return { places, logWeights };
}

async function judge(
  sampler: Sampler,
  buffer: Float64Array,
  samples: number,
  seed: number,
  logZ: number,
): Promise<Judgement> {
  const own = await forward(sampler, samples, 0, seed, "Prior");
  const { logWeights } = await backward(sampler, buffer, 0, 0, "Prior at the buffer");
  return {
    logWeights,
    ess: effectiveSampleSize(own.logWeights),
    essFromBuffer: essFromReference(logWeights, logZ).ess,
  };
}

/** Mean of log q after less before, and its standard error. */
function pairedGain(before: Float64Array, after: Float64Array) {
  const gains = before.map((w, s) => w - after[s]); // −U − log q: the energy cancels
  const mean = gains.reduce((a, b) => a + b, 0) / gains.length;
  const variance = gains.reduce((a, b) => a + (b - mean) ** 2, 0) / (gains.length - 1);
  return { mean, standardError: Math.sqrt(variance / gains.length) };
}

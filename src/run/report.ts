/** Puts a run's values together for report.html and picture.svg. */
import type { RunConfig } from "../config/config.ts";
import { methodOf } from "../config/methods.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { averagedJulep } from "../julep/train.ts";
import type { RamachandranPicture, ReportInput } from "../report/input.ts";
import { renderPicture } from "../report/picture.ts";
import { renderReport } from "../report/report.ts";
import { knownValues } from "./chirality.ts";
import type { WeightedSamples } from "../sampling/draw.ts";
import { effectiveSampleSize, logPartitionFunction } from "../sampling/weights.ts";
import type { System } from "../systems/system.ts";
import { VERSION } from "../version.ts";
import { type Curve, files, type TrainingState } from "./directory.ts";
import type { EvaluateReport } from "./evaluate.ts";
import type { Metrics } from "./metrics.ts";

export interface RunReport {
  readonly drawn: WeightedSamples;
  readonly backward?: WeightedSamples;
  readonly priorLogWeights: Float64Array;
  readonly ramachandran?: readonly RamachandranPicture[];
  readonly metrics?: Metrics;
  readonly evaluation?: EvaluateReport;
}

/** Configurations that plots are made from; more do not change a picture. */
const PLOTTED = 20_000;

export async function writeReport(
  out: string,
  config: RunConfig,
  system: System,
  state: TrainingState,
  { drawn, backward, priorLogWeights, ramachandran, metrics, evaluation }: RunReport,
): Promise<void> {
  const size = system.particles * system.dimension;
  const first = (x: Float32Array) => x.subarray(0, PLOTTED * size);
  const figures = evaluation ?? metrics;
  const { backend, workers } = figures ?? { backend: "?", workers: "?" };
  const logZ = logPartitionFunction(priorLogWeights);
  const command = [`mintjulep train ${files.config(out)} --out ${out}`];
  if (evaluation) {
    command.push(
      `mintjulep evaluate ${out} --samples ${evaluation.samples} ` +
        (config.path || config.chains ? "" : `--steps ${evaluation.steps} `) +
        `--seeds ${evaluation.seeds.length}` +
        (evaluation.buffer ? " --buffer" : backward ? " --reference REFERENCE.npy" : "") +
        (evaluation.control ? " --control" : ""),
    );
  }
  const input: ReportInput = {
    config,
    definition: system.definition,
    hash: system.hash,
    madeWith: `mintjulep ${VERSION}, backend ${backend}, ${workers} workers`,
    command: command.join("\n"),
    mintCurve: points(state.mintCurve, ([iteration, loss, ess, temperingExponent, logZ]) => ({
      iteration,
      loss,
      ess,
      temperingExponent,
      logZ,
    })),
    julepCurve: points(state.julepCurve, ([iteration, loss, ess, logZ]) => ({
      iteration,
      loss,
      ess,
      logZ,
    })),
    method: methodOf(config),
    logStepSize: state.julep ? averagedJulep(state.julep).logStepSize : undefined,
    mint: state.mint,
    prior: drawn.chains || drawn.islands ? undefined : { positions: first(drawn.priorPositions) },
    samples: {
      positions: first(drawn.positions),
      energies: drawn.energies.subarray(0, PLOTTED),
      logWeights: drawn.logWeights.subarray(0, PLOTTED),
    },
    reference: backward && {
      positions: first(backward.positions),
      energies: backward.energies.subarray(0, PLOTTED),
    },
    logWeightsFromReference: drawn.chains ? undefined : backward?.logWeights,
    figures,
    control: evaluation?.control,
    mintAlone: drawn.chains ? undefined : {
      samples: priorLogWeights.length,
      ess: effectiveSampleSize(priorLogWeights),
      logZ: logZ.logZ,
      logZStdErr: logZ.standardError,
      essFromReference: evaluation?.prior?.essFromReference,
    },
    exact: knownValues(config, system),
    identities: evaluation?.identities,
    ramachandran,
    warnings: evaluation?.warnings,
  };
  await writeFileAtomic(files.report(out), renderReport(input));
  await writeFileAtomic(files.picture(out), renderPicture(input));
}

function points<P>(curve: Curve, point: (row: number[]) => P): P[] {
  return curve.rows.map(point);
}

/**
 * The demo: train DW-4 with the default preset, draw, evaluate, write runs/dw4/, end with a table.
 *
 * Usage: deno task demo [--samples 20000] [--out runs/dw4]. A run that was stopped is taken up; one
 * of another configuration is replaced.
 */
import { join } from "node:path";
import { displayProgress } from "../src/cli/progress.ts";
import { preset } from "../src/config/presets.ts";
import { InputError } from "../src/errors.ts";
import { canonicalJson } from "../src/io/json.ts";
import { evaluateRun } from "../src/run/evaluate.ts";
import { sampleRun } from "../src/run/draw.ts";
import { exists, files, readRunConfig } from "../src/run/directory.ts";
import { resumeTraining, train } from "../src/run/train.ts";

function option(name: string, fallback: string): string {
  const at = Deno.args.indexOf(name);
  return at < 0 ? fallback : Deno.args[at + 1];
}

async function isSameRun(dir: string): Promise<boolean> {
  if (!await exists(files.config(dir))) return false;
  try {
    return canonicalJson(await readRunConfig(dir)) === canonicalJson(preset("dw4"));
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

const out = option("--out", "runs/dw4");
const samples = Number(option("--samples", "20000"));
const progress = displayProgress();
const backend = "auto" as const;
const trained = await isSameRun(out)
  ? await resumeTraining(out, { backend, progress })
  : await train(preset("dw4"), { out, backend, overwrite: true, progress });
const file = join(out, "samples.npz");
await sampleRun(out, { samples: Math.min(samples, 10_000), out: file, backend, progress });
const report = await evaluateRun(out, { samples, seeds: 5, control: true, backend, progress });

const number = (x: number | undefined, digits: number) => x === undefined ? "" : x.toFixed(digits);
const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
const rows: [string, string, string][] = [
  ["DW-4", "MintJulep", "exact"],
  ["path ESS", percent(report.ess), ""],
  ["  median of batches", percent(report.essMedianOfBatches), ""],
  ["  control (no network)", percent(report.control!.ess), ""],
  ["  Mint alone", percent(report.prior!.ess), ""],
  [
    "log Z",
    `${number(report.logZ, 4)} ± ${number(report.logZStdErr, 4)}`,
    number(report.exactLogZ, 6),
  ],
  [
    "mean energy",
    `${number(report.meanEnergy, 4)} ± ${number(report.meanEnergyStdErr, 4)}`,
    number(report.exactMeanEnergy, 6),
  ],
  [
    "mean pair distance",
    `${number(report.meanPairDistance, 4)} ± ${number(report.meanPairDistanceStdErr, 4)}`,
    number(report.exactMeanPairDistance, 6),
  ],
  ["energy evaluations per sample", String(report.energyEvaluationsPerSample), ""],
  [
    "training, sampling",
    `${trained.trainSeconds.toFixed(0)} s, ${report.sampleSeconds.toFixed(0)} s`,
    "",
  ],
];
const widths = [0, 1, 2].map((c) => Math.max(...rows.map((r) => r[c].length)));
console.log();
for (const row of rows) {
  console.log(row.map((cell, c) => cell.padEnd(widths[c] + 2)).join("").trimEnd());
}
for (const warning of report.warnings) console.log(`warning: ${warning}`);
console.log(`\nfiles: ${file}, ${files.report(out)}, ${files.evaluation(out)}`);

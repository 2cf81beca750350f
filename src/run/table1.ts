/**
 * `table1`: the paper's table beside ours, every row a run in a folder of its own, so that a stopped
 * table goes on where it was and a finished row is not computed again, unless by other code.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { join } from "node:path";
import type { BackendChoice } from "../backends/select.ts";
import { loadConfig } from "../config/load.ts";
import { AbortedError } from "../errors.ts";
import { ensureWritableDirectory, writeFileAtomic } from "../io/atomic.ts";
import { canonicalJson } from "../io/json.ts";
import { exactValues } from "../sampling/exact.ts";
import { VERSION } from "../version.ts";
import { codeDigest } from "./code.gen.ts";
import { exists, files, openRun, readRunConfig, writeJson } from "./directory.ts";
import { type EvaluateReport, evaluateRun } from "./evaluate.ts";
import type { ForwardFigures, ReferenceFigures } from "./figures.ts";
import { type Progress, silent } from "./progress.ts";
import { markdownTable } from "./table1_markdown.ts";
import {
  type Effort,
  effort,
  type Published,
  publishedEnergies,
  type TablePreset,
  tablePresets,
  type TableRow,
  tableRows,
} from "./table1_rows.ts";
import { resumeTraining, train } from "./train.ts";

export interface TableOptions {
  readonly out: string;
  /** Samples of a row in all five seeds, where the row's effort allows as many. */
  readonly samples: number;
  readonly quick: boolean;
  /** Systems and rows; all by default. */
  readonly presets?: readonly string[];
  readonly rows?: readonly string[];
  readonly seed?: number;
  readonly workers?: number;
  readonly backend: BackendChoice;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** One line of the table. */
export interface TableResult {
  readonly preset: TablePreset;
  readonly row: string;
  readonly title: string;
  readonly samples?: number;
  readonly essOf?: ForwardFigures["essOf"];
  /** Median over the evaluation seeds, and all samples pooled; fractions. */
  readonly essMedian?: number | null;
  readonly ess?: number | null;
  readonly essStdErr?: number | null;
  readonly essFromReference?: number | null;
  readonly logZ?: number | null;
  readonly logZStdErr?: number | null;
  readonly meanEnergy?: number | null;
  readonly meanEnergyStdErr?: number | null;
  readonly energyW2?: number | null;
  readonly energyW2NoiseFloor?: number | null;
  readonly energyEvaluationsPerSample?: number;
  readonly trainSeconds?: number;
  readonly sampleSeconds?: number;
  /** The paper's figure, per cent. */
  readonly published?: Published;
  readonly warnings?: readonly string[];
  /** Fields and sample number that differ from the method's own and from what was asked for. */
  readonly shortened?: readonly string[];
  /** Why there are no figures. */
  readonly left?: string;
}

export interface TableSystem {
  readonly preset: TablePreset;
  readonly definition: string;
  readonly hash: string;
  readonly logZ?: { value: number; uncertainty: number; source: string };
  readonly meanEnergy?: { value: number; uncertainty: number; source: string };
  readonly results: readonly TableResult[];
}

export interface Table {
  readonly version: string;
  readonly quick: boolean;
  readonly samples: number;
  readonly seeds: number;
  readonly systems: readonly TableSystem[];
}

/** Evaluation seeds of every row. */
const SEEDS = 5;

/** Samples of the check that training ends with: every row is evaluated right after it. */
const CHECK = 128;

/** Runs what is missing and writes table1.json and table1.md after every row. */
export async function table1(options: TableOptions): Promise<{ table: Table; markdown: string }> {
  const { out, quick, samples, progress = silent } = options;
  await ensureWritableDirectory(out);
  const presets = tablePresets.filter((p) => options.presets?.includes(p) ?? true);
  const rows = tableRows.filter((r) => options.rows?.includes(r.name) ?? true);
  const results = new Map<TablePreset, TableResult[]>(presets.map((p) => [p, []]));
  const save = async () => {
    const table: Table = {
      version: VERSION,
      quick,
      samples,
      seeds: SEEDS,
      systems: await Promise.all(presets.map((p) => systemOf(out, p, results.get(p)!))),
    };
    const markdown = markdownTable(table);
    await writeJson(join(out, "table1.json"), table);
    await writeFileAtomic(join(out, "table1.md"), markdown);
    return { table, markdown };
  };
  for (const preset of presets) {
    for (const row of rows) {
      const wanted = effort(preset, row, quick);
      if (wanted.left) {
        results.get(preset)!.push({ ...base(preset, row), left: wanted.left });
        continue;
      }
      progress.note(`table1: ${preset}, ${row.title}`);
      try {
        results.get(preset)!.push(...await runRow(preset, row, wanted, options));
      } catch (error) {
        if (error instanceof AbortedError || !(error instanceof Error)) throw error;
        // One row that cannot be computed must not take the others with it.
        progress.end();
        progress.note(`table1: ${preset}, ${row.title}: ${error.message}`);
        results.get(preset)!.push({ ...base(preset, row), left: error.message });
      }
      await save();
    }
  }
  return await save();
}

const base = (preset: TablePreset, row: TableRow) => ({
  preset,
  row: row.name,
  title: row.title,
  published: row.published?.[preset],
});

const folder = (out: string, preset: string, row: string) => join(out, preset, row);

async function systemOf(
  out: string,
  preset: TablePreset,
  results: readonly TableResult[],
): Promise<TableSystem> {
  const { system } = loadConfig(preset);
  const known = exactValues(system);
  const source = known?.source ?? "";
  let definition = "", hash = "";
  for (const { row } of results) {
    const path = files.evaluation(folder(out, preset, row));
    if (!await exists(path)) continue;
    ({ definition, hash } = JSON.parse(await Deno.readTextFile(path)));
  }
  return {
    preset,
    definition,
    hash,
    logZ: known?.logZ ? { ...known.logZ, source } : undefined,
    meanEnergy: known ? { ...known.meanEnergy, source } : publishedEnergies[preset],
    results,
  };
}

/** row.json: whose code the folder's run is, and once it is evaluated under what settings. */
interface KeptRow {
  readonly code?: string;
  readonly key?: string;
  readonly results?: TableResult[];
}

/**
 * The row's results: of a finished run with the same settings by the same code, or of one that is run
 * now.
 */
async function runRow(
  preset: TablePreset,
  row: TableRow,
  wanted: Effort,
  options: TableOptions,
): Promise<TableResult[]> {
  const { out, workers, backend, signal, progress, seed } = options;
  const dir = folder(out, preset, row.name);
  const set = seed === undefined ? wanted.set : [...wanted.set, `seed=${seed}`];
  const config = loadConfig(preset, set, row.method);
  const samples = Math.min(options.samples, wanted.samples);
  const reference = row.method === "mcmc"
    ? undefined
    : files.reference(folder(out, preset, "mcmc"));
  const machine = { workers, backend, signal, progress };
  const frames = reference && await exists(reference) ? await Deno.readFile(reference) : undefined;
  if (reference && !frames) {
    progress?.note(`table1: no ${reference}: nothing from the reference without row mcmc`);
  }
  const evaluation = {
    samples,
    seeds: SEEDS,
    control: row.method === "julep",
    reference: frames && reference,
  };
  const key = canonicalJson({
    config,
    ...evaluation,
    reference: frames && bytesToHex(sha256(frames)),
  });
  const done = join(dir, "row.json");
  const kept: KeptRow = await exists(done) ? JSON.parse(await Deno.readTextFile(done)) : {};
  if (kept.code !== codeDigest) {
    if (await exists(files.config(dir))) {
      progress?.note(`table1: ${dir} was made by other code: it is run again`);
      // Nothing of it is taken up, not even after a stop right here.
      await Deno.remove(files.config(dir));
    }
    await ensureWritableDirectory(dir);
    await writeJson(done, { code: codeDigest } satisfies KeptRow);
  } else if (kept.key === key && kept.results) return kept.results;
  await trainOnce(dir, config, machine);
  const report = await evaluateRun(dir, { ...evaluation, ...machine });
  const shortened = [
    ...wanted.set,
    ...(samples < options.samples ? [`${samples} samples`] : []),
  ];
  const results = resultsOf(preset, row, report, shortened);
  await writeJson(done, { code: codeDigest, key, results } satisfies KeptRow);
  return results;
}

/** Trains, goes on with training, or leaves a finished run as it is. */
async function trainOnce(
  dir: string,
  config: ReturnType<typeof loadConfig>,
  machine: Pick<TableOptions, "workers" | "backend" | "signal" | "progress">,
): Promise<void> {
  const same = await exists(files.config(dir)) &&
    canonicalJson(await readRunConfig(dir)) === canonicalJson(config);
  if (!same) {
    await train(config, { ...machine, out: dir, overwrite: true, checkSamples: CHECK });
    return;
  }
  try {
    await openRun(dir);
  } catch {
    await resumeTraining(dir, { ...machine, checkSamples: CHECK });
  }
}

function resultsOf(
  preset: TablePreset,
  row: TableRow,
  report: EvaluateReport,
  shortened: readonly string[],
): TableResult[] {
  const own: TableResult = {
    ...base(preset, row),
    ...figuresOf(report),
    essMedian: median(report.essPerSeed),
    energyEvaluationsPerSample: report.energyEvaluationsPerSample,
    trainSeconds: report.trainSeconds,
    sampleSeconds: report.sampleSeconds,
    warnings: report.warnings,
    ...(shortened.length ? { shortened } : {}),
  };
  const { control } = report;
  if (!control) return [own];
  return [own, {
    preset,
    row: "control",
    title: "control (no network)",
    ...figuresOf(control),
    essMedian: control.essMedianOfBatches,
    energyEvaluationsPerSample: report.energyEvaluationsPerSample,
  }];
}

function figuresOf(f: ForwardFigures & Partial<ReferenceFigures>) {
  return {
    samples: f.samples,
    essOf: f.essOf,
    ess: f.ess,
    essStdErr: f.essStdErr,
    essFromReference: f.essFromReference,
    logZ: f.logZ,
    logZStdErr: f.logZStdErr,
    meanEnergy: f.meanEnergy,
    meanEnergyStdErr: f.meanEnergyStdErr,
    energyW2: f.energyW2,
    energyW2NoiseFloor: f.energyW2NoiseFloor,
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

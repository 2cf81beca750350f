/**
 * How things are compared: jobs run in turn (A B C, A B C, ...) in one process, so that a busy
 * machine slows all alike; each is warmed past V8's tiers; its time is the median of its rounds in
 * processor time, which other processes do not add to. Ratios come first: they carry over to other
 * machines, times do not.
 */
import { cpuUsage } from "node:process";

const WARMUP_CALLS = 25;
const WARMUP_MILLISECONDS = 100;
const ROUND_MILLISECONDS = 4;
const ROUNDS = 25;

export interface Comparison {
  readonly group: string;
  readonly unit: string;
  /** Work per second of every job, in `unit`. */
  readonly rates: Record<string, number>;
  /** Rate of the first job over that of each other one. */
  readonly ratios: Record<string, number>;
  /** Smallest and largest round over the median, of every job. */
  readonly spread: Record<string, readonly [number, number]>;
}

export interface WorkOptions {
  /** What is counted, e.g. "M pairs/s". */
  readonly unit: string;
  /** How many units one call of a job does, e.g. 1e-6 of its pairs for "M pairs/s"; of each where they differ. */
  readonly work: number | Record<string, number>;
}

/** Prints lines and comparisons and keeps them for --json. Calling it prints one line. */
export interface BenchReport {
  (line: string): void;
  /** Times the jobs; the first is the one that is judged against the others. */
  compare(group: string, jobs: Record<string, () => void>, options: WorkOptions): Comparison;
  readonly lines: string[];
  readonly comparisons: Comparison[];
}

export function createReport(print: (line: string) => void = console.log): BenchReport {
  const lines: string[] = [];
  const comparisons: Comparison[] = [];
  const line = (text: string) => {
    lines.push(text);
    print(text);
  };
  const compareAndPrint: BenchReport["compare"] = (group, jobs, options) => {
    const result = compare(group, jobs, options);
    comparisons.push(result);
    const [subject] = Object.keys(jobs);
    const against = Object.entries(result.ratios).map(([name, r]) => `${r.toFixed(2)} x ${name}`);
    line(
      `${group}: ${against.join(", ") || "alone"}   (${subject} ` +
        `${figures(result.rates[subject])} ${options.unit})`,
    );
    return result;
  };
  return Object.assign(line, { compare: compareAndPrint, lines, comparisons });
}

/** Milliseconds of processor time this process has used, all threads. */
function processTime(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

/** Times the jobs against each other; prints nothing. */
export function compare(
  group: string,
  jobs: Record<string, () => void>,
  { unit, work }: WorkOptions,
): Comparison {
  const names = Object.keys(jobs);
  const repeats = names.map((name) => warmUp(jobs[name]));
  const samples: number[][] = names.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    names.forEach((name, k) => {
      const job = jobs[name];
      const start = processTime();
      for (let call = 0; call < repeats[k]; call++) job();
      samples[k].push((processTime() - start) / repeats[k]);
    });
  }
  const rates: Comparison["rates"] = {};
  const ratios: Comparison["ratios"] = {};
  const spread: Record<string, readonly [number, number]> = {};
  names.forEach((name, k) => {
    const middle = median(samples[k]);
    rates[name] = (1000 * (typeof work === "number" ? work : work[name])) / middle;
    spread[name] = [Math.min(...samples[k]) / middle, Math.max(...samples[k]) / middle];
    if (k > 0) ratios[name] = rates[names[0]] / rates[name];
  });
  return { group, unit, rates, ratios, spread };
}

/** Runs a job past V8's tier-up; returns how many calls fill a round. */
function warmUp(job: () => void): number {
  const start = performance.now();
  let calls = 0;
  while (calls < WARMUP_CALLS || performance.now() - start < WARMUP_MILLISECONDS) {
    job();
    calls++;
  }
  const timed = performance.now();
  for (let call = 0; call < WARMUP_CALLS; call++) job();
  const each = (performance.now() - timed) / WARMUP_CALLS;
  return Math.max(1, Math.round(ROUND_MILLISECONDS / each));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Three significant digits. */
export const figures = (value: number): string => String(Number(value.toPrecision(3)));

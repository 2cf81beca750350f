/**
 * A GPU wants few, large jobs: consecutive trajectory jobs become one, and its result is cut up again.
 * No result depends on the split of samples, so the caller sees what it asked for.
 */
import {
  type ChainsJob,
  type ChainsResult,
  type GradientJob,
  type GradientResult,
  LANES,
  type PathCost,
  type PathJob,
  type PathResult,
  type TrajectoryJob,
  type TrajectoryResult,
} from "../backends/backend.ts";

/** Jobs from..from + count − 1 of the caller, as one. */
export interface Merged<Job> {
  readonly job: Job;
  readonly from: number;
  /** Samples of each of the caller's jobs. */
  readonly counts: readonly number[];
}

interface Range {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
}

/** Runs of jobs that `alike` lets go together, each of at most `largest` samples. */
function runsOf<J extends Range>(
  jobs: readonly J[],
  largest: number,
  alike: (a: J, b: J) => boolean,
): J[][] {
  const runs: J[][] = [];
  let samples = 0;
  for (const job of jobs) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const follows = last && last.seed === job.seed && last.first + last.count === job.first &&
      last.count % LANES === 0 && samples + job.count <= largest && alike(last, job);
    if (follows) run!.push(job);
    else {
      runs.push([job]);
      samples = 0;
    }
    samples += job.count;
  }
  return runs;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);

function concat<A extends Float64Array | Int32Array>(parts: readonly A[]): A {
  const length = sum(parts.map((part) => part.length));
  const out = new (parts[0].constructor as new (length: number) => A)(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** (rows, a) and (rows, b) ... side by side. */
function besides(parts: readonly Float64Array[], rows: number): Float64Array {
  const widths = parts.map((part) => part.length / rows);
  const width = sum(widths);
  const out = new Float64Array(rows * width);
  let at = 0;
  parts.forEach((part, k) => {
    for (let r = 0; r < rows; r++) {
      out.set(part.subarray(r * widths[k], (r + 1) * widths[k]), r * width + at);
    }
    at += widths[k];
  });
  return out;
}

/** Columns [from, from + count) of a (rows, width) array. */
function columns(source: Float64Array, rows: number, from: number, count: number): Float64Array {
  const width = source.length / rows;
  const out = new Float64Array(rows * count);
  for (let r = 0; r < rows; r++) {
    out.set(source.subarray(r * width + from, r * width + from + count), r * count);
  }
  return out;
}

export function mergeTrajectories(
  jobs: readonly TrajectoryJob[],
  largest: number,
): Merged<TrajectoryJob>[] {
  const alike = (a: TrajectoryJob, b: TrajectoryJob) =>
    a.times === b.times && a.direction === b.direction && a.keep === b.keep &&
    Boolean(a.windows) === Boolean(b.windows);
  let from = 0;
  return runsOf(jobs, largest, alike).map((run) => {
    const counts = run.map(({ count }) => count);
    const merged = {
      from,
      counts,
      job: {
        ...run[0],
        count: sum(counts),
        ...(run[0].positions && { positions: concat(run.map((job) => job.positions!)) }),
        ...(run[0].windows && { windows: concat(run.map((job) => job.windows!)) }),
      },
    };
    from += run.length;
    return merged;
  });
}

/** One result for each of the caller's jobs; all of them name the same stored states. */
export function splitTrajectories(
  { job, counts }: Merged<TrajectoryJob>,
  result: TrajectoryResult,
): TrajectoryResult[] {
  const steps = job.times.length - 1;
  const size = job.count > 0 ? result.positions.length / job.count : 0;
  let at = 0;
  return counts.map((count) => {
    const [from, to] = [at, at + count];
    at = to;
    return {
      positions: result.positions.slice(from * size, to * size),
      priorPositions: result.priorPositions.slice(from * size, to * size),
      energies: result.energies.slice(from, to),
      logWeights: result.logWeights.slice(from, to),
      ...(result.increments && { increments: columns(result.increments, steps, from, count) }),
      ...(result.states && { states: result.states.slice(), forces: result.forces!.slice() }),
    };
  });
}

export function mergePaths(jobs: readonly PathJob[], largest: number): Merged<PathJob>[] {
  const alike = (a: PathJob, b: PathJob) =>
    a.direction === b.direction && Boolean(a.keepIncrements) === Boolean(b.keepIncrements);
  return joined(jobs, largest, alike, (run) => ({
    ...(run[0].positions && { positions: concat(run.map((job) => job.positions!)) }),
  }));
}

export function splitPaths({ job, counts }: Merged<PathJob>, result: PathResult): PathResult[] {
  const size = job.count > 0 ? result.positions.length / job.count : 0;
  const levels = (result.increments?.length ?? 0) / Math.max(1, job.count);
  return cut(counts, (at, count) => ({
    positions: result.positions.slice(at * size, (at + count) * size),
    priorPositions: result.priorPositions.slice(at * size, (at + count) * size),
    energies: result.energies.slice(at, at + count),
    logWeights: result.logWeights.slice(at, at + count),
    // Means over the merged job: no finer ones are known.
    acceptance: result.acceptance.slice(),
    ...(result.increments && { increments: columns(result.increments, levels, at, count) }),
    cost: share(result.cost, count / job.count),
  }));
}

export function mergeChains(jobs: readonly ChainsJob[], largest: number): Merged<ChainsJob>[] {
  const settings = ({ seed: _, first: __, count: ___, positions: ____, ...rest }: ChainsJob) =>
    JSON.stringify(rest);
  const alike = (a: ChainsJob, b: ChainsJob) => settings(a) === settings(b);
  return joined(jobs, largest, alike, (run) => ({
    positions: concat(run.map((job) => job.positions)),
  }));
}

export function splitChains(
  { job, counts }: Merged<ChainsJob>,
  result: ChainsResult,
): ChainsResult[] {
  const { draws } = job;
  const size = job.count > 0 ? result.positions.length / (job.count * draws) : 0;
  return cut(counts, (at, count) => ({
    positions: result.positions.slice(at * draws * size, (at + count) * draws * size),
    energies: result.energies.slice(at * draws, (at + count) * draws),
    acceptance: result.acceptance.slice(at, at + count),
    stepSize: result.stepSize.slice(at, at + count),
    cost: share(result.cost, count / job.count),
  }));
}

/** Runs of jobs as one each, with what else the merged job has. */
function joined<J extends Range>(
  jobs: readonly J[],
  largest: number,
  alike: (a: J, b: J) => boolean,
  more: (run: readonly J[]) => Partial<J>,
): Merged<J>[] {
  let from = 0;
  return runsOf(jobs, largest, alike).map((run) => {
    const counts = run.map(({ count }) => count);
    const merged = { from, counts, job: { ...run[0], count: sum(counts), ...more(run) } };
    from += run.length;
    return merged;
  });
}

/** A part of a result for each of the caller's jobs. */
function cut<R>(counts: readonly number[], part: (at: number, count: number) => R): R[] {
  let at = 0;
  return counts.map((count) => {
    at += count;
    return part(at - count, count);
  });
}

function share({ gradients, energies, flowPasses }: PathCost, fraction: number): PathCost {
  return {
    gradients: Math.round(gradients * fraction),
    energies: Math.round(energies * fraction),
    flowPasses: Math.round(flowPasses * fraction),
  };
}

/** Jobs along the same stored states as one. */
export function mergeGradients(jobs: readonly GradientJob[]): Merged<GradientJob>[] {
  const alike = (a: GradientJob, b: GradientJob) =>
    a.states.length === 1 && b.states.length === 1 && a.states[0] === b.states[0] &&
    a.throughPath === b.throughPath;
  let from = 0;
  return runsOf(jobs, Infinity, alike).map((run) => {
    const steps = run[0].times.length - 1;
    const counts = run.map(({ count }) => count);
    const merged = {
      from,
      counts,
      job: {
        ...run[0],
        count: sum(counts),
        coefficients: besides(run.map((job) => job.coefficients), steps),
        stepCoefficients: besides(run.map((job) => job.stepCoefficients), steps),
        windows: concat(run.map((job) => job.windows)),
      },
    };
    from += run.length;
    return merged;
  });
}

/** The gradients are summed in any case: the first of the caller's jobs gets it, the others zero. */
export function splitGradients(
  { counts }: Merged<GradientJob>,
  result: GradientResult,
): GradientResult[] {
  return counts.map((_, k) =>
    k === 0 ? result : {
      parameters: new Float64Array(result.parameters.length),
      logStepSize: new Float64Array(result.logStepSize.length),
    }
  );
}

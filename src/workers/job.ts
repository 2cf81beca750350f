/** What can be asked of a pool: the executor's jobs as plain data, and how their arrays travel. */
import type {
  AdaptLevelsJob,
  AdaptLevelsResult,
  ChainsJob,
  ChainsResult,
  DrawJob,
  EnergyJob,
  Executor,
  FlowFitJob,
  FlowFitResult,
  GradientJob,
  GradientResult,
  IslandJob,
  IslandResult,
  MaybePromise,
  MintGradientJob,
  PathJob,
  PathResult,
  PriorDraw,
  TrainJob,
  TrainResult,
  TrajectoryJob,
  TrajectoryResult,
} from "../backends/backend.ts";

/** Argument and result of every job, under the executor's own names (see backend.ts). */
export interface Jobs {
  /** Prior draws with log q and U. */
  drawPrior: { job: DrawJob; result: PriorDraw };
  /** log q of given positions. */
  priorLogDensity: {
    job: {
      readonly count: number;
      /** (count, N, n). */
      readonly positions: Float64Array;
    };
    result: Float64Array;
  };
  /** Σ weights · ∂(−log q)/∂parameters. */
  mintGradient: { job: MintGradientJob; result: Float64Array };
  /** U_t, (count), and ∂U_t/∂x, (count, N, n). */
  energies: { job: EnergyJob; result: { energies: Float64Array; gradients: Float64Array } };
  /** Whole paths of the transport. */
  trajectories: { job: TrajectoryJob; result: TrajectoryResult };
  /** Gradients along stored trajectories. */
  trajectoryGradient: { job: GradientJob; result: GradientResult };
  /** Whole iterations of training; only where a device keeps what they need. */
  train: { job: TrainJob; result: TrainResult };
  /** Annealed paths without a network. */
  paths: { job: PathJob; result: PathResult };
  /** One island of Sequential Monte Carlo. */
  island: { job: IslandJob; result: IslandResult };
  /** Fits the pair flow of a path. */
  fitFlow: { job: FlowFitJob; result: FlowFitResult };
  /** Chooses the levels of a path. */
  adaptLevels: { job: AdaptLevelsJob; result: AdaptLevelsResult };
  /** HMC chains on the target. */
  chains: { job: ChainsJob; result: ChainsResult };
}
/** Name of a job. */
export type JobName = keyof Jobs;
/** Argument of a job. */
export type Job<K extends JobName> = Jobs[K]["job"];
/** Result of a job. */
export type Result<K extends JobName> = Jobs[K]["result"];

const handlers: {
  [K in JobName]: (executor: Executor, job: Job<K>) => MaybePromise<Result<K>>;
} = {
  drawPrior: (executor, job) => executor.drawPrior(job),
  priorLogDensity: (executor, job) => executor.priorLogDensity(job.positions, job.count),
  mintGradient: (executor, job) => executor.mintGradient(job),
  energies: (executor, job) => executor.energies(job),
  trajectories: (executor, job) => executor.trajectories(job),
  trajectoryGradient: (executor, job) => executor.trajectoryGradient(job),
  train: (executor, job) => {
    if (!executor.train) throw new Error(`the ${executor.name} backend trains job by job`);
    return executor.train(job);
  },
  paths: (executor, job) => executor.paths(job),
  island: (executor, job) => executor.island(job),
  fitFlow: (executor, job) => executor.fitFlow(job),
  adaptLevels: (executor, job) => executor.adaptLevels(job),
  chains: (executor, job) => executor.chains(job),
};

/** Does one job on an executor. */
export function execute<K extends JobName>(
  executor: Executor,
  name: K,
  job: Job<K>,
): MaybePromise<Result<K>> {
  return handlers[name](executor, job);
}

/** A job in words, for messages: "trajectories of samples 64 to 127". */
export function describeJob<K extends JobName>(name: K, job: Job<K>): string {
  if ("population" in job) return `${name} of a population of ${job.population}`;
  return "first" in job
    ? `${name} of samples ${job.first} to ${job.first + job.count - 1}`
    : `${name} of ${job.count} samples`;
}

type Packed<T> = { value: T; buffers: ArrayBuffer[] };

/**
 * A job ready to be sent: arrays named in `consume` go as they are (their buffers will be emptied),
 * all others as copies, so that the caller's arrays stay whole and the job can be sent again.
 */
export function packJob<T extends object>(job: T, consume: readonly string[] = []): Packed<T> {
  const buffers = new Set<ArrayBuffer>();
  const value: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(job)) {
    value[key] = isTypedArray(field) ? packArray(field, !consume.includes(key), buffers) : field;
  }
  return { value: value as T, buffers: [...buffers] };
}

/** A result ready to be sent: every array is given away, copied only where it must be. */
export function packResult<T extends object>(result: T): Packed<T> {
  const buffers = new Set<ArrayBuffer>();
  if (isTypedArray(result)) {
    const value = packArray(result, false, buffers) as T;
    return { value, buffers: [...buffers] };
  }
  const value: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(result)) {
    value[key] = isTypedArray(field) ? packArray(field, false, buffers) : field;
  }
  return { value: value as T, buffers: [...buffers] };
}

type TypedArray = Float64Array | Float32Array | Int32Array;

function isTypedArray(value: unknown): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/**
 * A view of part of a buffer is copied in any case: sending it would take the whole buffer along,
 * and a WebAssembly memory cannot be given away.
 */
function packArray(array: TypedArray, copy: boolean, buffers: Set<ArrayBuffer>): TypedArray {
  const whole = array.buffer instanceof ArrayBuffer && array.byteOffset === 0 &&
    array.byteLength === array.buffer.byteLength;
  const sent = copy || !whole ? array.slice() : array;
  buffers.add(sent.buffer as ArrayBuffer);
  return sent;
}

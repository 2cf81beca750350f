/**
 * A pool of workers, each with one executor. Jobs are pure functions of their arguments and of the
 * problem the pool was prepared with, and results come in job order, so nothing depends on the
 * number of workers.
 */
import * as Comlink from "comlink";
import type { BackendName, Problem } from "../backends/backend.ts";
import type { ExecutorOptions } from "../backends/create.ts";
import { AbortedError, InputError } from "../errors.ts";
import { describeJob, type Job, type JobName, packJob, type Result } from "./job.ts";
import { RemoteWorker, WorkerLostError } from "./remote.ts";

export { WorkerLostError } from "./remote.ts";
export type { Job, JobName, Jobs, Result } from "./job.ts";
export { chunks } from "./chunks.ts";

/** How a pool is started. */
export interface PoolOptions {
  /** What computes in every worker. */
  readonly backend: BackendName;
  /** Number of workers, 1 to 1024; default: the machine's cores. */
  readonly workers?: number;
  /** How each worker's executor is made. */
  readonly executor?: ExecutorOptions;
  /** Told in one line when a worker is lost. */
  readonly progress?: { note(line: string): void };
  /** Entry file of the workers, if not worker.ts. */
  readonly workerUrl?: URL;
}

/** How one or several jobs are done. */
export interface JobOptions<K extends JobName> {
  /** Rejects with AbortedError at once; workers finish the job at hand and stay usable. */
  readonly signal?: AbortSignal;
  /**
   * Array fields of the job whose buffers are given away instead of copied: the caller's arrays are
   * empty afterwards. Such a job is not tried again when its worker dies.
   */
  readonly consume?: readonly (string & keyof Job<K>)[];
  /**
   * map and forEach: job i goes, if it can, to the worker that did job i of the last call with
   * `revisit`, which may still hold what it computed for it. Results do not depend on it.
   */
  readonly revisit?: boolean;
}

interface Prepared {
  readonly version: number;
  readonly problem: Problem;
}

interface Task {
  readonly label: string;
  readonly prepared: Prepared;
  readonly send: (worker: RemoteWorker) => Promise<unknown>;
  readonly consumed: boolean;
  /** Its place among the jobs of a call with `revisit`. */
  readonly place: number | undefined;
  /** Workers it has taken down. */
  losses: number;
  settled: boolean;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A place for a worker; empty at first and after the worker was lost. */
interface Slot {
  readonly index: number;
  worker: RemoteWorker | undefined;
  busy: boolean;
}

/** Workers with a backend each, which do the jobs of the stages; dispose of it at the end. */
export class ExecutorPool implements AsyncDisposable {
  /** What computes. */
  readonly backend: BackendName;
  readonly #options: PoolOptions;
  readonly #slots: Slot[];
  readonly #queue: Task[] = [];
  readonly #unsettled = new Set<Task>();
  /** Slot that did job i of the last call with `revisit`. */
  readonly #visited: number[] = [];
  #prepared: Prepared | undefined;
  #version = 0;
  #closed = false;

  private constructor(options: PoolOptions, workers: number) {
    this.backend = options.backend;
    this.#options = options;
    this.#slots = Array.from(
      { length: workers },
      (_, index) => ({ index, worker: undefined, busy: false }),
    );
  }

  /**
   * Starts all workers. Throws InputError for an impossible number of workers, and whatever the
   * backend throws when it cannot be made.
   */
  static async start(options: PoolOptions): Promise<ExecutorPool> {
    const workers = options.workers ?? navigator.hardwareConcurrency;
    if (!Number.isInteger(workers) || workers < 1 || workers > 1024) {
      throw new InputError(`workers must be an integer from 1 to 1024, got ${workers}`);
    }
    const pool = new ExecutorPool(options, workers);
    try {
      await Promise.all(pool.#slots.map((slot) => pool.#worker(slot)));
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error instanceof WorkerLostError
        ? new WorkerLostError(`cannot start a worker: ${error.message}`)
        : error;
    }
    return pool;
  }

  /** Number of workers. */
  get workers(): number {
    return this.#slots.length;
  }

  /**
   * Sets the problem of all jobs asked for from now on; jobs asked for earlier keep theirs. A copy
   * is kept, so that later changes to `problem` have no effect and new workers can be prepared too.
   * Idle workers are prepared before it returns (and their error, if any, is thrown); busy ones
   * before their next job.
   */
  async prepare(problem: Problem): Promise<void> {
    this.#assertOpen();
    const prepared = { version: ++this.#version, problem: structuredClone(problem) };
    this.#prepared = prepared;
    const idle = this.#slots.filter((slot) => !slot.busy && slot.worker?.lost === false);
    await Promise.all(idle.map((slot) =>
      this.#occupy(slot, async () => {
        try {
          await this.#prepareWorker(slot.worker!, prepared);
        } catch (error) {
          if (!(error instanceof WorkerLostError)) throw error;
          this.#noteLoss(slot, error); // The next job starts a new one.
        }
      })
    ));
  }

  /**
   * Does one job. Throws AbortedError when stopped by the signal or by disposal; the executor's own
   * error with its class; WorkerLostError naming the job when it has taken down two workers.
   */
  async run<K extends JobName>(
    name: K,
    job: Job<K>,
    options: JobOptions<K> = {},
  ): Promise<Result<K>> {
    return await this.#submit(name, job, this.#current(), options);
  }

  /**
   * Does all jobs; results in job order. `onResult` sees each result as it comes. The first failure
   * rejects and drops the jobs that have not begun. Array arguments are copied unless `consume`
   * names them.
   */
  async map<K extends JobName>(
    name: K,
    jobs: Iterable<Job<K>>,
    options: JobOptions<K> & { onResult?: (index: number, result: Result<K>) => void } = {},
  ): Promise<Result<K>[]> {
    const results: Result<K>[] = [];
    await this.forEach(name, jobs, (index, result) => {
      results[index] = result;
      options.onResult?.(index, result);
    }, options);
    return results;
  }

  /**
   * Does all jobs and hands each result to `onResult`, in order of completion; none is kept. Jobs
   * are taken from the iterable as workers become free, so neither all arguments nor all results
   * need be in memory at once. An error thrown by `onResult` ends it like a failed job.
   */
  async forEach<K extends JobName>(
    name: K,
    jobs: Iterable<Job<K>>,
    onResult: (index: number, result: Result<K>) => void,
    options: JobOptions<K> = {},
  ): Promise<void> {
    const prepared = this.#current();
    const failure = new AbortController();
    const signal = options.signal
      ? AbortSignal.any([options.signal, failure.signal])
      : failure.signal;
    const numbered = enumerate(jobs); // Shared: when one lane throws, it ends for all.
    const lane = async () => {
      for (const [index, job] of numbered) {
        const place = options.revisit ? index : undefined;
        onResult(index, await this.#submit(name, job, prepared, { ...options, signal }, place));
      }
    };
    // Two jobs for each worker: the next one waits at the worker's door. A worker that is to be
    // visited again must have all its jobs to choose from.
    const length = 2 * this.workers + (options.revisit ? this.#visited.length : 0);
    const lanes = Array.from({ length }, lane);
    try {
      await Promise.all(lanes);
    } catch (error) {
      failure.abort();
      await Promise.allSettled(lanes);
      throw error;
    }
  }

  /**
   * Ends all workers; what is not done yet rejects with AbortedError. Deno cannot interrupt code
   * that runs in a worker: the thread of a busy worker ends with the job in hand, and the process
   * waits for it unless it ends by Deno.exit().
   */
  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    for (const task of [...this.#unsettled]) task.reject(new AbortedError("the pool was closed"));
    for (const slot of this.#slots) slot.worker?.end("the pool was closed");
  }

  #assertOpen(): void {
    if (this.#closed) throw new Error("the pool is closed");
  }

  #current(): Prepared {
    if (!this.#prepared) throw new Error("the pool is not prepared: call prepare() first");
    return this.#prepared;
  }

  async #submit<K extends JobName>(
    name: K,
    job: Job<K>,
    prepared: Prepared,
    { signal, consume }: JobOptions<K>,
    place?: number,
  ): Promise<Result<K>> {
    this.#assertOpen();
    if (signal?.aborted) throw new AbortedError();
    const { promise, resolve, reject } = Promise.withResolvers<Result<K>>();
    const settle = () => {
      task.settled = true;
      this.#unsettled.delete(task);
      signal?.removeEventListener("abort", abort);
    };
    const task: Task = {
      label: describeJob(name, job),
      prepared,
      send: (worker) =>
        worker.call((service) => {
          const { value, buffers } = packJob(job, consume);
          // Comlink's types do not carry the generic K through.
          const run = service.run as unknown as (
            version: number,
            name: K,
            job: Job<K>,
          ) => Promise<Result<K>>;
          return run(prepared.version, name, Comlink.transfer(value, buffers));
        }),
      consumed: consume !== undefined && consume.length > 0,
      place,
      losses: 0,
      settled: false,
      resolve(result) {
        settle();
        resolve(result as Result<K>);
      },
      reject(error) {
        settle();
        reject(error);
      },
    };
    const abort = () => {
      const waiting = this.#queue.indexOf(task);
      if (waiting >= 0) this.#queue.splice(waiting, 1);
      task.reject(new AbortedError());
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#unsettled.add(task);
    this.#queue.push(task);
    this.#pump();
    return await promise;
  }

  /** Gives waiting tasks to idle slots: to every slot its own first, then whatever is left. */
  #pump(): void {
    for (const anyTask of [false, true]) {
      for (const slot of this.#slots) {
        if (slot.busy) continue;
        const task = this.#next(slot, anyTask);
        if (task) this.#occupy(slot, () => this.#perform(slot, task));
      }
    }
  }

  /** Takes the first waiting task that is not another slot's, or else, with `anyTask`, the last. */
  #next(slot: Slot, anyTask: boolean): Task | undefined {
    const own = this.#queue.findIndex(({ place }) =>
      place === undefined || (this.#visited[place] ?? slot.index) === slot.index
    );
    if (own < 0 && !anyTask) return undefined;
    const [task] = this.#queue.splice(own, 1); // −1: the last.
    if (task?.place !== undefined) this.#visited[task.place] = slot.index;
    return task;
  }

  async #occupy(slot: Slot, work: () => Promise<void>): Promise<void> {
    slot.busy = true;
    try {
      await work();
    } finally {
      slot.busy = false;
      this.#pump();
    }
  }

  /** Never throws: what goes wrong is the task's. */
  async #perform(slot: Slot, task: Task): Promise<void> {
    try {
      const worker = await this.#worker(slot);
      await this.#prepareWorker(worker, task.prepared);
      if (!task.settled) task.resolve(await task.send(worker));
    } catch (error) {
      if (!(error instanceof WorkerLostError)) return task.reject(error as Error);
      if (task.settled) return;
      this.#noteLoss(slot, error);
      task.losses++;
      if (task.losses === 1 && !task.consumed) this.#queue.unshift(task);
      else task.reject(lossOf(task, error));
    }
  }

  /** The slot's worker, started if there is none. */
  async #worker(slot: Slot): Promise<RemoteWorker> {
    if (slot.worker && !slot.worker.lost) return slot.worker;
    if (this.#closed) throw new AbortedError("the pool was closed");
    const url = this.#options.workerUrl ?? new URL("./worker.ts", import.meta.url);
    const worker = new RemoteWorker(url, `executor ${slot.index}`);
    slot.worker = worker;
    const { backend, executor = {} } = this.#options;
    try {
      await worker.call((service) => service.start(backend, executor));
    } catch (error) {
      worker.end("its executor could not be made");
      throw error;
    }
    return worker;
  }

  async #prepareWorker(worker: RemoteWorker, { version, problem }: Prepared): Promise<void> {
    if (worker.version === version) return;
    worker.version = 0;
    await worker.call((service) => service.prepare(version, problem));
    worker.version = version;
  }

  #noteLoss(slot: Slot, error: WorkerLostError): void {
    this.#options.progress?.note(`worker ${slot.index} was lost (${error.message})`);
  }
}

function lossOf(task: Task, error: WorkerLostError): WorkerLostError {
  const what = task.consumed
    ? "lost its worker, and its arguments with it"
    : "failed twice, each time taking its worker down";
  return new WorkerLostError(`${task.label} ${what}: ${error.message}`);
}

function* enumerate<T>(items: Iterable<T>): Generator<[number, T]> {
  let index = 0;
  for (const item of items) yield [index++, item];
}

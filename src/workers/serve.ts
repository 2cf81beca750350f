/** The worker's side of the pool: one executor behind comlink. */
import * as Comlink from "comlink";
import type { BackendName, Executor, Problem } from "../backends/backend.ts";
import type { ExecutorOptions } from "../backends/create.ts";
import { execute, type Job, type JobName, packResult, type Result } from "./job.ts";

export type ExecutorFactory = (name: BackendName, options?: ExecutorOptions) => Promise<Executor>;

/** What the pool calls in a worker. */
export interface WorkerService {
  start(backend: BackendName, options: ExecutorOptions): Promise<void>;
  prepare(version: number, problem: Problem): Promise<void>;
  /** Does one job; refuses when the executor was prepared with another version of the problem. */
  run<K extends JobName>(version: number, name: K, job: Job<K>): Promise<Result<K>>;
}

/** Makes this worker serve an executor that `create` makes. */
export function serve(create: ExecutorFactory): void {
  let executor: Executor | undefined;
  let prepared = 0;
  const service: WorkerService = {
    async start(backend, options) {
      executor = await create(backend, options);
    },
    async prepare(version, problem) {
      prepared = 0; // Half-prepared must not pass for prepared.
      await executor!.prepare(problem);
      prepared = version;
    },
    async run(version, name, job) {
      if (version !== prepared) {
        throw new Error(`worker is prepared with problem ${prepared}, the job wants ${version}`);
      }
      const { value, buffers } = packResult(await execute(executor!, name, job));
      return Comlink.transfer(value, buffers);
    },
  };
  // A worker that closes itself tells nobody, and calls to it would never settle.
  globalThis.close = () => {
    throw new Error("a pool's worker must not close itself");
  };
  Comlink.expose(service);
}

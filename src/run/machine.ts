/** Where a command's numbers are computed: the backend, and a pool of its workers. */
import { type BackendChoice, selectBackend } from "../backends/select.ts";
import type { Asked } from "../backends/webgpu/supported.ts";
import type { RunConfig } from "../config/config.ts";
import { ExecutorPool } from "../workers/pool.ts";
import { type Progress, silent } from "./progress.ts";

export interface MachineOptions {
  readonly backend: BackendChoice;
  /** Default: as many as cores. */
  readonly workers?: number;
  readonly progress?: Progress;
}

/** What a configuration asks of a backend. */
export function askedOf({ system, mint, julep, path, chains, internal }: RunConfig): Asked {
  return {
    molecule: system.kind === "molecule",
    mint,
    julep: path || chains || internal ? null : julep,
    path: Boolean(path || chains || internal),
  };
}

/**
 * Starts the workers of the chosen backend and notes what is worth knowing about it. One worker owns
 * a GPU. Throws InputError where the backend cannot do what the configuration asks.
 */
export async function startPool(config: RunConfig, options: MachineOptions): Promise<ExecutorPool> {
  const { progress = silent } = options;
  const { backend, note } = await selectBackend(options.backend, askedOf(config));
  if (note) progress.note(note);
  return await ExecutorPool.start({
    backend,
    workers: backend === "webgpu" ? 1 : options.workers,
    progress,
    // With "auto" the run goes on by itself; who asked for the GPU is told that it is gone.
    executor: backend === "webgpu" ? { gpu: { recover: options.backend === "auto" } } : {},
  });
}

/** A lost GPU; by name, since an error from a worker arrives as a plain Error. */
export function isDeviceLost(error: unknown): error is Error {
  return error instanceof Error && error.name === "DeviceLostError";
}

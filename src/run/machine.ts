/** Where a command's numbers are computed: the backend, and a pool of its workers. */
import { type BackendChoice, selectBackend } from "../backends/select.ts";
import type { Asked } from "../backends/webgpu/supported.ts";
import type { RunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { ExecutorPool } from "../workers/pool.ts";
import { type Progress, silent } from "./progress.ts";

export interface MachineOptions {
  readonly backend: BackendChoice;
  /** Default: as many as cores. */
  readonly workers?: number;
  readonly progress?: Progress;
}

/** What a configuration asks of a backend. */
export function askedOf({ system, path, chains, internal }: RunConfig): Asked {
  return {
    molecule: system.kind === "molecule",
    withoutNetwork: Boolean(path || chains || internal),
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

/** A GPU that is lost or fails; by name, since an error from a worker arrives as a plain Error. */
export function isGpuFailure(error: unknown): error is Error {
  return error instanceof Error && ["DeviceLostError", "GpuError"].includes(error.name);
}

/**
 * Does `work`. Where the GPU fails for good (one that is merely lost is opened again by its worker),
 * "auto" does it again on WebAssembly; who asked for the GPU gets InputError with what to do.
 *
 * @param advice ends the message of that error
 */
export async function survivingGpu<O extends MachineOptions, T>(
  options: O,
  work: (options: O) => Promise<T>,
  advice = "use --backend wasm",
): Promise<T> {
  try {
    return await work(options);
  } catch (error) {
    if (!isGpuFailure(error)) throw error;
    if (options.backend !== "auto") throw new InputError(`${error.message}; ${advice}`);
    options.progress?.note(`${error.message}; going on with WebAssembly`);
    return await work({ ...options, backend: "wasm" });
  }
}

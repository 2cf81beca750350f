/** Makes the executor of a backend; called once in every worker. */
import type { BackendName, Executor } from "./backend.ts";
import { ReferenceExecutor } from "./reference/executor.ts";
import { WasmExecutor } from "./wasm/executor.ts";
import { WebGpuExecutor, type WebGpuOptions } from "./webgpu/executor.ts";

/** How the executor of a backend is made. */
export interface ExecutorOptions {
  /** Which SIMD module the wasm backend loads; "auto" takes relaxed SIMD where it is there. */
  readonly variant?: "auto" | "relaxed" | "plain";
  /** A compiled kernel module, for runtimes that cannot compile from bytes. */
  readonly module?: WebAssembly.Module;
  /**
   * How the webgpu backend opens its device.
   * @internal
   */
  readonly gpu?: Omit<WebGpuOptions, "mutate">;
}

/** The executor of a backend. Throws InputError for a webgpu backend without an adapter. */
export async function createExecutor(
  name: BackendName,
  options: ExecutorOptions = {},
): Promise<Executor> {
  if (name === "reference") return new ReferenceExecutor();
  if (name === "webgpu") return await WebGpuExecutor.create(options.gpu);
  return await WasmExecutor.create(options);
}

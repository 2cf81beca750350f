/**
 * The backends that the conformance suite compares with the float64 reference. A backend joins with
 * one entry; one that cannot run here says why and is reported as ignored by name.
 */
import { createExecutor } from "../../src/backends/create.ts";
import type { Executor } from "../../src/backends/backend.ts";
import { WebGpuExecutor } from "../../src/backends/webgpu/executor.ts";
import { gpuUnavailable, mutate } from "./gpu.ts";
import { simdFeatures } from "../../src/backends/wasm/module.ts";

export interface BackendUnderTest {
  readonly name: string;
  /** Why it cannot run here; null: it can. */
  readonly unavailable: string | null;
  create(): Promise<Executor>;
}

const { simd, relaxedSimd } = simdFeatures();
/** One executor for all tests of a file: compiling its kernels takes seconds on software Vulkan. */
let gpu: Promise<Executor> | undefined;

const backends: readonly BackendUnderTest[] = [
  {
    name: "wasm relaxed",
    unavailable: relaxedSimd ? null : "this runtime has no relaxed SIMD",
    create: () => createExecutor("wasm", { variant: "relaxed" }),
  },
  {
    name: "wasm plain",
    unavailable: simd ? null : "this runtime has no SIMD",
    create: () => createExecutor("wasm", { variant: "plain" }),
  },
  {
    name: "webgpu",
    unavailable: gpuUnavailable,
    create: () => gpu ??= WebGpuExecutor.create({ mutate }),
  },
];

/**
 * A test for every backend; the reason of an ignored one stands in its name.
 *
 * @param lacking backends that do not have what is tested, and why
 * @param besides backends for which it would prove nothing that another test does not: none is made
 */
export function eachBackend(
  name: string,
  test: (executor: Executor, backend: BackendUnderTest) => Promise<void> | void,
  lacking: Readonly<Record<string, string>> = {},
  besides: readonly string[] = [],
): void {
  for (const backend of backends) {
    if (besides.includes(backend.name)) continue;
    const reason = lacking[backend.name] ?? backend.unavailable;
    Deno.test({
      name: `${name} (${backend.name})` + (reason ? ` [ignored: ${reason}]` : ""),
      ignore: reason !== null,
      fn: async () => {
        const executor = await backend.create();
        try {
          await test(executor, backend);
        } finally {
          if (executor.name !== "webgpu") executor.dispose();
        }
      },
    });
  }
}

/** The WGSL kernels a conformance test of one kernel runs on: with all limits, and with the defaults. */
import { findAdapter } from "../../src/backends/webgpu/adapter.ts";
import { type DeviceOptions, GpuDevice } from "../../src/backends/webgpu/device.ts";
import { GpuKernels } from "../../src/backends/webgpu/kernels.ts";

const found = await findAdapter();
/** Why there is no GPU here; null: there is one, in software or not. */
export const gpuUnavailable = found.adapter === null ? found.reason : null;

/** Set by mutation_test.ts: JSON [from, to], replaced in the text of every shader. */
export const mutationVariable = "MINTJULEP_TEST_MUTATION";
const mutation: [string, string] | null = JSON.parse(Deno.env.get(mutationVariable) ?? "null");
/** Changes shaders as asked; undefined: not at all. */
export const mutate = mutation
  ? (_: string, code: string) => code.replaceAll(...mutation)
  : undefined;

const variants: Record<string, DeviceOptions> = {
  "webgpu": {},
  "webgpu, default limits": { defaultLimits: true },
};
const devices = new Map<string, Promise<GpuKernels>>();

/** Kernels on a device that all tests of a file share: compiling takes long on software Vulkan. */
export function gpuKernels(options: DeviceOptions = {}): Promise<GpuKernels> {
  const key = JSON.stringify(options);
  const known = devices.get(key) ??
    GpuDevice.open({ ...options, mutate }).then((d) => new GpuKernels(d));
  devices.set(key, known);
  return known;
}

/** A test on the GPU; the reason of an ignored one stands in its name. */
export function gpuTest(name: string, test: () => Promise<void>): void {
  Deno.test({
    name: `${name} (webgpu)` + (gpuUnavailable ? ` [ignored: ${gpuUnavailable}]` : ""),
    ignore: gpuUnavailable !== null,
    fn: test,
  });
}

/** A test with the adapter's limits and one with WebGPU's defaults. */
export function eachGpu(name: string, test: (kernels: GpuKernels) => Promise<void>): void {
  for (const [variant, options] of Object.entries(variants)) {
    Deno.test({
      name: `${name} (${variant})` + (gpuUnavailable ? ` [ignored: ${gpuUnavailable}]` : ""),
      ignore: gpuUnavailable !== null,
      fn: async () => await test(await gpuKernels(options)),
    });
  }
}

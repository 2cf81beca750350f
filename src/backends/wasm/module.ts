/**
 * Starts the kernels. The compiled modules are embedded in kernels.gen.ts (tools/embed.ts), so that
 * nothing is fetched and no permission is asked. Each call gives a separate instance with its own,
 * unshared memory: one for each worker.
 */
import type { KernelExports } from "./exports.ts";
import { KernelMemory } from "./memory.ts";

/**
 * "relaxed": relaxed SIMD, whose multiply-add is one instruction where the machine has it (results
 * may differ between machines in the last bit); "plain": the same bits on every machine.
 */
export type KernelVariant = "relaxed" | "plain";

export interface KernelOptions {
  /** "auto" (default): relaxed where supported, else plain. */
  variant?: "auto" | KernelVariant;
  /** A ready module, for runtimes that refuse to compile from bytes; `variant` then only names it. */
  module?: WebAssembly.Module;
}

export interface KernelInstance {
  readonly variant: KernelVariant | "given";
  readonly exports: KernelExports;
  readonly memory: KernelMemory;
}

/** A module with one function that uses the given instruction, for WebAssembly.validate. */
function probe(instruction: number[], operands: number): Uint8Array<ArrayBuffer> {
  const zero = [0x41, 0, 0xfd, 0x0f]; // i32.const 0, i8x16.splat
  const code = [0, ...Array.from({ length: operands }, () => zero).flat(), ...instruction, 0x0b];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
    ...[1, 5, 1, 0x60, 0, 1, 0x7b], // type: () -> v128
    ...[3, 2, 1, 0], // function 0 of type 0
    ...[10, code.length + 2, 1, code.length, ...code],
  ]);
}

/** Which SIMD instructions this runtime accepts. */
export function simdFeatures(): { simd: boolean; relaxedSimd: boolean } {
  return {
    simd: WebAssembly.validate(probe([0xfd, 0xe4, 1], 2)), // f32x4.add
    relaxedSimd: WebAssembly.validate(probe([0xfd, 0x85, 2], 3)), // f32x4.relaxed_madd
  };
}

const compiled = new Map<KernelVariant, Promise<WebAssembly.Module>>();

async function compile(variant: KernelVariant): Promise<WebAssembly.Module> {
  const { plainSimd, relaxedSimd } = await import("./kernels.gen.ts");
  const gzipped = Uint8Array.fromBase64(variant === "relaxed" ? relaxedSimd : plainSimd);
  const stream = new Blob([gzipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return WebAssembly.compile(await new Response(stream).arrayBuffer());
}

/** The compiled module of a variant; compiled once for each thread. */
export function kernelModule(variant: KernelVariant): Promise<WebAssembly.Module> {
  let module = compiled.get(variant);
  if (!module) {
    module = compile(variant);
    compiled.set(variant, module);
  }
  return module;
}

/**
 * A fresh instance of the kernels. Throws Error when the runtime lacks the SIMD instructions asked
 * for (the float64 reference backend runs everywhere).
 */
export async function loadKernels(options: KernelOptions = {}): Promise<KernelInstance> {
  const { variant = "auto", module } = options;
  if (module) return instantiate(module, variant === "auto" ? "given" : variant);
  const features = simdFeatures();
  if (!features.simd) {
    throw new Error("This runtime has no WebAssembly SIMD: use the reference backend");
  }
  if (variant === "relaxed" && !features.relaxedSimd) {
    throw new Error("This runtime has no relaxed WebAssembly SIMD: use the plain kernels");
  }
  const chosen = variant !== "auto" ? variant : features.relaxedSimd ? "relaxed" : "plain";
  return instantiate(await kernelModule(chosen), chosen);
}

async function instantiate(
  module: WebAssembly.Module,
  variant: KernelInstance["variant"],
): Promise<KernelInstance> {
  const instance = await WebAssembly.instantiate(module, {});
  const exports = instance.exports as unknown as KernelExports;
  return { variant, exports, memory: new KernelMemory(exports) };
}

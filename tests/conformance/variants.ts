/** The compiled kernels a conformance test of one kernel runs on: relaxed and plain SIMD. */
import {
  type KernelInstance,
  type KernelVariant,
  loadKernels,
  simdFeatures,
} from "../../src/backends/wasm/module.ts";

const { simd, relaxedSimd } = simdFeatures();

const unavailable: Record<KernelVariant, string | null> = {
  relaxed: relaxedSimd ? null : "this runtime has no relaxed SIMD",
  plain: simd ? null : "this runtime has no SIMD",
};

/** A test for every variant; the reason of an ignored one stands in its name. */
export function eachVariant(
  name: string,
  test: (kernels: KernelInstance) => Promise<void> | void,
): void {
  for (const variant of ["relaxed", "plain"] as const) {
    const reason = unavailable[variant];
    Deno.test({
      name: `${name} (${variant})` + (reason ? ` [ignored: ${reason}]` : ""),
      ignore: reason !== null,
      fn: async () => await test(await loadKernels({ variant })),
    });
  }
}

/** The ceiling that kernels are a fraction of: multiply-adds of one core at 128-bit width. */
import { fmaPeak } from "./fma_peak.ts";
import { compare } from "./harness.ts";
import { native } from "./native.ts";

export interface Peak {
  readonly gflops: number;
  /** "C", or "wasm" where there is no C compiler. */
  readonly source: "C" | "wasm";
}

const ITERATIONS = 20_000;
let measured: Peak | undefined;

/** Measured once: native where a C compiler exists, else relaxed WebAssembly; NaN with neither. */
export function peak128(): Peak {
  measured ??= measure();
  return measured;
}

function measure(): Peak {
  const { peers } = native();
  if (peers) {
    const { rates } = compare("peak", {
      C: () => void peers.fma_peak(ITERATIONS, 0.999, 1e-3),
    }, { unit: "GFLOP/s", work: ITERATIONS * 96 / 1e9 });
    return { gflops: rates.C, source: "C" };
  }
  const wasm = fmaPeak(0.002);
  if (!wasm) return { gflops: NaN, source: "wasm" };
  const { rates } = compare("peak", { wasm: () => void wasm.run() }, {
    unit: "GFLOP/s",
    work: wasm.flop / 1e9,
  });
  return { gflops: rates.wasm, source: "wasm" };
}

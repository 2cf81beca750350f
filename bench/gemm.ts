/** The network's matrix products on 48 rows x 64 x 64, as fractions of the 128-bit FMA peak. */
import { loadKernels, simdFeatures } from "../src/backends/wasm/module.ts";
import { fmaPeak } from "./fma_peak.ts";
import { interleave } from "./interleave.ts";

const ROWS = 48, WIDTH = 64, REPEATS = 100;
const STRIDE = 4 * WIDTH;

/** Prints one line for each kernel and variant. */
export async function run(report: (line: string) => void): Promise<void> {
  const ceiling = fmaPeak(0.04);
  const variants = simdFeatures().relaxedSimd ? ["relaxed", "plain"] as const : ["plain"] as const;
  const flop = REPEATS * 2 * ROWS * WIDTH * WIDTH;
  report(`gemm: ${ROWS} x ${WIDTH} x ${WIDTH}, one core`);
  for (const variant of variants) {
    const { exports: kernels, memory } = await loadKernels({ variant });
    const matrix = (length: number) => {
      const address = memory.alloc(4 * length);
      const values = memory.f32(address, length);
      for (let k = 0; k < length; k++) values[k] = Math.sin(k) / 8;
      return address;
    };
    const a = matrix(ROWS * WIDTH), c = matrix(ROWS * WIDTH), bias = matrix(WIDTH);
    const packed = matrix(WIDTH * WIDTH), gradient = matrix(WIDTH * WIDTH);
    const product = (name: "gemm" | "gemmAdd" | "gemmTanh") => () =>
      kernels[name](a, STRIDE, packed, bias, c, STRIDE, ROWS / 4, WIDTH, WIDTH);
    const repeat = (name: string, call: () => void) => ({
      name,
      run: () => {
        for (let k = 0; k < REPEATS; k++) call();
      },
    });
    const jobs = [
      repeat("gemm", product("gemm")),
      repeat("gemmTanh", product("gemmTanh")),
      repeat(
        "gemmGradient",
        () => kernels.gemmGradient(c, STRIDE, a, STRIDE, gradient, STRIDE, ROWS, WIDTH, WIDTH),
      ),
    ];
    const times = interleave(ceiling ? [...jobs, { name: "peak", run: ceiling.run }] : jobs);
    const peak = ceiling ? ceiling.flop / times[jobs.length] / 1e6 : NaN;
    jobs.forEach(({ name }, k) => {
      const rate = flop / times[k] / 1e6;
      report(
        `  ${(rate / peak).toFixed(2)} of peak  ${name} ${variant}: ` +
          `${rate.toFixed(1)} of ${peak.toFixed(1)} GFLOP/s`,
      );
    });
  }
}

if (import.meta.main) await run(console.log);

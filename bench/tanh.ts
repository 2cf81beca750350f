/** tanh on arrays, one core: f32x4 kernels against Math.tanh. */
import { loadKernels, simdFeatures } from "../src/backends/wasm/module.ts";
import { type BenchReport, createReport, figures } from "./harness.ts";

const LENGTH = 4096;

export async function run(report: BenchReport): Promise<void> {
  report(`tanh of ${LENGTH} numbers`);
  const input = Float32Array.from({ length: LENGTH }, (_, i) => 3 * Math.sin(i));
  const output = new Float32Array(LENGTH);
  const jobs: Record<string, () => void> = {};
  for (const variant of ["relaxed", "plain"] as const) {
    if (variant === "relaxed" && !simdFeatures().relaxedSimd) continue;
    const { exports, memory } = await loadKernels({ variant });
    const x = memory.alloc(4 * LENGTH), out = memory.alloc(4 * LENGTH);
    memory.f32(x, LENGTH).set(input);
    jobs[`wasm ${variant}`] = () => exports.mathTanh(x, out, LENGTH / 4);
  }
  jobs["Math.tanh"] = () => {
    for (let i = 0; i < LENGTH; i++) output[i] = Math.tanh(input[i]);
  };
  const { rates } = report.compare("tanh", jobs, { unit: "M/s", work: LENGTH / 1e6 });
  for (const [name, rate] of Object.entries(rates)) report(`  ${figures(1e3 / rate)} ns  ${name}`);
}

if (import.meta.main) await run(createReport());

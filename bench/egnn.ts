/**
 * The network, forward and forward + backward, 100 states of dw4 and of lj13 on one core. The bar is
 * stated for a machine whose 128-bit FMA peak is 58 GFLOP/s: 3.6 and 34 ms forward, and
 * forward + backward at most 3 forward passes. Times are also printed scaled to such a machine.
 */
import { egnnOutputSize, packEgnn } from "../src/backends/wasm/egnn.ts";
import { loadKernels, simdFeatures } from "../src/backends/wasm/module.ts";
import { LANES } from "../src/backends/backend.ts";
import { egnnLayout, initialiseEgnn } from "../src/julep/egnn.ts";
import type { NetworkShape } from "../src/julep/model.ts";
import { normals, Stream, streamKey } from "../src/math/random.ts";
import { fmaPeak } from "./fma_peak.ts";
import { interleave } from "./interleave.ts";

const STATES = 100;
const STATED_PEAK = 58;

const cases = [
  { preset: "dw4", particles: 4, dimension: 2, lengthScale: 4, bar: 3.6 },
  { preset: "lj13", particles: 13, dimension: 3, lengthScale: 1, bar: 34 },
] as const;

/** Operations of the matrix products of one forward pass; element-wise work is not counted. */
function forwardFlop({ particles: N, layers, hidden: H }: NetworkShape): number {
  // W_2 on every directed edge; W_i, W_j, W_n (twice as wide) and W_o on every particle. Layer 0
  // takes eight features where the others take h; the input layer takes them too.
  const edges = layers * N * (N - 1) * H * H;
  const particles = (layers - 1) * 5 * N * H * H + N * (2 * H * H + 4 * 8 * H);
  return 2 * (edges + particles);
}

/** Prints ratios first, then times. */
export async function run(report: (line: string) => void): Promise<void> {
  const ceiling = fmaPeak(0.04);
  const variants = simdFeatures().relaxedSimd ? ["relaxed", "plain"] as const : ["plain"] as const;
  report(`egnn: 3 layers x 64 units, ${STATES} states, one core`);
  for (const variant of variants) {
    for (const { preset, particles, dimension, lengthScale, bar } of cases) {
      const { exports: kernels, memory } = await loadKernels({ variant });
      const shape: NetworkShape = {
        particles,
        dimension,
        lengthScale,
        layers: 3,
        hidden: 64,
        channels: 2,
        anchored: false,
      };
      const blocks = STATES / LANES;
      const random = (length: number, sample: number) => {
        const z = new Float64Array(length);
        normals(z, streamKey(1, Stream.test), sample, 0);
        return z;
      };
      const upload = (values: Float64Array) => {
        const address = memory.alloc(4 * values.length);
        memory.f32(address, values.length).set(values);
        return address;
      };
      const { size } = egnnLayout(shape);
      const outputs = egnnOutputSize(shape) * LANES * blocks;
      const { address, scratch, tape } = packEgnn(
        kernels,
        memory,
        shape,
        initialiseEgnn(shape, 1),
      );
      const x = upload(random(particles * dimension * LANES * blocks, 0).map((v) => v * 1.5));
      const t = upload(new Float64Array(LANES * blocks).fill(0.4));
      const out = upload(new Float64Array(outputs));
      const adjoint = upload(random(outputs, 1));
      const gradient = upload(new Float64Array(size));
      const jobs = [
        {
          name: "forward",
          run: () => kernels.egnnForwardBatch(address, x, t, out, scratch, blocks),
        },
        {
          name: "both",
          run: () =>
            kernels.egnnForwardBackwardBatch(
              address,
              x,
              t,
              out,
              adjoint,
              gradient,
              scratch,
              tape,
              blocks,
            ),
        },
      ];
      const times = interleave(ceiling ? [...jobs, { name: "peak", run: ceiling.run }] : jobs, 15);
      const [forward, both] = times;
      const peak = ceiling ? ceiling.flop / times[2] / 1e6 : NaN;
      const fraction = STATES * forwardFlop(shape) / forward / 1e6 / peak;
      report(
        `  ${preset} ${variant}: (forward + backward) / forward ${(both / forward).toFixed(2)} ` +
          `(bar 3), forward ${fraction.toFixed(2)} of the ${peak.toFixed(1)} GFLOP/s peak, ` +
          `${forward.toFixed(2)} ms; at ${STATED_PEAK} GFLOP/s ` +
          `${(forward * peak / STATED_PEAK).toFixed(2)} ms (bar ${bar})`,
      );
    }
  }
}

if (import.meta.main) await run(console.log);

/** assembly/gemm.ts against products in float64. Tolerance: 2e-6 of Σ|a||w|, float32 summation. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { loadKernels } from "../../src/backends/wasm/module.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";

const TOLERANCE = 2e-6;

const cases = fc.record({
  groups: fc.integer({ min: 1, max: 5 }),
  inputs: fc.integer({ min: 1, max: 5 }).map((k) => 8 * k),
  columns: fc.integer({ min: 1, max: 4 }).map((k) => 8 * k),
  padding: fc.integer({ min: 0, max: 3 }).map((k) => 4 * k),
  seed: fc.nat(1e6),
});

for (const variant of ["relaxed", "plain"] as const) {
  Deno.test(`gemm ${variant}: product, added product, tanh and weight gradient`, async () => {
    const { exports, memory } = await loadKernels({ variant });
    fc.assert(
      fc.property(cases, ({ groups, inputs: K, columns: M, padding, seed }) => {
        const mark = memory.mark();
        const stream = new RandomStream(seed, Stream.test, 0);
        const rows = 4 * groups, lda = K + padding, ldc = M + padding;
        const allocate = (length: number) => {
          const address = memory.alloc(4 * length);
          const values = memory.f32(address, length);
          for (let k = 0; k < length; k++) values[k] = stream.normal();
          return { address, values: values.slice(), length };
        };
        const read = ({ address, length }: { address: number; length: number }) =>
          memory.f32(address, length);
        const a = allocate(rows * lda), w = allocate(M * K), bias = allocate(M);
        const c = allocate(rows * ldc), packed = allocate(M * K), g = allocate(M * lda);
        exports.packPanels(w.address, 4 * K, M, K, K, packed.address);

        const check = (result: Float32Array, value: (sum: number, before: number) => number) => {
          for (let r = 0; r < rows; r++) {
            for (let m = 0; m < ldc; m++) {
              const before = c.values[r * ldc + m];
              if (m >= M) {
                assert.equal(result[r * ldc + m], before, "nothing is written past the columns");
                continue;
              }
              let sum = bias.values[m], scale = 1;
              for (let k = 0; k < K; k++) {
                const term = a.values[r * lda + k] * w.values[m * K + k];
                sum += term;
                scale += Math.abs(term);
              }
              const error = Math.abs(result[r * ldc + m] - value(sum, before));
              assert.ok(error <= TOLERANCE * scale, `row ${r}, column ${m}: error ${error}`);
            }
          }
        };
        const run = (kernel: "gemm" | "gemmAdd" | "gemmTanh") => {
          read(c).set(c.values);
          exports[kernel](
            a.address,
            4 * lda,
            packed.address,
            bias.address,
            c.address,
            4 * ldc,
            groups,
            K,
            M,
          );
          return read(c);
        };
        check(run("gemm"), (sum) => sum);
        check(run("gemmAdd"), (sum, before) => before + sum);
        check(run("gemmTanh"), (sum) => Math.tanh(sum));

        // G += Cᵀ A with the untouched C as the outputs' adjoints.
        read(c).set(c.values);
        exports.gemmGradient(
          c.address,
          4 * ldc,
          a.address,
          4 * lda,
          g.address,
          4 * lda,
          rows,
          M,
          K,
        );
        for (let m = 0; m < M; m++) {
          for (let k = 0; k < lda; k++) {
            let sum = g.values[m * lda + k], scale = 1;
            for (let r = 0; k < K && r < rows; r++) {
              const term = c.values[r * ldc + m] * a.values[r * lda + k];
              sum += term;
              scale += Math.abs(term);
            }
            const error = Math.abs(read(g)[m * lda + k] - sum);
            assert.ok(error <= TOLERANCE * scale, `gradient (${m}, ${k}): error ${error}`);
          }
        }
        memory.release(mark);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  Deno.test(`gemm ${variant}: packTransposed packs the transpose, padded with zeros`, async () => {
    const { exports, memory } = await loadKernels({ variant });
    const outputs = 6, inputs = 16, padded = 8;
    const weight = memory.alloc(4 * outputs * inputs);
    memory.f32(weight, outputs * inputs).forEach((_, k, all) => all[k] = k + 1);
    const packed = memory.alloc(4 * padded * inputs);
    exports.packTransposed(weight, 4 * inputs, outputs, inputs, padded, packed);
    const values = memory.f32(packed, padded * inputs);
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < padded; o++) {
        const panel = Math.floor(i / 8);
        const expected = o < outputs ? o * inputs + i + 1 : 0;
        assert.equal(values[panel * 8 * padded + o * 8 + i % 8], expected);
      }
    }
  });
}

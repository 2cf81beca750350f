/** The kernel pair_flow, both SIMD modules and WGSL, against the float64 sweep. */
import assert from "node:assert/strict";
import { LANES, type MaybePromise } from "../../src/backends/backend.ts";
import { inversePairFlow, pairFlow } from "../../src/backends/reference/pair_flow.ts";
import { fromBlocks, toBlocks } from "../../src/backends/wasm/julep.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import { writeFlow } from "../../src/backends/wasm/pair_flow.ts";
import { GpuPath } from "../../src/backends/webgpu/path.ts";
import { mixturePath } from "../../src/path/mixture.ts";
import { createSystem } from "../../src/systems/create.ts";
import type { PairFlow } from "../../src/path/model.ts";
import { gaussian, randomFlow, scattered } from "../path/helpers.ts";
import { eachGpu } from "./gpu.ts";
import { tolerances } from "./tolerances.ts";
import { eachVariant } from "./variants.ts";

/** The kernel's sweep (or its inverse) of sample-major positions. */
function fast(
  kernels: KernelInstance,
  flow: PairFlow,
  level: number,
  x: Float64Array,
  count: number,
  n: 2 | 3,
  inverse: boolean,
) {
  const { memory, exports } = kernels;
  const size = x.length / count;
  const mark = memory.mark();
  const blocks = Math.ceil(count / LANES);
  const address = writeFlow(kernels, flow, size / n, n).address;
  const xAt = memory.alloc(4 * blocks * size * LANES + 16);
  const logAt = memory.alloc(4 * blocks * LANES + 16);
  const view = memory.f32(xAt, blocks * size * LANES + 4).fill(123);
  toBlocks(x, count, size, view.subarray(0, -4));
  const log = memory.f32(logAt, blocks * LANES + 4).fill(123);
  exports.pairFlowBatch(address, level, xAt, logAt, blocks, inverse ? 1 : 0);
  assert.deepEqual([...view.subarray(-4), ...log.subarray(-4)], new Array(8).fill(123), "overrun");
  const positions = new Float64Array(count * size);
  fromBlocks(view, count, size, positions);
  const result = { positions, logJ: Float64Array.from(log.subarray(0, count)) };
  memory.release(mark);
  return result;
}

/** Largest change of log R′ from one cell to the next. */
function largestKink(flow: PairFlow): number {
  let largest = 0;
  const nodes = flow.cells + 1;
  for (let at = 1; at < flow.tables.length - 1; at++) {
    if (at % nodes === 0 || at % nodes === flow.cells) continue;
    const [a, b, c] = flow.tables.subarray(at - 1, at + 2);
    largest = Math.max(largest, Math.abs(Math.log((c - b) / (b - a))));
  }
  return largest;
}

/** Sweeps of one flow, at sample-major positions. */
type Sweep = (level: number, x: Float64Array, count: number, inverse: boolean) => MaybePromise<
  { positions: ArrayLike<number>; logJ: ArrayLike<number> }
>;

async function compare(N: number, n: 2 | 3, flow: PairFlow, sweep: Sweep): Promise<void> {
  const count = 6;
  const size = N * n;
  const x = scattered(N, n, count, 40 + N);
  const pairs = N * (N - 1) / 2;
  let crossings = 0;
  for (const level of [0, 1]) {
    for (const inverse of [false, true]) {
      const got = await sweep(level, x, count, inverse);
      for (let s = 0; s < count; s++) {
        const exact = x.slice(s * size, (s + 1) * size);
        const logJ = (inverse ? inversePairFlow : pairFlow)(flow, level, exact, n);
        const where = `N=${N} n=${n} level=${level} inverse=${inverse}`;
        const error = Math.abs(got.logJ[s] - logJ);
        const allowed = tolerances.pairFlowDeterminant.value * (1 + pairs);
        // R is linear in cells: a pair that rounding puts in the next one has that one's R′, about
        // once in 1e5 pairs. It is a map as good as the other, with its own determinant.
        if (error > allowed) crossings++;
        assert.ok(
          error <= allowed + largestKink(flow),
          `${where}: log|J| ${got.logJ[s]}, exact ${logJ}`,
        );
        exact.forEach((v, a) => {
          const difference = Math.abs(got.positions[s * size + a] - v);
          assert.ok(
            difference <= tolerances.pairFlowPositions.value * Math.sqrt(N),
            `${where}: position differs by ${difference}`,
          );
        });
      }
    }
  }
  assert.ok(crossings <= 1, `N=${N}: ${crossings} of 24 determinants are off by more`);
}

const shapes = [[2, 2], [4, 2], [5, 3], [13, 3], [22, 3], [55, 3]] as const;

eachVariant(
  "pairFlow and its inverse agree with float64 for all N, n and levels",
  async (kernels) => {
    for (const [N, n] of shapes) {
      const flow = randomFlow(2, 300, 0.01, 0.3, 8);
      await compare(
        N,
        n,
        flow,
        (level, x, count, inverse) => fast(kernels, flow, level, x, count, n, inverse),
      );
    }
  },
);

eachGpu("pairFlow and its inverse agree with float64 for all N, n and levels", async (kernels) => {
  for (const [N, n] of shapes) {
    const flow = randomFlow(2, 300, 0.01, 0.3, 8);
    const system = createSystem(gaussian(N, n, 1));
    const path = mixturePath({ kernel: "underdamped", levels: 2, stepSize: 0.1 });
    const gpu = new GpuPath(kernels, { system, mint: null, path: { ...path, flow } });
    await compare(N, n, flow, async (level, x, count, inverse) => {
      const { values, vectors } = await gpu.sweep(level, Float32Array.from(x), count, inverse);
      return { positions: vectors, logJ: values };
    });
  }
});

eachVariant("pairFlow: the inverse undoes the sweep to float32 accuracy", (kernels) => {
  const flow = randomFlow(2, 900, 0.01, 0.3, 9);
  const x = scattered(13, 3, 8, 3);
  for (const level of [0, 1]) {
    const there = fast(kernels, flow, level, x, 8, 3, false);
    const back = fast(kernels, flow, level, there.positions, 8, 3, true);
    const error = Math.max(...back.positions.map((v, a) => Math.abs(v - x[a])));
    assert.ok(error < 2 * tolerances.pairFlowPositions.value * Math.sqrt(13), `off by ${error}`);
    assert.ok(Math.max(...there.positions.map((v, a) => Math.abs(v - x[a]))) > 0.01);
    there.logJ.forEach((v, s) => {
      assert.ok(Math.abs(v - back.logJ[s]) < 78 * tolerances.pairFlowDeterminant.value);
    });
  }
});

eachVariant("pairFlow: collisions, NaN and far particles stay in their lane", (kernels) => {
  const flow = randomFlow(1, 100, 0.02, 0.3, 10);
  const x = scattered(5, 3, 4, 11);
  const clean = fast(kernels, flow, 0, x, 4, 3, false);
  for (const value of [NaN, Infinity, 1e30, x[15]]) {
    const bad = x.slice();
    // Sample 1: particle 1 on top of particle 0, or out of this world.
    bad.set(value === x[15] ? bad.slice(15, 18) : [value, value, value], 18);
    for (const inverse of [false, true]) {
      const base = inverse ? fast(kernels, flow, 0, x, 4, 3, true) : clean;
      const got = fast(kernels, flow, 0, bad, 4, 3, inverse);
      for (const s of [0, 2, 3]) {
        assert.equal(got.logJ[s], base.logJ[s]);
        assert.deepEqual(
          got.positions.slice(15 * s, 15 * s + 15),
          base.positions.slice(15 * s, 15 * s + 15),
        );
      }
    }
  }
});

eachVariant("pairFlow: a block flows the same alone and beside another", (kernels) => {
  for (const n of [2, 3] as const) {
    const N = 7;
    const flow = randomFlow(2, 300, 0.01, 0.3, 12);
    const x = scattered(N, n, 3 * LANES, 13);
    const size = N * n * LANES;
    for (const level of [0, 1]) {
      const together = fast(kernels, flow, level, x, 3 * LANES, n, false);
      for (let b = 0; b < 3; b++) {
        const alone = fast(
          kernels,
          flow,
          level,
          x.slice(b * size, (b + 1) * size),
          LANES,
          n,
          false,
        );
        assert.deepEqual(alone.positions, together.positions.slice(b * size, (b + 1) * size));
        assert.deepEqual(alone.logJ, together.logJ.slice(b * LANES, (b + 1) * LANES));
      }
    }
  }
});

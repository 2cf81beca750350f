/** The kernel pair_velocity, both SIMD modules and WGSL, against the float64 drift; and its use by Julep. */
import assert from "node:assert/strict";
import { LANES } from "../../src/backends/backend.ts";
import { pairVelocity } from "../../src/backends/reference/pair_velocity.ts";
import { fromBlocks, toBlocks } from "../../src/backends/wasm/julep.ts";
import { flowVelocity, levelsAt, rowsAt } from "../../src/julep/pair_path.ts";
import { randomFlow, scattered } from "../path/helpers.ts";
import { eachGpu } from "./gpu.ts";
import { eachVariant } from "./variants.ts";

/** A steep random table of g, and positions of any kind. */
function cases() {
  return ([[2, 2], [4, 2], [5, 3], [13, 3], [55, 3]] as const).map(([N, n]) => {
    const { cells, width, tables } = flowVelocity(randomFlow(2, 150, 0.01, 0.3, 8));
    return { N, n, width, table: tables.subarray(cells + 1), x: scattered(N, n, COUNT, 60 + N) };
  });
}
const COUNT = 6;

function compare(
  { N, n, width, table, x }: ReturnType<typeof cases>[number],
  got: ArrayLike<number>,
) {
  const size = N * n;
  for (let s = 0; s < COUNT; s++) {
    const expected = pairVelocity(x.slice(s * size, (s + 1) * size), n, table, width);
    const norm = Math.hypot(...expected);
    const error = Math.hypot(...expected.map((v, a) => got[s * size + a] - v));
    // Slopes of the random table are steep: an error of 1e-7 in r is one of 1e-5 in g.
    assert.ok(norm > 0 && error <= 5e-5 * norm, `N=${N}: error ${error} of ${norm}`);
  }
}

const title = "pairVelocity agrees with float64 for all N and n, within and beyond the table";

eachGpu(title, async (kernels) => {
  for (const one of cases()) {
    compare(one, await kernels.pairVelocity(one, Float32Array.from(one.x), COUNT));
  }
});

eachVariant(title, (kernels) => {
  const { exports, memory } = kernels;
  for (const one of cases()) {
    const { N, n, width, table, x } = one;
    const cells = table.length - 1;
    const size = N * n;
    const blocks = Math.ceil(COUNT / LANES);
    const mark = memory.mark();
    const xAt = memory.alloc(4 * blocks * size * LANES);
    const tableAt = memory.alloc(4 * (cells + 1));
    const out = memory.alloc(4 * blocks * size * LANES + 16);
    toBlocks(x, COUNT, size, memory.f32(xAt, blocks * size * LANES));
    memory.f32(tableAt, cells + 1).set(table);
    memory.f32(out, blocks * size * LANES + 4).fill(123);
    exports.pairVelocityBatch(xAt, N, n, tableAt, cells, 1 / width, out, blocks);
    assert.deepEqual([...memory.f32(out + 4 * blocks * size * LANES, 4)], new Array(4).fill(123));
    const got = new Float64Array(COUNT * size);
    fromBlocks(memory.f32(out, blocks * size * LANES), COUNT, size, got);
    memory.release(mark);
    compare(one, got);
  }
});

Deno.test("flowVelocity: a sweep of level k moves each particle by v/(K − 1) to first order", () => {
  const K = 3, cells = 100, width = 0.05;
  const tables = new Float64Array(K * (cells + 1));
  for (let c = 0; c <= cells; c++) {
    for (let k = 0; k < K; k++) tables[k * (cells + 1) + c] = c * width * (1 + 0.001 * (k + 1));
  }
  const velocity = flowVelocity({ cells, width, tables });
  // At level k: the mean of f over the sweeps k and k + 1, halved, times the levels in unit time.
  for (const [k, f] of [[0, 0.0015], [1, 0.0025], [2, 0.003]]) {
    for (const c of [0, 1, 50, 100]) {
      const g = velocity.tables[k * (cells + 1) + c];
      assert.ok(Math.abs(g - 0.5 * f * (K - 1)) < 1e-12, `${k} ${c}: ${g}`);
    }
  }
});

Deno.test("levelsAt and rowsAt: knots at their times, between them log-linear and linear", () => {
  const path = {
    levels: {
      kind: "pair_path",
      priorVariance: 1,
      depth: Float64Array.of(0.5, 2),
      attraction: Float64Array.of(1, 1),
      softness: Float64Array.of(0.2, 0),
      confinement: Float64Array.of(4, 1),
    },
    clip: Float64Array.of(20, 40),
  } as const;
  const rounded = [...levelsAt(path, [0, 0.5, 1])].map((v) => Math.round(v * 1e12) / 1e12);
  assert.deepEqual(rounded, [0.5, 1, 0.2, 4, 1, 1, 0.1, 2, 2, 1, 0, 1]);
  assert.deepEqual([...rowsAt(path.clip, 1, [0, 0.25, 1])], [20, 25, 40]);
});

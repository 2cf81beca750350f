/** The pair flow in float64: determinant, inverse, symmetries, and the order of a sweep. */
import assert from "node:assert/strict";
import { inversePairFlow, pairFlow } from "../../src/backends/reference/pair_flow.ts";
import { stepFlow } from "../../src/julep/pair_path.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { flowTable, identityFlow, pairOrder, radialMap } from "../../src/path/flow.ts";
import { randomFlow, scattered } from "./helpers.ts";

const shapes = [[2, 2], [4, 2], [3, 3], [5, 3], [8, 3]] as const;

/** log|det A| of a dense matrix (rows), by elimination with row pivots. */
function logDeterminant(matrix: number[][]): number {
  const a = matrix.map((row) => row.slice());
  let sum = 0;
  for (let k = 0; k < a.length; k++) {
    let pivot = k;
    for (let i = k; i < a.length; i++) {
      if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
    }
    [a[k], a[pivot]] = [a[pivot], a[k]];
    sum += Math.log(Math.abs(a[k][k]));
    for (let i = k + 1; i < a.length; i++) {
      const factor = a[i][k] / a[k][k];
      for (let j = k; j < a.length; j++) a[i][j] -= factor * a[k][j];
    }
  }
  return sum;
}

Deno.test("pair flow: log|J| is that of the numeric Jacobian (1e-8)", () => {
  for (const [N, n] of shapes) {
    // Wide cells: a difference quotient must not cross a kink of the piecewise linear map.
    const flow = randomFlow(2, 12, 0.75, 0.4, 3);
    for (const level of [0, 1]) {
      const x = scattered(N, n, 1, 10 * N + n);
      const exact = pairFlow(flow, level, x.slice(), n);
      const h = 1e-5;
      const columns = Array.from(x, (_, a) => {
        const [up, down] = [h, -h].map((step) => {
          const y = x.slice();
          y[a] += step;
          pairFlow(flow, level, y, n);
          return y;
        });
        return Array.from(up, (v, b) => (v - down[b]) / (2 * h));
      });
      const numeric = logDeterminant(columns);
      assert.ok(Math.abs(exact) > 1e-3, "the flow must do something");
      assert.ok(Math.abs(exact - numeric) < 1e-8, `N=${N} n=${n}: ${exact}, numeric ${numeric}`);
    }
  }
});

Deno.test("pair flow: the inverse gives back positions and log|J| (1e-12)", () => {
  for (const [N, n] of [...shapes, [13, 3]] as const) {
    // 90 cells of 0.02: distances beyond 1.8 are in the tail.
    const flow = randomFlow(3, 90, 0.02, 0.4, 4);
    for (const level of [0, 1, 2]) {
      const x = scattered(N, n, 1, 20 * N + n);
      const y = x.slice();
      const there = pairFlow(flow, level, y, n);
      const back = inversePairFlow(flow, level, y, n);
      const error = Math.max(...x.map((v, a) => Math.abs(v - y[a])));
      assert.ok(error < 1e-12, `N=${N}: positions differ by ${error}`);
      assert.ok(Math.abs(there - back) < 1e-11, `N=${N}: log|J| ${there} and ${back}`);
    }
  }
});

Deno.test("pair flow: the centre of mass stays; rotations and reflections commute", () => {
  const flow = randomFlow(2, 90, 0.05, 0.4, 5);
  const x = scattered(7, 3, 1, 1);
  const moved = x.slice();
  const logJ = pairFlow(flow, 1, moved, 3);
  for (let a = 0; a < 3; a++) {
    let shift = 0;
    for (let i = a; i < 21; i += 3) shift += moved[i] - x[i];
    assert.ok(Math.abs(shift) < 1e-13);
  }
  // (x, y, z) → (cos x − sin z, −y, sin x + cos z): a rotation and a reflection.
  const turn = (v: Float64Array) =>
    v.map((_, at) => {
      const i = at - at % 3;
      if (at % 3 === 1) return -v[at];
      return at % 3 === 0 ? 0.6 * v[i] - 0.8 * v[i + 2] : 0.8 * v[i] + 0.6 * v[i + 2];
    });
  const turned = turn(x);
  assert.ok(Math.abs(pairFlow(flow, 1, turned, 3) - logJ) < 1e-12);
  turn(moved).forEach((v, a) => assert.ok(Math.abs(v - turned[a]) < 1e-13));
});

Deno.test("pair flow: tables of the identity change nothing", () => {
  const x = scattered(6, 3, 1, 2);
  const y = x.slice();
  assert.ok(Math.abs(pairFlow(identityFlow(1, 100, 0.03), 0, y, 3)) < 1e-12);
  y.forEach((v, a) => assert.ok(Math.abs(v - x[a]) < 1e-13));
});

Deno.test("pairOrder: every pair once, neighbours disjoint within a round", () => {
  for (const N of [2, 3, 4, 7, 13, 55]) {
    const order = pairOrder(N);
    const seen = new Set<number>();
    for (let p = 0; p < order.length; p += 2) {
      assert.ok(order[p] < order[p + 1] && order[p + 1] < N);
      seen.add(order[p] * N + order[p + 1]);
    }
    assert.equal(seen.size, N * (N - 1) / 2);
    assert.equal(order.length, N * (N - 1));
    const round = Math.floor(N / 2);
    for (let p = 0; p < order.length / 2; p += round) {
      const particles = order.subarray(2 * p, 2 * (p + round));
      assert.equal(new Set(particles).size, particles.length, `N=${N}, round at pair ${p}`);
    }
  }
});

Deno.test("stepFlow: the tables themselves on their own grid, parts of them on others", () => {
  const flow = randomFlow(5, 40, 0.05, 0.2, 8);
  const same = stepFlow(flow, uniformTimes(5));
  same.tables.forEach((v, at) => assert.ok(Math.abs(v - flow.tables[at]) < 1e-13));
  const { tables } = stepFlow(flow, [0, 0.1, 0.5, 1]);
  const grid = { ...flow, tables };
  // Shares of stretches 0 … 4 in each step.
  const shares = [[0.5, 0, 0, 0, 0], [0.5, 1, 0.5, 0, 0], [0, 0, 0.5, 1, 1]];
  for (const r of [0.31, 1.17, 1.9, 2.6]) {
    shares.forEach((row, i) => {
      const expected = row.reduce(
        (sum, part, k) => sum + part * (radialMap(flowTable(flow, k), flow.width, r).mapped - r),
        r,
      );
      const { mapped } = radialMap(flowTable(grid, i), flow.width, r);
      assert.ok(Math.abs(mapped - expected) < 1e-12, `step ${i}, r = ${r}`);
    });
  }
});

Deno.test("stepFlow: steps that cover many stretches stay invertible", () => {
  const { tables, cells, width } = stepFlow(randomFlow(40, 40, 0.05, 0.5, 8), [0, 1]);
  for (let c = 1; c <= cells; c++) {
    const slope = (tables[c] - tables[c - 1]) / width;
    assert.ok(slope > 0.5 - 1e-9 && slope < 2 + 1e-9);
  }
});

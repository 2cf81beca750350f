/** e^{τA}x and its derivative: closed form and finite differences (float64), then both SIMD modules. */
import assert from "node:assert/strict";
import {
  addExponentialAdjoint,
  addExponentialDisplacement,
  exponentialRate,
  type LowRank,
} from "../../src/backends/reference/matrix_exponential.ts";
import { eachGpu } from "./gpu.ts";
import { loadKernels } from "../../src/backends/wasm/module.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";

function random(length: number, seed: number, scale = 1): Float64Array {
  const stream = new RandomStream(seed, Stream.test, 0);
  return Float64Array.from({ length }, () => scale * stream.normal());
}

function lowRank(N: number, n: number, C: number, seed: number): LowRank {
  return {
    h: random(N * C, seed, 0.7),
    s: random(C, seed + 1),
    particles: N,
    dimension: n,
    channels: C,
  };
}

function displacement(a: LowRank, x: Float64Array, tau: number): Float64Array {
  const out = new Float64Array(x.length);
  addExponentialDisplacement(a, x, tau, out);
  return out;
}

Deno.test("matrix_exponential: one channel has the closed form (e^{τ s |h|²} − 1) ĥ ĥᵀx", () => {
  const a = lowRank(5, 3, 1, 1);
  const x = random(15, 9);
  const tau = 0.2;
  const square = a.h.reduce((sum, v) => sum + v * v, 0);
  const factor = Math.expm1(tau * a.s[0] * square) / square;
  const got = displacement(a, x, tau);
  for (let i = 0; i < 5; i++) {
    for (let k = 0; k < 3; k++) {
      let z = 0;
      for (let j = 0; j < 5; j++) z += a.h[j] * x[j * 3 + k];
      assert.ok(Math.abs(got[i * 3 + k] - factor * a.h[i] * z) < 1e-12);
    }
  }
});

Deno.test("matrix_exponential: e^{−τA} undoes e^{τA}", () => {
  const a = lowRank(4, 2, 3, 2);
  const x = random(8, 4);
  const there = x.map((v, i) => v + displacement(a, x, 0.1)[i]);
  const back = displacement(a, there, -0.1);
  there.forEach((v, i) => assert.ok(Math.abs(v + back[i] - x[i]) < 1e-12));
});

for (const C of [1, 2, 4]) {
  Deno.test(`matrix_exponential: adjoint against finite differences, ${C} channels`, () => {
    const a = lowRank(4, 3, C, 10 + C);
    const x = random(12, 20);
    const yAdjoint = random(12, 21);
    const tau = 0.15;
    const h = new Float64Array(a.h.length);
    const s = new Float64Array(C);
    addExponentialAdjoint(a, x, tau, yAdjoint, h, s);
    const loss = () => displacement(a, x, tau).reduce((sum, v, i) => sum + v * yAdjoint[i], 0);
    const norm = Math.hypot(...h, ...s);
    for (const [values, analytic] of [[a.h, h], [a.s, s]]) {
      for (let i = 0; i < values.length; i++) {
        const kept = values[i];
        const delta = 1e-5;
        values[i] = kept + delta;
        const up = loss();
        values[i] = kept - delta;
        const down = loss();
        values[i] = kept;
        const numeric = (up - down) / (2 * delta);
        assert.ok(Math.abs(numeric - analytic[i]) <= 1e-8 * norm, `${analytic[i]}, ${numeric}`);
      }
    }
  });
}

/** float32 rounding of sums over N particles; both modules stay far below it. */
const TOLERANCE = 2e-5;

for (const variant of ["relaxed", "plain"] as const) {
  for (const [N, n, C] of [[2, 2, 1], [4, 2, 2], [13, 3, 3], [22, 3, 4]]) {
    Deno.test(`matrix_exponential: wasm ${variant} agrees with the reference, N=${N} C=${C}`, async () => {
      const { exports, memory } = await loadKernels({ variant });
      const tau = 0.12;
      const lanes = [0, 1, 2, 3].map((lane) => ({
        a: lowRank(N, n, C, 100 + lane),
        x: random(N * n, 200 + lane),
        yAdjoint: random(N * n, 300 + lane),
      }));
      const upload = (values: (lane: number) => Float64Array) => {
        const length = values(0).length;
        const address = memory.alloc(16 * length);
        for (let lane = 0; lane < 4; lane++) {
          values(lane).forEach((v, i) => memory.f32(address, 4 * length)[4 * i + lane] = v);
        }
        return address;
      };
      const download = (address: number, length: number, lane: number) =>
        Float64Array.from({ length }, (_, i) => memory.f32(address, 4 * length)[4 * i + lane]);
      const h = upload((l) => lanes[l].a.h);
      const s = upload((l) => lanes[l].a.s);
      const x = upload((l) => lanes[l].x);
      const y = upload((l) => lanes[l].yAdjoint);
      const out = upload(() => new Float64Array(N * n));
      const hBar = upload(() => new Float64Array(N * C));
      const sBar = upload(() => new Float64Array(C));
      const scratch = memory.alloc(exports.exponentialScratchBytes(n, C));
      exports.exponentialDisplacement(h, s, x, tau, out, N, n, C, scratch);
      exports.exponentialAdjoint(h, s, x, tau, y, hBar, sBar, N, n, C, scratch);
      const close = (got: Float64Array, expected: Float64Array, what: string) => {
        const norm = Math.hypot(...expected);
        const error = Math.hypot(...got.map((v, i) => v - expected[i]));
        assert.ok(error <= TOLERANCE * norm, `${what}: ${error} of ${norm}`);
      };
      lanes.forEach(({ a, x: xs, yAdjoint }, lane) => {
        close(download(out, N * n, lane), displacement(a, xs, tau), "displacement");
        const hExpected = new Float64Array(N * C);
        const sExpected = new Float64Array(C);
        addExponentialAdjoint(a, xs, tau, yAdjoint, hExpected, sExpected);
        close(download(hBar, N * C, lane), hExpected, "adjoint of h");
        close(download(sBar, C, lane), sExpected, "adjoint of s");
      });
    });
  }
}

eachGpu(
  "matrix_exponential: displacement, adjoint and rate agree with the reference",
  async (kernels) => {
    for (const [N, n, C] of [[2, 2, 1], [4, 2, 2], [13, 3, 3], [22, 3, 4]] as const) {
      const tau = 0.12;
      const count = 3;
      const systems = Array.from({ length: count }, (_, s) => ({
        a: lowRank(N, n, C, 100 + s),
        x: random(N * n, 200 + s),
        yAdjoint: random(N * n, 300 + s),
      }));
      const inputs = Float32Array.from(
        systems.flatMap(({ a, x, yAdjoint }) => [...x, ...a.h, ...a.s, ...yAdjoint]),
      );
      const shape = { particles: N, dimension: n, channels: C };
      const out = await kernels.matrixExponential(shape, inputs, count, tau);
      const width = N * n + N * C + C + 1;
      systems.forEach(({ a, x, yAdjoint }, s) => {
        const got = out.subarray(s * width, (s + 1) * width);
        const h = new Float64Array(N * C);
        const sBar = new Float64Array(C);
        addExponentialAdjoint(a, x, tau, yAdjoint, h, sBar);
        const moved = displacement(a, x, tau);
        const rate = exponentialRate(a, x.map((v, i) => v + moved[i]), tau, yAdjoint);
        let at = 0;
        for (const [what, expected] of [["e^A x − x", moved], ["H̄", h], ["s̄", sBar]] as const) {
          const error = Math.hypot(...expected.map((v, i) => v - got[at + i]));
          const norm = Math.hypot(...expected);
          assert.ok(error <= TOLERANCE * norm, `N=${N} C=${C} ${what}: ${error} of ${norm}`);
          at += expected.length;
        }
        const size = Math.hypot(...yAdjoint) * Math.hypot(...moved);
        assert.ok(Math.abs(got[at] - rate) <= TOLERANCE * size, `rate ${got[at]}, ${rate}`);
      });
    }
  },
);

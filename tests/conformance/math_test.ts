/** assembly/math.ts against float64, over the ranges its comments state. */
import assert from "node:assert/strict";
import type { KernelExports } from "../../src/backends/wasm/exports.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import { i0e, i1e } from "../../src/math/special.ts";
import { tolerances } from "./tolerances.ts";
import { eachVariant } from "./variants.ts";

type Unary = "mathExp" | "mathLog" | "mathTanh" | "mathI0e" | "mathI1e";
const POINTS = 1 << 15;

/** The kernel's values at float32 arguments; the output is `width` numbers for each argument. */
function evaluate(
  { exports, memory }: KernelInstance,
  name: keyof KernelExports & (Unary | "mathSincos"),
  arguments_: ArrayLike<number>,
  width = 1,
): Float32Array {
  const length = Math.ceil(arguments_.length / 4) * 4;
  const mark = memory.mark();
  const x = memory.alloc(4 * length);
  const out = memory.alloc(4 * length * width);
  memory.f32(x, length).set(arguments_);
  exports[name](x, out, length / 4);
  const values = memory.f32(out, length * width).slice();
  memory.release(mark);
  return values;
}

/** Distance of float32 neighbours at `value`; 2^-149 among subnormal numbers. */
function ulp(value: number): number {
  return 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(value))) - 23);
}

/** The largest error in ulp over `range`, float32 arguments; overflow must be that of float32. */
function worst(
  kernels: KernelInstance,
  name: Unary,
  exact: (x: number) => number,
  range: (u: number) => number,
): { error: number; at: number } {
  const x = Float32Array.from({ length: POINTS }, (_, i) => range((i + 0.5) / POINTS));
  const values = evaluate(kernels, name, x);
  let error = 0, at = NaN;
  x.forEach((argument, i) => {
    const expected = exact(argument);
    const e = Number.isFinite(Math.fround(expected))
      ? Math.abs(values[i] - expected) / ulp(expected)
      : values[i] === expected
      ? 0
      : Infinity;
    if (!(e <= error)) [error, at] = [e, argument];
  });
  return { error, at };
}

const between = (a: number, b: number) => (u: number) => a + (b - a) * u;
const powers = (a: number, b: number) => (u: number) => 10 ** between(a, b)(u);

const cases: Record<Unary, { exact: (x: number) => number; ranges: ((u: number) => number)[] }> = {
  mathExp: {
    exact: Math.exp,
    // The second holds the subnormal results, the last the overflow's edge.
    ranges: [between(-87, 88.7), between(-104, -87), powers(-30, 0), between(88.5, 88.72)],
  },
  mathLog: { exact: Math.log, ranges: [powers(-44.5, 38.5), between(0.5, 2), between(0.99, 1.01)] },
  mathTanh: { exact: Math.tanh, ranges: [between(-10, 10), powers(-37, 2), between(7.8, 8.1)] },
  mathI0e: { exact: i0e, ranges: [between(-12, 12), between(5.9, 6.1), powers(-20, 37)] },
  mathI1e: { exact: i1e, ranges: [between(-12, 12), between(5.9, 6.1), powers(-20, 37)] },
};

for (const [name, { exact, ranges }] of Object.entries(cases) as [Unary, typeof cases[Unary]][]) {
  eachVariant(`${name} keeps its stated error`, (kernels) => {
    for (const range of ranges) {
      const { error, at } = worst(kernels, name, exact, range);
      assert.ok(error <= tolerances[name].value, `${name}(${at}): ${error.toFixed(2)} ulp`);
    }
  });
}

eachVariant("special arguments: NaN, infinities, zeros, negative numbers", (kernels) => {
  const x = [NaN, Infinity, -Infinity, 0, -0, -1, 100, -200];
  const at = (name: Unary) => Array.from(evaluate(kernels, name, x));
  assert.deepEqual(at("mathExp").slice(0, 5), [NaN, Infinity, 0, 1, 1]);
  assert.deepEqual(at("mathExp").slice(6), [Infinity, 0]);
  assert.deepEqual(at("mathLog").slice(0, 6), [NaN, Infinity, NaN, -Infinity, -Infinity, NaN]);
  assert.ok(Number.isNaN(at("mathLog")[7]));
  const tanh = at("mathTanh");
  assert.ok(Number.isNaN(tanh[0]));
  assert.ok(Math.abs(tanh[1] - 1) < 1e-6);
  assert.equal(tanh[2], -tanh[1]);
  assert.ok(Object.is(tanh[3], 0) && Object.is(tanh[4], -0));
  assert.deepEqual(at("mathI0e").slice(0, 5), [NaN, 0, 0, 1, 1]);
  assert.deepEqual(at("mathI1e").slice(0, 5), [NaN, 0, -0, 0, -0]);
  // A NaN lane leaves its neighbours alone.
  for (const name of Object.keys(cases) as Unary[]) {
    const clean = evaluate(kernels, name, [2, 2, 2, 2]);
    const mixed = evaluate(kernels, name, [2, NaN, 2, 2]);
    assert.deepEqual([mixed[0], mixed[2], mixed[3]], [clean[0], clean[2], clean[3]]);
    assert.ok(Number.isNaN(mixed[1]));
  }
});

eachVariant("tanh never exceeds 1, at any float32 from 4 to 16", (kernels) => {
  const CHUNK = 1 << 20;
  const first = new Uint32Array(Float32Array.of(4).buffer)[0];
  const last = new Uint32Array(Float32Array.of(16).buffer)[0];
  let largest = 0;
  for (let start = first; start < last; start += CHUNK) {
    const bits = Uint32Array.from({ length: CHUNK }, (_, i) => start + i);
    const values = evaluate(kernels, "mathTanh", new Float32Array(bits.buffer));
    for (const v of values) if (!(v <= largest)) largest = v;
  }
  assert.ok(largest <= 1 && largest > 0.9999995, `${largest}`);
});

eachVariant("sincos: cos and sin of 2πu over a turn and beyond", (kernels) => {
  for (const range of [between(0, 1), between(-0.5, 0.5), between(-40, 40), powers(-12, 0)]) {
    const u = Float32Array.from({ length: POINTS }, (_, i) => range((i + 0.5) / POINTS));
    const values = evaluate(kernels, "mathSincos", u, 2);
    u.forEach((turn, i) => {
      const at = 8 * (i >> 2) + (i & 3);
      // Whole turns are taken off exactly, so that float64's own angle adds no error.
      const angle = 2 * Math.PI * (turn - Math.round(turn));
      const error = Math.max(
        Math.abs(values[at] - Math.cos(angle)),
        Math.abs(values[at + 4] - Math.sin(angle)),
      );
      assert.ok(error <= tolerances.mathSincos.value, `u = ${turn}: error ${error}`);
    });
  }
  const exactly = evaluate(kernels, "mathSincos", [0, 0.25, 0.5, 0.75], 2);
  assert.deepEqual(Array.from(exactly, (v) => v + 0), [1, 0, -1, 0, 0, 1, 0, -1]);
  assert.ok(evaluate(kernels, "mathSincos", [NaN, NaN, NaN, NaN], 2).every(Number.isNaN));
});

eachVariant(
  "mathAtan2 keeps its promised accuracy in all directions of the upper half plane",
  (kernels) => {
    const { memory, exports } = kernels;
    const angles = Float64Array.from({ length: POINTS }, (_, k) => Math.PI * (k + 0.5) / POINTS);
    const yx = new Float32Array(2 * POINTS);
    // Blocks of four y, then four x, at lengths from 1e-8 to 1e8.
    angles.forEach((angle, k) => {
      const length = 10 ** (16 * ((k * 0.618) % 1) - 8);
      const at = 8 * (k >> 2) + (k & 3);
      yx[at] = length * Math.sin(angle);
      yx[at + 4] = length * Math.cos(angle);
    });
    const mark = memory.mark();
    const input = memory.alloc(4 * yx.length);
    const out = memory.alloc(4 * POINTS);
    memory.f32(input, yx.length).set(yx);
    exports.mathAtan2(input, out, POINTS / 4);
    const values = memory.f32(out, POINTS).slice();
    memory.release(mark);
    let error = 0, where = 0;
    values.forEach((value, k) => {
      const at = 8 * (k >> 2) + (k & 3);
      const exact = Math.atan2(yx[at], yx[at + 4]);
      const e = Math.abs(value - exact) / ulp(exact);
      if (!(e <= error)) [error, where] = [e, exact];
    });
    assert.ok(error <= tolerances.mathAtan2.value, `${error} ulp at ${where}`);
  },
);

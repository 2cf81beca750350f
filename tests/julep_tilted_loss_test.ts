/** The tilted log-variance loss: what dead paths may do to the gradient, and to its speed. */
import assert from "node:assert/strict";
import { logVarianceLoss } from "../src/julep/loss.ts";
import { RandomStream, Stream } from "../src/math/random.ts";

const STEPS = 3, SAMPLES = 40;

/** Increments (T, S) of ordinary paths, and of dead ones with W about −30 k for k = 1, 2, ... */
function increments(dead: number): Float64Array {
  const random = new RandomStream(1, Stream.test, 0);
  return Float64Array.from({ length: STEPS * SAMPLES }, (_, i) => {
    const s = i % SAMPLES;
    return random.normal() - (s < dead ? 10 * (s + 1) : 0);
  });
}

Deno.test("tilted loss: no coefficient is so small that float32 products become denormal", () => {
  const { coefficients } = logVarianceLoss(increments(9), STEPS, SAMPLES, "per_step", 1, 1);
  let used = 0;
  for (const c of coefficients) {
    if (c === 0) continue;
    used++;
    // A backward pass multiplies a few more factors onto it; the least normal float32 is 1e-38.
    assert.ok(Math.abs(c) > 1e-20, `coefficient ${c}`);
  }
  assert.ok(used >= STEPS * (SAMPLES - 9), "living paths take part");
});

Deno.test("tilted loss: dead paths leave the coefficients of the living ones alone", () => {
  const all = increments(9);
  const living = SAMPLES - 9;
  const alone = new Float64Array(STEPS * living);
  for (let i = 0; i < STEPS; i++) {
    alone.set(all.subarray(i * SAMPLES + 9, (i + 1) * SAMPLES), i * living);
  }
  const together = logVarianceLoss(all, STEPS, SAMPLES, "per_step", 1, 1);
  const expected = logVarianceLoss(alone, STEPS, living, "per_step", 1, 1);
  assert.ok(Math.abs(together.loss - expected.loss) <= 1e-9 * expected.loss);
  for (let i = 0; i < STEPS; i++) {
    for (let s = 0; s < living; s++) {
      const got = together.coefficients[i * SAMPLES + 9 + s];
      assert.ok(Math.abs(got - expected.coefficients[i * living + s]) <= 1e-9, `${i} ${s}`);
    }
  }
});

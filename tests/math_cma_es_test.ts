/** CMA-ES on functions whose minimum is known. */
import assert from "node:assert/strict";
import { CmaEs } from "../src/math/cma_es.ts";

function minimise(
  f: (x: Float64Array) => number,
  start: Float64Array,
  sigma: number,
  generations: number,
  lambda = 14,
  seed = 1,
): CmaEs {
  const search = new CmaEs(start, sigma, lambda, seed);
  for (let g = 0; g < generations; g++) search.tell(search.ask().map(f));
  return search;
}

const sphere = (x: Float64Array) => x.reduce((sum, v) => sum + v * v, 0);
/** Condition number 1e4, turned so that no axis is a principal one. */
const ellipsoid = (x: Float64Array) => {
  const n = x.length;
  const mean = x.reduce((a, v) => a + v, 0) / n;
  return x.reduce((sum, v, i) => sum + 10 ** (4 * i / (n - 1)) * (v - 2 * mean) ** 2, 0);
};
const rosenbrock = (x: Float64Array) => {
  let sum = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    sum += 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2;
  }
  return sum;
};

Deno.test("CMA-ES: a sphere to 1e-10 in 200 generations of 10 points", () => {
  const search = minimise(sphere, new Float64Array(8).fill(3), 1, 200, 10);
  assert.ok(sphere(search.mean) < 1e-10, `${sphere(search.mean)}`);
  assert.ok(search.sigma < 1e-4, "the step size follows");
});

Deno.test("CMA-ES: a turned ellipsoid of condition 1e4, where a round search would crawl", () => {
  const search = minimise(ellipsoid, new Float64Array(8).fill(1), 1, 400);
  assert.ok(ellipsoid(search.mean) < 1e-10, `${ellipsoid(search.mean)}`);
});

Deno.test("CMA-ES: Rosenbrock's valley in six dimensions", () => {
  const { mean } = minimise(rosenbrock, new Float64Array(6), 0.3, 600);
  assert.ok(mean.every((v) => Math.abs(v - 1) < 1e-5), `${mean}`);
});

Deno.test("CMA-ES: the same seed asks the same points; NaN is the worst value", () => {
  const points = (seed: number) => minimise(sphere, Float64Array.of(1, 2), 0.5, 5, 6, seed).ask();
  assert.deepEqual(points(3), points(3));
  assert.notDeepEqual(points(3), points(4));
  // Half of the plane is no number: the search keeps out of it.
  const half = (x: Float64Array) => x[0] > 0.5 ? NaN : (x[0] - 1) ** 2 + x[1] ** 2;
  const { mean } = minimise(half, Float64Array.of(-1, 1), 0.5, 120);
  assert.ok(Math.abs(mean[0] - 0.5) < 0.02 && Math.abs(mean[1]) < 0.05, `${mean}`);
});

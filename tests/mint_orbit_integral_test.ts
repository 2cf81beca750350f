import assert from "node:assert/strict";
import fc from "fast-check";
import { RandomStream, Stream } from "../src/math/random.ts";
import { i0e } from "../src/math/special.ts";
import { logOrbitIntegral, orbitIntegralBound } from "../src/mint/orbit_integral.ts";
import { drawOrthogonal } from "../src/mint/von_mises_fisher.ts";

const dimensions = [2, 3] as const;
const zeros = (n: number) => new Float64Array(n * n);
const diagonal = (s: readonly number[]) => {
  const c = zeros(s.length);
  s.forEach((value, i) => c[i * s.length + i] = value);
  return c;
};
const matrix = (n: number, scale: number) =>
  fc.array(fc.double({ min: -scale, max: scale, noNaN: true }), {
    minLength: n * n,
    maxLength: n * n,
  });

Deno.test("I(0) = 1 with zero gradient", () => {
  for (const n of dimensions) {
    const gradient = zeros(n);
    assert.ok(Math.abs(logOrbitIntegral(zeros(n), n, gradient)) < 1e-14);
    for (const g of gradient) assert.ok(Math.abs(g) < 1e-14);
  }
});

Deno.test("n = 2: closed form for diagonal matrices", () => {
  for (const [a, b] of [[1, 0], [3, 2], [3, -2], [400, 399]]) {
    const [p, m] = [Math.abs(a + b), Math.abs(a - b)];
    const high = Math.max(p, m);
    const want = high + Math.log(0.5 * (i0e(p) * Math.exp(p - high) + i0e(m) * Math.exp(m - high)));
    assert.ok(Math.abs(logOrbitIntegral(diagonal([a, b]), 2) - want) < 1e-12 * (1 + want));
  }
});

/** s, log I: the one-dimensional integral by mpmath, 30 digits. */
const TABLE: [number, number, number, number][] = [
  [1, 0.5, 0.2, 0.21093520092295339],
  [5, 3, 1, 4.3734085033491605],
  [20, 0, 0, 16.311120545886064],
  [20, 20, 20, 52.171005265375796],
  [50, 40, 30, 111.13438438992297],
  [50, 50, 0, 92.179639559898956],
  [300, 1, 0, 293.83824336733629],
  [300, 300, 300, 888.09999840595203],
  [300, 150, 100, 538.88477333363663],
  [1000, 10, 0, 1000.3373503507992],
  [1000, 900, 800, 2686.453208636787],
  [5000, 3000, 10, 7994.9368075393645],
  [10000, 10000, 10000, 29982.839554527574],
  [1e5, 50000, 100, 150080.56772577009],
];

Deno.test("n = 3: agrees with 30-digit integrals", () => {
  for (const [s1, s2, s3, want] of TABLE) {
    const top = s1 + s2;
    const tolerance = top <= 100 ? 1e-12 : top <= 2e4 ? 1e-7 : 5e-7;
    const got = logOrbitIntegral(diagonal([s1, s2, s3]), 3);
    assert.ok(
      Math.abs(got - want) <= tolerance + 1e-14 * want,
      `${[s1, s2, s3]}: ${got - want}`,
    );
    // The sign of the determinant does not matter over O(3).
    assert.equal(logOrbitIntegral(diagonal([s1, s2, -s3]), 3), got);
  }
});

Deno.test("n = 3: rank one is log(sinh s / s)", () => {
  for (const s of [0.01, 1, 30, 500]) {
    const want = s + Math.log(-Math.expm1(-2 * s) / (2 * s));
    assert.ok(Math.abs(logOrbitIntegral(diagonal([s, 0, 0]), 3) - want) < 1e-10);
  }
});

Deno.test("gradient agrees with finite differences to 1e-6, repeated singular values included", () => {
  const check = (c: Float64Array, n: 2 | 3) => {
    const gradient = zeros(n);
    logOrbitIntegral(c, n, gradient);
    for (let i = 0; i < n * n; i++) {
      const h = 1e-4;
      const at = (delta: number) => {
        const moved = c.slice();
        moved[i] += delta;
        return logOrbitIntegral(moved, n);
      };
      const difference = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      assert.ok(Math.abs(difference - gradient[i]) < 1e-6, `${c}: ${difference} ${gradient[i]}`);
    }
  };
  check(diagonal([2, 2]), 2);
  check(diagonal([2, -2]), 2);
  check(diagonal([5, 5, 5]), 3);
  check(diagonal([5, 5, 0]), 3);
  check(diagonal([40, -40, 40]), 3);
  for (const n of dimensions) {
    for (const scale of [0.5, 5, 60]) {
      fc.assert(
        fc.property(matrix(n, scale), (c) => check(Float64Array.from(c), n)),
        { seed: 2, numRuns: 40 },
      );
    }
  }
});

Deno.test("invariant under orthogonal maps from both sides, and below its bound", () => {
  const random = new RandomStream(3, Stream.test, 0);
  for (const n of dimensions) {
    const multiply = (a: Float64Array, b: Float64Array) =>
      Float64Array.from(
        { length: n * n },
        (_, at) => {
          let sum = 0;
          for (let k = 0; k < n; k++) sum += a[Math.floor(at / n) * n + k] * b[k * n + at % n];
          return sum;
        },
      );
    for (let round = 0; round < 50; round++) {
      const [q, r, c] = [zeros(n), zeros(n), zeros(n)];
      drawOrthogonal(random, n, q);
      drawOrthogonal(random, n, r);
      for (let i = 0; i < n * n; i++) c[i] = 20 * random.normal();
      const value = logOrbitIntegral(c, n);
      const moved = multiply(multiply(q, c), r);
      assert.ok(Math.abs(logOrbitIntegral(moved, n) - value) < 1e-10);
      assert.ok(value <= orbitIntegralBound(c, n));
    }
  }
});

Deno.test("agrees with the mean over Haar-random matrices within 4 standard errors", () => {
  // Two-sided false-alarm rate 6e-5 for each of 2 · (1 + n²) comparisons; the seed is fixed.
  const random = new RandomStream(4, Stream.test, 0);
  const draws = 40000;
  for (const n of dimensions) {
    const c = Float64Array.from({ length: n * n }, () => 0.7 * random.normal());
    const q = zeros(n);
    const gradient = zeros(n);
    const sums = Array.from({ length: n * n + 1 }, () => ({ sum: 0, squares: 0 }));
    const value = Math.exp(logOrbitIntegral(c, n, gradient));
    for (let s = 0; s < draws; s++) {
      drawOrthogonal(random, n, q);
      let trace = 0;
      for (let i = 0; i < n * n; i++) trace += q[i] * c[i];
      const weight = Math.exp(trace);
      sums.forEach((entry, i) => {
        const f = i < n * n ? weight * (q[i] - gradient[i]) : weight - value;
        entry.sum += f;
        entry.squares += f * f;
      });
    }
    for (const { sum, squares } of sums) {
      assert.ok(Math.abs(sum) < 4 * Math.sqrt(squares), `n = ${n}: ${sum} ${Math.sqrt(squares)}`);
    }
  }
});

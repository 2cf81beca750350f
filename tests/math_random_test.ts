/**
 * Standard normals of few random words are standard normals: moments, tails, and no two of six know of each
 * other. 200,000 sixes; every check of a mean has a false-alarm rate of 6e-5 (four standard errors), all of
 * them together 4e-3; seeds are fixed. Tried, and each fails: the same 16 bits for the angles of two pairs, an
 * angle of bits that a radius is made of, 4 bits for an angle in place of 16, z_N without its factor.
 */
import assert from "node:assert/strict";
import { LevelNoise } from "../src/backends/reference/hmc.ts";
import { normals, Stream, streamKey, thriftyNormals } from "../src/math/random.ts";

const COUNT = 200_000;

/** Mean of f over sixes against `expected`, within four standard errors. */
function checkMean(
  sixes: readonly Float64Array[],
  f: (z: Float64Array) => number,
  expected: number,
  what: string,
) {
  let [sum, squares] = [0, 0];
  for (const z of sixes) {
    const v = f(z);
    sum += v;
    squares += v * v;
  }
  const mean = sum / sixes.length;
  const error = Math.sqrt((squares / sixes.length - mean * mean) / sixes.length);
  assert.ok(
    Math.abs(mean - expected) <= 4 * error,
    `${what}: ${mean} ± ${error}, expected ${expected}`,
  );
}

const key = streamKey(11, Stream.test);
const sixes = Array.from({ length: COUNT }, (_, s) => {
  const z = new Float64Array(6);
  thriftyNormals(z, key, s, 4);
  return z;
});

Deno.test("thriftyNormals: moments and tails of each of six", () => {
  for (let k = 0; k < 6; k++) {
    checkMean(sixes, (z) => z[k], 0, `mean of ${k}`);
    checkMean(sixes, (z) => z[k] ** 2, 1, `variance of ${k}`);
    checkMean(sixes, (z) => z[k] ** 4, 3, `fourth moment of ${k}`);
    checkMean(sixes, (z) => Math.abs(z[k]) > 2.5758293035489 ? 1 : 0, 0.01, `tail of ${k}`);
  }
});

Deno.test("thriftyNormals: angles are as good as continuous", () => {
  // The sixteenth harmonic of the angle, which 16 directions would have at ±1.
  for (let pair = 0; pair < 3; pair++) {
    const harmonic = (z: Float64Array) => Math.cos(16 * Math.atan2(z[2 * pair + 1], z[2 * pair]));
    checkMean(sixes, harmonic, 0, `sixteenth harmonic of pair ${pair}`);
  }
});

Deno.test("thriftyNormals: no two of six depend on each other", () => {
  for (let j = 0; j < 6; j++) {
    for (let k = 0; k < j; k++) {
      checkMean(sixes, (z) => z[j] * z[k], 0, `covariance of ${j} and ${k}`);
      checkMean(sixes, (z) => z[j] ** 2 * z[k] ** 2, 1, `of the squares of ${j} and ${k}`);
    }
  }
  // A radius's words are next to bits of the third angle: neither tells of the other.
  for (const pair of [0, 1]) {
    const radius = (z: Float64Array) => z[2 * pair] ** 2 + z[2 * pair + 1] ** 2 - 2;
    const third = (z: Float64Array) => Math.cos(2 * Math.atan2(z[5], z[4]));
    checkMean(sixes, (z) => radius(z) * third(z), 0, `radius ${pair} and the third angle`);
  }
});

Deno.test("thriftyNormals: a shorter array holds the first of a longer one", () => {
  const whole = new Float64Array(40);
  thriftyNormals(whole, key, 3, 9);
  for (const count of [1, 2, 5, 6, 7, 13, 39]) {
    const part = new Float64Array(count);
    thriftyNormals(part, key, 3, 9);
    assert.deepEqual(part, whole.slice(0, count), `${count}`);
  }
  // Radii are those that `normals` has of the same words.
  const plain = new Float64Array(2);
  normals(plain, key, 3, 9);
  const radius = (z: Float64Array) => Math.hypot(z[0], z[1]);
  assert.ok(Math.abs(radius(plain) / radius(whole) - 1) < 1e-15);
});

Deno.test("LevelNoise.centred: N(0, 1 − 11ᵀ/N) along each axis", () => {
  const N = 5;
  const noise = new LevelNoise(12, Stream.test, N, 3 * N);
  const rows = Array.from({ length: COUNT / 2 }, (_, s) => {
    const v = new Float64Array(3 * N);
    noise.centred(v, s, 2);
    return v;
  });
  for (const v of rows.slice(0, 100)) {
    for (let a = 0; a < 3; a++) {
      let sum = 0;
      for (let i = 0; i < N; i++) sum += v[3 * i + a];
      assert.ok(Math.abs(sum) < 1e-13, `axis ${a} has the mean ${sum / N}`);
    }
  }
  for (const [i, j] of [[0, 0], [0, 1], [0, 4], [3, 4], [4, 4]]) {
    const expected = (i === j ? 1 : 0) - 1 / N;
    checkMean(rows, (v) => v[3 * i + 1] * v[3 * j + 1], expected, `particles ${i} and ${j}`);
    checkMean(rows, (v) => v[3 * i] * v[3 * j + 2], 0, `axes of particles ${i} and ${j}`);
  }
});

/** assembly/threefry.ts against src/math/random.ts: words bit for bit, normals to rounding. */
import assert from "node:assert/strict";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import { normals, Stream, streamKey, threefry2x32, thriftyNormals } from "../../src/math/random.ts";
import { tolerances } from "./tolerances.ts";
import { eachGpu } from "./gpu.ts";
import { eachVariant } from "./variants.ts";

/** `kernel` wrote `vectors` f32x4 or i32x4, read back as 32-bit words; one more is a canary. */
function call(
  { exports, memory }: KernelInstance,
  kernel: "wordsAt" | "normalsAt" | "thriftyNormalsAt",
  count: number,
  vectors: number,
  key: readonly [number, number],
  samples: readonly number[],
  first: number,
): Uint32Array {
  const mark = memory.mark();
  const samplesAt = memory.alloc(16);
  const out = memory.alloc(16 * (vectors + 1));
  memory.i32(samplesAt, 4).set(samples);
  memory.i32(out, 4 * (vectors + 1)).fill(-1);
  exports[kernel](out, count, key[0], key[1], samplesAt, first);
  const words = Uint32Array.from(memory.i32(out, 4 * (vectors + 1)));
  memory.release(mark);
  assert.deepEqual([...words.slice(-4)], Array(4).fill(0xffffffff), "written beyond the end");
  return words.subarray(0, 4 * vectors);
}

Deno.test("threefry2x32 gives the published vectors of Random123", () => {
  const out = new Uint32Array(2);
  const block = (k0: number, k1: number, c0: number, c1: number) => {
    threefry2x32(k0, k1, c0, c1, out);
    return [...out];
  };
  const ones = 0xffffffff;
  assert.deepEqual(block(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  assert.deepEqual(block(ones, ones, ones, ones), [0x1cb996fc, 0xbb002be7]);
  assert.deepEqual(
    block(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3),
    [0xc4923a9c, 0x483df7a0],
  );
});

eachVariant(
  "threefry words equal the published vectors and the reference, bit for bit",
  (kernels) => {
    const published = call(
      kernels,
      "wordsAt",
      1,
      2,
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0, 0x243f6a88, 1],
      0x85a308d3,
    );
    assert.deepEqual([published[0], published[4]], [0xc4923a9c, 0x483df7a0]);
    assert.deepEqual([published[2], published[6]], [0xc4923a9c, 0x483df7a0]);
    const out = new Uint32Array(2);
    const samples = [0, 5, 4_000_000_000, 2 ** 32 - 1];
    // The counter wraps around at 2^32 like every 32-bit number.
    for (const [seed, first] of [[0, 0], [2 ** 40 + 77, 9], [2 ** 53 - 1, 2 ** 32 - 3]]) {
      const key = streamKey(seed, Stream.test);
      const words = call(kernels, "wordsAt", 50, 100, key, samples, first);
      for (let p = 0; p < 50; p++) {
        samples.forEach((sample, lane) => {
          threefry2x32(key[0], key[1], sample, first + p, out);
          assert.deepEqual([words[8 * p + lane], words[8 * p + 4 + lane]], [...out]);
        });
      }
    }
  },
);

eachVariant("normals agree with the float64 reference, odd counts included", (kernels) => {
  const samples = [3, 1, 2 ** 31, 70];
  for (const count of [1, 2, 7, 8, 20_001]) {
    const key = streamKey(count, Stream.test);
    const got = new Float32Array(
      call(kernels, "normalsAt", count, count, key, samples, 11).slice().buffer,
    );
    samples.forEach((sample, lane) => {
      const exact = new Float64Array(count);
      normals(exact, key, sample, 11);
      exact.forEach((z, k) => {
        const error = Math.abs(got[4 * k + lane] - z);
        assert.ok(error <= tolerances.threefryNormals.value, `number ${k}: error ${error}`);
      });
    });
  }
});

eachVariant("thrifty normals agree with the float64 reference, any count", (kernels) => {
  const samples = [3, 1, 2 ** 31, 70];
  for (const count of [1, 2, 6, 7, 12, 13, 36, 162, 20_000]) {
    const key = streamKey(count, Stream.test);
    const room = 6 * Math.ceil(count / 6);
    const got = new Float32Array(
      call(kernels, "thriftyNormalsAt", count, room, key, samples, 2 ** 32 - 5).slice().buffer,
    );
    samples.forEach((sample, lane) => {
      const exact = new Float64Array(count);
      thriftyNormals(exact, key, sample, 2 ** 32 - 5);
      exact.forEach((z, k) => {
        const error = Math.abs(got[4 * k + lane] - z);
        assert.ok(error <= tolerances.threefryNormals.value, `number ${k}: error ${error}`);
      });
    });
  }
});

eachVariant("a lane's normals do not depend on its neighbours", (kernels) => {
  const key = streamKey(1, Stream.test);
  const together = call(kernels, "normalsAt", 6, 6, key, [10, 11, 12, 13], 0);
  const moved = call(kernels, "normalsAt", 6, 6, key, [13, 12, 99, 10], 0);
  for (let k = 0; k < 6; k++) {
    assert.equal(moved[4 * k], together[4 * k + 3]);
    assert.equal(moved[4 * k + 1], together[4 * k + 2]);
    assert.equal(moved[4 * k + 3], together[4 * k]);
  }
});

eachGpu("threefry words bit for bit, normals to rounding", async (kernels) => {
  const published = await kernels.threefry([0x13198a2e, 0x03707344], 0x243f6a88, 0x85a308d3, 1);
  assert.deepEqual([...published.words], [0xc4923a9c, 0x483df7a0]);
  const zero = await kernels.threefry([0, 0], 0, 0, 1);
  assert.deepEqual([...zero.words], [0x6b200159, 0x99ba4efe]);
  const key = streamKey(2 ** 40 + 9, Stream.forward);
  const count = 20000;
  const out = new Uint32Array(2);
  for (const sample of [0, 5, 4_000_000_000]) {
    const got = await kernels.threefry(key, sample, 17, count);
    const expected = new Float64Array(2 * count);
    normals(expected, key, sample, 17);
    for (let p = 0; p < count; p++) {
      threefry2x32(key[0], key[1], sample, 17 + p, out);
      assert.deepEqual([got.words[2 * p], got.words[2 * p + 1]], [out[0], out[1]]);
    }
    const worst = expected.reduce((w, z, i) => Math.max(w, Math.abs(z - got.normals[i])), 0);
    assert.ok(worst <= tolerances.threefryNormals.value, `${worst}`);
    const fine = expected.reduce((w, z, i) => Math.max(w, Math.abs(z - got.fineNormals[i])), 0);
    assert.ok(fine <= tolerances.fineNormals.value, `${fine}`);
  }
});

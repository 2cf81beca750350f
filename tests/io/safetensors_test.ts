import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeSafetensors, encodeSafetensors } from "../../src/io/safetensors.ts";
import { flipped, joined, orRefused, refused } from "./helpers.ts";

const name = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom("__proto__", "constructor", "7", "julep.adam.first"),
).filter((s) => s !== "__metadata__");
const data = fc.oneof(
  fc.float64Array({ maxLength: 9 }),
  fc.float32Array({ maxLength: 9 }),
  fc.int32Array({ maxLength: 9 }),
);
const files = fc.record({
  tensors: fc.dictionary(name, data, { maxKeys: 5, noNullPrototype: true }),
  metadata: fc.dictionary(name, fc.string({ unit: "binary" }), {
    maxKeys: 3,
    noNullPrototype: true,
  }),
}, { noNullPrototype: true });

const decode = (bytes: Uint8Array) => decodeSafetensors(bytes, "c.safetensors");

/** A file with any header and `body` bytes of zeros. */
function withHeader(header: unknown, body: number): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const length = new Uint8Array(new BigUint64Array([BigInt(text.length)]).buffer);
  return joined([length, text, new Uint8Array(body)]);
}

const tensor = (from: number, to: number, shape: unknown = [(to - from) / 8], dtype = "F64") => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

Deno.test("safetensors: tensors and metadata come back to the bit", () => {
  fc.assert(fc.property(files, (file) => {
    const bytes = encodeSafetensors(file);
    assert.deepStrictEqual(decode(bytes), file);
    assert.deepStrictEqual(encodeSafetensors(file), bytes);
  }));
});

Deno.test("safetensors: every tensor stands at a multiple of its element size", () => {
  fc.assert(fc.property(files, (file) => {
    const bytes = encodeSafetensors(file);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    assert.equal(length % 8, 0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    for (const key of Object.keys(file.tensors)) {
      assert.equal(header[key].data_offsets[0] % file.tensors[key].BYTES_PER_ELEMENT, 0);
    }
  }));
});

Deno.test("safetensors: no truncated or lengthened file is read", () => {
  const bytes = encodeSafetensors({
    tensors: { a: Float64Array.of(1, 2), b: Int32Array.of(3) },
    metadata: { stage: "julep" },
  });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decode(bytes.subarray(0, length)), refused(/./, "c.safetensors"));
  }
  assert.throws(() => decode(joined([bytes, Uint8Array.of(0)])), refused(/follow the last/));
});

Deno.test("safetensors: damaged headers and any bytes are read or refused, nothing else", () => {
  const bytes = encodeSafetensors({
    tensors: { a: Float64Array.of(1, 2), b: Int32Array.of(3) },
    metadata: { stage: "julep" },
  });
  const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  for (let bit = 0; bit < 8 * headerEnd; bit++) {
    const read = orRefused(() => decode(flipped(bytes, bit)), "c.safetensors");
    // The format has no checksum: names and texts may change, numbers and sizes may not.
    if (!read) continue;
    const lengths = Object.values(read.tensors).map((t) => [t.constructor.name, ...t]);
    assert.deepEqual(lengths.sort(), [["Float64Array", 1, 2], ["Int32Array", 3]], `bit ${bit}`);
  }
  for (let bit = 0; bit < 64; bit++) {
    assert.throws(() => decode(flipped(bytes, bit)), refused(/./));
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), fc.json(), (noise, json) => {
    orRefused(() => decode(noise), "c.safetensors");
    orRefused(() => decode(withHeader(json, 8)), "c.safetensors");
  }));
});

Deno.test("safetensors: refusals say what is wrong and name the tensor", () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(3), /truncated \(3 bytes\)/],
    [new Uint8Array(new BigUint64Array([2n ** 63n]).buffer), /header is truncated/],
    [withHeader("{", 0), /not JSON/],
    [withHeader([], 0), /not an object/],
    [withHeader("null", 0), /not an object/],
    [withHeader({ __metadata__: { a: 1 } }, 0), /metadata a is not a string/],
    [withHeader({ __metadata__: "abc" }, 0), /__metadata__ is not an object/],
    [withHeader({ w: tensor(0, 8, [1], "BF16") }, 8), /tensor w has dtype BF16/],
    [withHeader({ w: tensor(0, 8, [1], "toString") }, 8), /tensor w has dtype toString/],
    [withHeader({ w: tensor(0, 16) }, 8), /tensor w is truncated/],
    [withHeader({ w: tensor(0, 8, [2]) }, 8), /tensor w: 8 bytes for shape \(2\)/],
    [withHeader({ w: tensor(8, 0, [-1]) }, 8), /tensor w has no proper shape/],
    [withHeader({ w: tensor(0, 8, [0.5, 2]) }, 8), /tensor w has no proper shape/],
    [withHeader({ w: tensor(0, 8, [1e308]) }, 8), /tensor w/],
    [withHeader({ w: null }, 8), /tensor w/],
    [withHeader({ "w\n\u2028": null }, 8), /tensor w\? has/],
    [withHeader({ a: tensor(0, 8), b: tensor(0, 8) }, 8), /tensor . overlaps/],
    [withHeader({ a: tensor(0, 16), b: tensor(8, 24) }, 24), /tensor b overlaps/],
    [withHeader({ a: tensor(0, 8), b: tensor(16, 24) }, 24), /tensor b overlaps.*gap/],
    [withHeader({ a: tensor(0, 8) }, 16), /8 bytes follow/],
  ];
  for (const [bytes, pattern] of cases) {
    assert.throws(() => decode(bytes), refused(pattern, "c.safetensors"));
  }
  assert.throws(
    () => encodeSafetensors({ tensors: { __metadata__: Float64Array.of(1) }, metadata: {} }),
    RangeError,
  );
});

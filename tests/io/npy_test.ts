import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { decodeNpy, encodeNpy, type NpyArray } from "../../src/io/npy.ts";
import { decodeNpz, encodeNpz } from "../../src/io/npz.ts";
import { flipped, inFolder, joined, numpyTest, orRefused, refused, runPython } from "./helpers.ts";

const npy = (array: NpyArray) => joined(encodeNpy(array.data, array.shape));

const doubles = fc.float64Array({ maxLength: 24 });
const letters = fc.string({ unit: "binary", maxLength: 12 })
  // A string that ends in zeros cannot be told from numpy's padding.
  .filter((s) => !s.endsWith("\0"));
const arrays: fc.Arbitrary<NpyArray> = fc.oneof(
  doubles.map((data) => ({ data, shape: [data.length] })),
  fc.float32Array({ maxLength: 24 }).map((data) => ({ data, shape: [data.length, 1] })),
  fc.bigInt64Array({ minLength: 6, maxLength: 6 }).map((data) => ({ data, shape: [1, 2, 3] })),
  fc.float64Array({ minLength: 1, maxLength: 1 }).map((data) => ({ data, shape: [] })),
  letters.map((data) => ({ data, shape: [] })),
);

/** An .npy of version 1 with any header text, padded as numpy does. */
function withHeader(text: string, body: number, version = 1): Uint8Array<ArrayBuffer> {
  const head = version === 1 ? 10 : 12;
  const length = Math.ceil((head + text.length + 1) / 64) * 64;
  const out = new Uint8Array(length + body).fill(0x20, head, length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  new DataView(out.buffer).setUint16(8, length - head, true);
  out.set(new TextEncoder().encode(text), head);
  out[length - 1] = 0x0a;
  return out;
}

Deno.test("npy: every array comes back as it was", () => {
  fc.assert(fc.property(arrays, (array) => {
    const bytes = npy(array);
    assert.deepStrictEqual(decodeNpy(bytes, "a.npy"), { data: array.data, shape: array.shape });
  }));
});

Deno.test("npy: a view into a larger buffer is written and read as the view", () => {
  const data = Float64Array.of(9, 1, 2, 9).subarray(1, 3);
  const bytes = npy({ data, shape: [2] });
  const padded = joined([Uint8Array.of(7), bytes, Uint8Array.of(7)]);
  assert.deepEqual(decodeNpy(padded.subarray(1, -1), "a").data, Float64Array.of(1, 2));
  assert.throws(() => encodeNpy(data, [3]), RangeError);
});

Deno.test("npy: no truncated file is read", () => {
  const bytes = npy({ data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeNpy(bytes.subarray(0, length), "a.npy"), refused(/./, "a.npy"));
  }
  assert.throws(() => decodeNpy(joined([bytes, Uint8Array.of(0)]), "a.npy"), refused(/needs 16/));
});

Deno.test("npy: every turned bit of the header is refused", () => {
  for (
    const array of [{ data: Float64Array.of(1, 2, 3), shape: [3] }, { data: "two", shape: [] }]
  ) {
    const bytes = npy(array);
    const header = encodeNpy(array.data, array.shape)[0].length;
    for (let bit = 0; bit < 8 * header; bit++) {
      assert.throws(() => decodeNpy(flipped(bytes, bit), "a.npy"), refused(/./, "a.npy"), `${bit}`);
    }
  }
});

Deno.test("npy: any bytes are read or refused, nothing else", () => {
  const start = npy({ data: Float32Array.of(1), shape: [1] }).slice(0, 10);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, magic) => {
    orRefused(() => decodeNpy(magic ? joined([start, bytes]) : bytes, "a.npy"), "a.npy");
  }));
});

Deno.test("npy: refusals say what is wrong", () => {
  const header = (descr: string, fortran: string, shape: string) =>
    `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const cases: [Uint8Array, RegExp][] = [
    [new TextEncoder().encode("x,y\n1,2\n3,4\n"), /NUMPY/],
    [new Uint8Array(0), /truncated \(0 bytes\)/],
    [withHeader(header("'<f8'", "True", "(2, 2)"), 32), /Fortran order/],
    [withHeader(header("'>f8'", "False", "(2, 2)"), 32), /dtype >f8 .* float32 or float64/],
    [withHeader(header("'|O'", "False", "(2,)"), 32), /dtype \|O/],
    [withHeader(header("'__proto__'", "False", "(2,)"), 32), /dtype __proto__/],
    [withHeader(header("'<U3'", "False", "(2,)"), 24), /arrays of strings/],
    [withHeader(header("[('x', '<f8')]", "False", "(2,)"), 16), /header/],
    [
      withHeader(header("'<f8'", "False", "(99999999999, 99999999999)"), 8),
      /needs 8e\+?22|needs 7\.9/,
    ],
    [withHeader(header("'<f8'", "False", `(${"9".repeat(400)},)`), 8), /needs Infinity/],
    [withHeader(header("'<f8'", "False", "(0, 99999999999)"), 8), /needs 0 bytes, 8 are there/],
    [withHeader(header("'<f8'", "False", "(-1,)"), 8), /header/],
    [withHeader(header("'<f8'", "False", "(1.0,)"), 8), /header/],
    [withHeader("{'descr': '<f8', 'fortran_order': False, }", 8), /header/],
    [withHeader("{'descr': '<f8', 'descr': '<f8', 'shape': (1,), }", 8), /header/],
    [withHeader("", 8), /header/],
    [withHeader("[".repeat(60_000), 8), /header/],
    [withHeader("{" + " ,".repeat(25_000), 8), /header/],
  ];
  for (const [bytes, pattern] of cases) {
    assert.throws(() => decodeNpy(bytes, "ref.npy"), refused(pattern, "ref.npy"));
  }
  const other = withHeader("{'shape': (1,), 'fortran_order': False, 'descr': '<f8'}", 8, 2);
  assert.deepEqual(decodeNpy(other, "a"), { data: Float64Array.of(0), shape: [1] });
});

const archive = (data: Record<string, NpyArray>) => joined(encodeNpz(data));

const named = fc.dictionary(fc.stringMatching(/^[a-z_]{1,9}$/), arrays, {
  maxKeys: 4,
  noNullPrototype: true,
});

Deno.test("npz: arrays come back by name, and equal arrays give equal bytes", () => {
  fc.assert(fc.property(named, (data) => {
    const bytes = archive(data);
    assert.deepStrictEqual(decodeNpz(bytes, "a.npz"), data);
    assert.deepStrictEqual(archive(data), bytes);
  }));
});

Deno.test("npz: no clock and no time zone gets into the file", async () => {
  const code = `
    import { encodeNpz } from ${JSON.stringify(import.meta.resolve("../../src/io/npz.ts"))};
    const out = [];
    for (const piece of encodeNpz({ a: { data: Float64Array.of(1), shape: [1] } })) out.push(...piece);
    console.log(new Uint8Array(out).toHex());`;
  const seen = await Promise.all(["UTC", "Pacific/Kiritimati", "America/Adak"].map(async (TZ) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", code],
      env: { TZ },
      cwd: new URL("../../", import.meta.url),
    }).output();
    return new TextDecoder().decode(stdout).trim();
  }));
  const here = archive({ a: { data: Float64Array.of(1), shape: [1] } }).toHex();
  assert.deepEqual(seen, [here, here, here]);
});

Deno.test("npz: large arrays pass through in pieces without being held", () => {
  const data = new Float32Array(3 << 21).map((_, i) => i);
  let largest = 0;
  let views = 0;
  for (const piece of encodeNpz({ x: { data, shape: [data.length] } })) {
    largest = Math.max(largest, piece.length);
    if (piece.buffer === data.buffer) views += piece.length;
  }
  assert.ok(largest <= 1 << 22);
  assert.equal(views, data.byteLength); // The array's own memory, nothing copied.
});

Deno.test("npz: what would not fit the format is refused before a byte is written", () => {
  const data = { length: 2 ** 31, byteLength: 2 ** 33 } as Float32Array<ArrayBuffer>;
  // encodeNpy makes a view of the data: a real buffer of this size cannot be had in a test.
  assert.throws(() => {
    const View = globalThis.Uint8Array;
    try {
      globalThis.Uint8Array = new Proxy(View, {
        construct: (target, args) =>
          args[2] === data.byteLength
            ? { length: data.byteLength }
            : Reflect.construct(target, args, target),
      });
      encodeNpz({ x: { data, shape: [data.length] } });
    } finally {
      globalThis.Uint8Array = View;
    }
  }, refused(/8\.0 GiB.*4 GiB/));
});

Deno.test("npz: truncated or damaged archives are refused, or harmlessly equal", () => {
  const data = {
    x: { data: Float64Array.of(1, 2), shape: [2] },
    seed: { data: BigInt64Array.of(7n), shape: [] },
    name: { data: "dw4", shape: [] },
  };
  const bytes = archive(data);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeNpz(bytes.subarray(0, length), "a.npz"), refused(/./, "a.npz"));
  }
  let harmless = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const read = orRefused(() => decodeNpz(flipped(bytes, bit), "a.npz"), "a.npz");
    if (!read) continue;
    // Times, versions and attributes say nothing about the arrays.
    assert.deepStrictEqual(read, data, `bit ${bit}`);
    harmless++;
  }
  assert.ok(harmless < 0.2 * 8 * bytes.length, `${harmless} of ${8 * bytes.length}`);
});

numpyTest("npz: numpy.load reads what is written", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "a.npz");
    await Deno.writeFile(
      path,
      archive({
        positions: { data: Float32Array.from({ length: 12 }, (_, i) => i / 3), shape: [2, 3, 2] },
        log_weights: { data: Float64Array.of(0.1, -Infinity), shape: [2] },
        empty: { data: new Float64Array(0), shape: [0, 3] },
        seed: { data: BigInt64Array.of(2n ** 53n - 1n), shape: [] },
        definition: { data: "Σ d² − 4·d⁴ 𝛕", shape: [] },
        none: { data: "", shape: [] },
      }),
    );
    const out = await runPython(
      `
import numpy, sys
a = numpy.load(sys.argv[1])
p = a["positions"]
assert p.dtype == numpy.float32 and p.shape == (2, 3, 2) and p.flags.c_contiguous
assert (p.ravel() == (numpy.arange(12) / 3).astype(numpy.float32)).all()
assert a["log_weights"].dtype == numpy.float64 and list(a["log_weights"]) == [0.1, -numpy.inf]
assert a["empty"].shape == (0, 3)
assert a["seed"].shape == () and int(a["seed"]) == 2**53 - 1
assert str(a["definition"]) == "Σ d² − 4·d⁴ 𝛕" and a["definition"].shape == ()
assert str(a["none"]) == ""
print(sorted(a.files))`,
      path,
    );
    assert.equal(
      out,
      "['definition', 'empty', 'log_weights', 'none', 'positions', 'seed']",
    );
  });
});

numpyTest("npy and npz: what numpy writes is read", async () => {
  await inFolder(async (dir) => {
    await runPython(
      `
import numpy, sys
d = sys.argv[1]
x = numpy.arange(6.0).reshape(3, 2) / 7
numpy.save(d + "/x.npy", x)
numpy.save(d + "/f32.npy", x.astype(numpy.float32))
numpy.save(d + "/fortran.npy", numpy.asfortranarray(x))
numpy.save(d + "/complex.npy", x + 1j)
numpy.savez(d + "/plain.npz", x=x, s=numpy.array("aΔ"))
numpy.savez_compressed(d + "/packed.npz", x=numpy.zeros(5000), i=numpy.arange(3))
with open(d + "/v2.npy", "wb") as f: numpy.lib.format.write_array(f, x, version=(2, 0))`,
      dir,
    );
    const x = Float64Array.from({ length: 6 }, (_, i) => i / 7);
    const read = async (name: string) => decodeNpy(await Deno.readFile(join(dir, name)), name);
    assert.deepEqual(await read("x.npy"), { data: x, shape: [3, 2] });
    assert.deepEqual(await read("v2.npy"), { data: x, shape: [3, 2] });
    assert.deepEqual(await read("f32.npy"), { data: Float32Array.from(x), shape: [3, 2] });
    await assert.rejects(read("fortran.npy"), refused(/Fortran/));
    await assert.rejects(read("complex.npy"), refused(/dtype <c16/));
    const zip = async (name: string) => decodeNpz(await Deno.readFile(join(dir, name)), name);
    assert.deepEqual(await zip("plain.npz"), {
      x: { data: x, shape: [3, 2] },
      s: { data: "aΔ", shape: [] },
    });
    const packed = await zip("packed.npz");
    assert.deepEqual(packed.x, { data: new Float64Array(5000), shape: [5000] });
    assert.deepEqual(packed.i.data, BigInt64Array.of(0n, 1n, 2n));
  });
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { writeCurve } from "../../src/io/curve.ts";
import { toJson } from "../../src/io/json.ts";
import { encodeNpy, type NpyArray } from "../../src/io/npy.ts";
import { encodeNpz } from "../../src/io/npz.ts";
import { readReference, readSamples, type SampleFile, writeSamples } from "../../src/io/samples.ts";
import { inFolder, joined, numpyTest, refused, runPython } from "./helpers.ts";

const samples = (count = 3): SampleFile => ({
  positions: Float32Array.from({ length: count * 8 }, (_, i) => i / 7),
  shape: [count, 4, 2],
  logWeights: Float64Array.from({ length: count }, (_, i) => i === 1 ? -Infinity : i / 3),
  energies: Float64Array.from({ length: count }, (_, i) => -22.5 + i),
  seed: 2 ** 53 - 1,
  definition: "Σ_{i<j} [−4 d² + 0.9 d⁴] / 1",
  hash: "0123456789abcdef",
});

Deno.test("samples come back as they were written, and equal samples are equal files", async () => {
  await inFolder(async (dir) => {
    const [a, b] = [join(dir, "a.npz"), join(dir, "b.npz")];
    for (const count of [0, 1, 3]) {
      await writeSamples(a, samples(count));
      await writeSamples(b, samples(count));
      assert.deepStrictEqual(await readSamples(a), samples(count));
      assert.deepEqual(await Deno.readFile(a), await Deno.readFile(b));
    }
  });
});

Deno.test("a failing write leaves the earlier samples and no other file", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "a.npz");
    await writeSamples(path, samples(1));
    await assert.rejects(writeSamples(path, { ...samples(), shape: [3, 4, 3] }), RangeError);
    assert.deepStrictEqual(await readSamples(path), samples(1));
    assert.deepEqual([...Deno.readDirSync(dir)].map((entry) => entry.name), ["a.npz"]);
    await assert.rejects(
      writeSamples(join(dir, "no", "a.npz"), samples()),
      refused(/cannot write/),
    );
    await assert.rejects(writeSamples(dir, samples()), refused(/it is a folder/, dir));
  });
});

Deno.test("readSamples() refuses what it did not write, naming the array", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "a.npz");
    const good: Record<string, NpyArray> = {
      positions: { data: new Float32Array(8), shape: [1, 4, 2] },
      log_weights: { data: new Float64Array(1), shape: [1] },
      energies: { data: new Float64Array(1), shape: [1] },
      seed: { data: BigInt64Array.of(1n), shape: [] },
      definition: { data: "x", shape: [] },
      hash: { data: "y", shape: [] },
    };
    const attempt = async (change: Record<string, NpyArray | undefined>) => {
      const arrays = { ...good, ...change };
      for (const name of Object.keys(arrays)) if (!arrays[name]) delete arrays[name];
      await Deno.writeFile(path, joined(encodeNpz(arrays as Record<string, NpyArray>)));
      return await readSamples(path);
    };
    await attempt({});
    for (const name of Object.keys(good)) {
      const missing = attempt({ [name]: undefined });
      await assert.rejects(missing, refused(new RegExp(`no array ${name}`), path));
      const wrong = attempt({ [name]: { data: BigInt64Array.of(1n, 2n), shape: [2] } });
      await assert.rejects(wrong, refused(new RegExp(name), path));
    }
    await assert.rejects(
      attempt({ positions: { data: new Float32Array(8), shape: [8] } }),
      refused(/positions have shape \(8\)/),
    );
    await assert.rejects(
      attempt({ energies: { data: new Float64Array(2), shape: [2] } }),
      refused(/energies has shape \(2\)/),
    );
    await assert.rejects(readSamples(join(dir, "none.npz")), refused(/no such file/, "none.npz"));
    await Deno.writeTextFile(path, "PK not a zip");
    await assert.rejects(readSamples(path), refused(/not a readable .npz/, path));
  });
});

Deno.test("readReference() takes (S, N·n) and (S, N, n) of any number type", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "ref.npy");
    const write = async (data: NpyArray["data"], shape: number[]) =>
      await Deno.writeFile(path, joined(encodeNpy(data, shape)));
    const values = Array.from({ length: 16 }, (_, i) => i - 8);
    for (const shape of [[2, 8], [2, 4, 2]]) {
      for (
        const data of [
          Float64Array.from(values),
          Float32Array.from(values),
          BigInt64Array.from(values, BigInt),
        ]
      ) {
        await write(data, shape);
        assert.deepStrictEqual(await readReference(path, 4, 2), Float64Array.from(values));
      }
    }
    const data = Float64Array.from(values);
    await write(data, [2, 8]);
    await assert.rejects(
      readReference(path, 5, 3),
      refused(/\(2, 8\), expected \(S, 15\) or \(S, 5, 3\)/, path),
    );
    for (const shape of [[16], [4, 2, 2], [2, 2, 4], [2, 1, 8], [1, 2, 8]]) {
      await write(data, shape);
      await assert.rejects(readReference(path, 4, 2), refused(/expected/, path));
    }
    await write(new Float64Array(0), [0, 8]);
    await assert.rejects(readReference(path, 4, 2), refused(/holds no configuration/, path));
    for (const bad of [NaN, Infinity]) {
      await write(Float64Array.from(values, (v, i) => i === 11 ? bad : v), [2, 8]);
      await assert.rejects(readReference(path, 4, 2), refused(/configuration 1 has a value/, path));
    }
    await write("text", []);
    await assert.rejects(readReference(path, 4, 2), refused(/holds a text/, path));
    await writeSamples(path, samples());
    await assert.rejects(readReference(path, 4, 2), refused(/zip archive/, path));
    await assert.rejects(
      readReference(join(dir, "no.npy"), 4, 2),
      refused(/no such file/, "no.npy"),
    );
    await assert.rejects(readReference(dir, 4, 2), refused(/it is a folder/, dir));
  });
});

numpyTest("numpy.load reads samples.npz", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "samples.npz");
    await writeSamples(path, samples());
    const script = `
import numpy, sys
a = numpy.load(sys.argv[1])
for k in sorted(a.files): print(k, a[k].dtype, a[k].shape)
print(a["positions"][2, 3, 1] == numpy.float32(23 / 7), a["log_weights"][1], int(a["seed"]), a["definition"])`;
    assert.deepEqual((await runPython(script, path)).split("\n"), [
      "definition <U28 ()",
      "energies float64 (3,)",
      "hash <U16 ()",
      "log_weights float64 (3,)",
      "positions float32 (3, 4, 2)",
      "seed int64 ()",
      "True -inf 9007199254740991 Σ_{i<j} [−4 d² + 0.9 d⁴] / 1",
    ]);
  });
});

Deno.test("curves are CSV in full precision", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "curve.csv");
    await writeCurve(path, { columns: ["iteration", "loss"], rows: [[1, 0.1 + 0.2], [2, NaN]] });
    assert.equal(await Deno.readTextFile(path), "iteration,loss\n1,0.30000000000000004\n2,NaN\n");
    await writeCurve(path, { columns: ["a"], rows: [] });
    assert.equal(await Deno.readTextFile(path), "a\n");
  });
});

Deno.test("JSON has null for what is not finite, and numbers survive in full precision", () => {
  const value = { b: [NaN, 1, Infinity], a: { x: -Infinity }, t: Float64Array.of(0.1, NaN) };
  assert.deepEqual(JSON.parse(toJson(value)), {
    b: [null, 1, null],
    a: { x: null },
    t: [0.1, null],
  });
  assert.deepEqual(Object.keys(JSON.parse(toJson(value))), ["b", "a", "t"]);
  fc.assert(fc.property(fc.double({ noDefaultInfinity: true, noNaN: true }), (x) => {
    assert.equal(JSON.parse(toJson({ x })).x, x + 0); // -0 is written as 0.
  }));
});

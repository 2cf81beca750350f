/** Trajectories out (.pdb, .dcd) and in again. */
import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { InputError } from "../../src/errors.ts";
import { decodeDcd, encodeDcd } from "../../src/io/dcd.ts";
import { decodeNpy } from "../../src/io/npy.ts";
import { decodePdb, encodePdb } from "../../src/io/pdb.ts";
import { writeTrajectory } from "../../src/io/trajectory.ts";
import { inFolder } from "../cli/command.ts";

const atoms = {
  names: ["N", "CA", "HB1", "1HD1"],
  residues: [0, 0, 0, 1],
  residueNames: ["ALA", "NME"],
  symbols: ["N", "C", "H", "X"],
};

function joined(pieces: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...pieces].flatMap((piece) => [...piece]));
}

const pdbText = (positions: ArrayLike<number>, count: number, remarks: string[] = []) =>
  new TextDecoder().decode(joined(encodePdb(atoms, positions, count, remarks)));

Deno.test("encodePdb() writes the columns of the format", () => {
  const text = pdbText([0.1, -1.2345678, 9, 0, 0, 0, 0.5, 0.5, 0.5, 123.4, -123.4, 0], 1, ["why"]);
  assert.deepEqual(text.split("\n"), [
    "REMARK 250 why",
    "MODEL        1",
    "ATOM      1  N   ALA A   1       1.000 -12.346  90.000  1.00  0.00           N",
    "ATOM      2  CA  ALA A   1       0.000   0.000   0.000  1.00  0.00           C",
    "ATOM      3  HB1 ALA A   1       5.000   5.000   5.000  1.00  0.00           H",
    "ATOM      4 1HD1 NME A   2    1234.000-1234.00   0.000  1.00  0.00            ",
    "ENDMDL",
    "END",
    "",
  ]);
  assert.throws(() => pdbText(new Array(12).fill(1e9), 1), InputError);
});

Deno.test("positions survive .pdb to 0.0005 Å and .dcd to float32", () => {
  const configuration = fc.array(fc.double({ min: -90, max: 90, noNaN: true }), {
    minLength: 24,
    maxLength: 24,
  });
  fc.assert(
    fc.property(configuration, (positions) => {
      const pdb = decodePdb(pdbText(positions, 2), "x.pdb");
      assert.equal(pdb.count, 2);
      assert.deepEqual(pdb.names, atoms.names);
      pdb.positions.forEach((v, a) => assert.ok(Math.abs(v - positions[a]) <= 5.1e-5));
      const dcd = decodeDcd(joined(encodeDcd(positions, 2, 4, 10, "t")), "x.dcd");
      assert.deepEqual([dcd.count, dcd.atoms], [2, 4]);
      assert.deepEqual([...dcd.positions], positions.map((v) => Math.fround(10 * v)));
    }),
    { seed: 2666, numRuns: 50 },
  );
});

Deno.test("encodeDcd() frames every record by its length, CORD and 24 in the header", () => {
  const bytes = joined(encodeDcd(new Float64Array(24), 2, 4, 10, "a title"));
  const view = new DataView(bytes.buffer);
  assert.equal(view.getInt32(0, true), 84);
  assert.equal(new TextDecoder().decode(bytes.subarray(4, 8)), "CORD");
  assert.equal(view.getInt32(8, true), 2); // frames
  assert.equal(view.getInt32(84, true), 24); // CHARMM version
  assert.equal(view.getInt32(88, true), 84);
  assert.equal(bytes.length, 92 + 92 + 12 + 2 * 3 * (4 * 4 + 8));
});

Deno.test("damaged files are refused in one line", () => {
  const dcd = joined(encodeDcd(new Float64Array(24), 2, 4, 10, "t"));
  const refused = (body: () => unknown, pattern: RegExp) =>
    assert.throws(body, (error: Error) => {
      assert.ok(error instanceof InputError, `${error.stack}`);
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  for (const length of [0, 3, 91, 100, 190, dcd.length - 1]) {
    refused(() => decodeDcd(dcd.subarray(0, length), "x.dcd"), /x\.dcd is not a readable DCD/);
  }
  const damaged = dcd.slice();
  damaged[196] = 99;
  refused(() => decodeDcd(damaged, "x.dcd"), /frame 0 is damaged/);
  const text = pdbText(new Float64Array(24), 2);
  const cases: [string, RegExp][] = [
    [text.replace("   0.000", "   0.0x0"), /line 2: " {3}0\.0x0" is not a coordinate/],
    [text.replace(/ATOM +4.*\n/, ""), /line 10: atom "1HD1", the first model has "none"/],
    [text.replace(/ENDMDL\nEND\n$/, ""), /the last model has no ENDMDL/],
    [text.slice(0, 120), /is not a coordinate/],
    ["", /there is no ATOM record/],
    ["\u0000\u0001", /bytes that are no text/],
    [text.replace("CA  ALA", "CA AALA"), /alternate locations/],
  ];
  for (const [bad, pattern] of cases) refused(() => decodePdb(bad, "x.pdb"), pattern);
});

Deno.test("writeTrajectory() puts weights and a topology beside the file", async () => {
  await inFolder(async (dir) => {
    const positions = Float32Array.from({ length: 24 }, (_, a) => a / 10);
    const logWeights = Float64Array.of(-1, 2);
    const common = { atoms, positions, dimension: 3 as const, count: 2, definition: "U ∝ x" };
    const out = join(dir, "x.dcd");
    const files = await writeTrajectory(out, { ...common, logWeights });
    assert.deepEqual(files.sort(), [out, `${out}.log_weights.npy`, `${out}.pdb`]);
    const { data, shape } = decodeNpy(Deno.readFileSync(`${out}.log_weights.npy`), out);
    assert.deepEqual([[...data as Float64Array], shape], [[-1, 2], [2]]);
    assert.equal(decodePdb(Deno.readTextFileSync(`${out}.pdb`), "x").count, 1);
    assert.equal(decodeDcd(Deno.readFileSync(out), "x").count, 2);
    const pdb = join(dir, "y.pdb");
    assert.deepEqual(await writeTrajectory(pdb, { ...common, logWeights: null }), [pdb]);
    assert.match(Deno.readTextFileSync(pdb), /REMARK 250 U \? x\nREMARK 250 equally weighted/);
  });
});

Deno.test("two-dimensional samples lie in the plane z = 0", async () => {
  await inFolder(async (dir) => {
    const out = join(dir, "plane.dcd");
    await writeTrajectory(out, {
      atoms,
      positions: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      dimension: 2,
      count: 1,
      logWeights: null,
      definition: "plane",
    });
    const { positions } = decodeDcd(Deno.readFileSync(out), out);
    assert.deepEqual([...positions], [10, 20, 0, 30, 40, 0, 50, 60, 0, 70, 80, 0]);
  });
});

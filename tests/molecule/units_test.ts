/** Coordinates in the wrong unit, or of other atoms, are told from those of the molecule. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { InputError } from "../../src/errors.ts";
import { encodeNpy } from "../../src/io/npy.ts";
import { loadConfigurations, moleculeConfig } from "../../src/run/molecule_files.ts";
import { bondRatios, unitMistake } from "../../src/systems/molecule/bond_lengths.ts";
import { forceField, frames, path, text } from "./data.ts";

const positions = Float64Array.from(frames("aldp")[2].positions);

async function writeNpy(at: string, data: Float64Array, shape: number[]): Promise<void> {
  const pieces = encodeNpy(data, shape);
  await Deno.writeFile(at, new Uint8Array(await new Blob(pieces).arrayBuffer()));
}

async function refused(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return error.message;
  }
  return "";
}

Deno.test("a hot frame is in nm; ten times it is in Å, a tenth in neither", () => {
  const of = (factor: number) =>
    unitMistake(bondRatios(forceField("aldp"), positions.map((v) => v * factor)));
  assert.deepEqual([1, 1.5, 4, 10, 0.1, 0.3].map(of), [null, null, null, "long", "short", null]);
  // A cloud of atoms is no matter of units.
  const cloud = positions.map((_, k) => Math.sin(37 * k + k * k));
  assert.equal(unitMistake(bondRatios(forceField("aldp"), cloud)), null);
});

Deno.test("npy in Å and inpcrd in nm are refused, with file, configuration and unit", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const npy = join(dir, "x.npy");
    const both = Float64Array.of(...positions, ...positions.map((v) => 10 * v));
    await writeNpy(npy, both, [2, 22, 3]);
    assert.match(
      await refused(() => loadConfigurations(npy, forceField("aldp"))),
      /x\.npy: configuration 1 has bonds [\d.]+ times as long .*: \.npy and \.npz must be in nm, these look like Å$/,
    );
    const inpcrd = join(dir, "x.inpcrd");
    const [title, count, ...rows] = text("aldp.inpcrd").trimEnd().split("\n");
    const tenth = rows.map((row) =>
      row.match(/.{12}/g)!.map((v) => (Number(v) / 10).toFixed(7).padStart(12)).join("")
    );
    await Deno.writeTextFile(inpcrd, [title, count, ...tenth, ""].join("\n"));
    assert.match(
      await refused(() => loadConfigurations(inpcrd, forceField("aldp"))),
      /x\.inpcrd: configuration 0 has bonds 0\.\d+ times .* must be in Å, these look like nm$/,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("train refuses a geometry whose atoms are in another order, and names the bond", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const npy = join(dir, "x.npy");
    const swapped = positions.slice();
    for (let a = 0; a < 3; a++) [swapped[a], swapped[63 + a]] = [swapped[63 + a], swapped[a]];
    await writeNpy(npy, swapped, [1, 22, 3]);
    assert.match(
      await refused(() => moleculeConfig(path("aldp.prmtop"), { coordinates: npy })),
      /x\.npy: the bond \w+ \d+ - \w+ \d+ is [\d.]+ times as long .* in another order$/,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

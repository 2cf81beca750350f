/** Stereocentres, handedness and backbone torsions from the bond graph. */
import assert from "node:assert/strict";
import type { ForceField } from "../../src/config/force_field.ts";
import { InputError } from "../../src/errors.ts";
import { backbonePairs, chosenPairs } from "../../src/systems/molecule/backbone.ts";
import { Handedness, orientation, stereocentres } from "../../src/systems/molecule/stereo.ts";
import { readSystemXml } from "../../src/systems/molecule/system_xml.ts";
import { forceField, frames, text } from "./data.ts";

/** A molecule of these elements and bonds; nothing else of it matters here. */
function skeleton(elements: number[], bonds: [number, number][]): ForceField {
  const names = elements.map((_, i) => `A${i}`);
  const residues = elements.map(() => 0);
  return {
    ...forceField("aldp"),
    atoms: { ...forceField("aldp").atoms, names, elements, residues, residueNames: ["X"] },
    bonds: bonds.map(([i, j]) => [i, j, 0.1, 1]),
  };
}

const [H, C, F, CL, BR] = [1, 6, 9, 17, 35];

/** A chain of n carbons from `first`, bonded to `from`. */
function chain(from: number, first: number, n: number): [number, number][] {
  return Array.from({ length: n }, (_, k) => [k === 0 ? from : first + k - 1, first + k]);
}

Deno.test("a stereocentre has four different substituents, however far away they differ", () => {
  const star: [number, number][] = [[0, 1], [0, 2], [0, 3], [0, 4]];
  assert.deepEqual(stereocentres(skeleton([C, H, F, CL, BR], star)), [
    { atom: 0, neighbours: [1, 2, 3, 4] },
  ]);
  assert.deepEqual(stereocentres(skeleton([C, H, H, CL, BR], star)), []);
  assert.deepEqual(stereocentres(skeleton([C, H, F, CL], star.slice(0, 3))), []);
  // C(H)(F) with two chains of carbon: of 6 and 6 atoms, of 6 and 7.
  const chains = (p: number, q: number) =>
    stereocentres(skeleton(
      [C, H, F, ...new Array(p + q).fill(C)],
      [[0, 1], [0, 2], ...chain(0, 3, p), ...chain(0, 3 + p, q)],
    )).map(({ atom }) => atom);
  assert.deepEqual(chains(6, 6), []);
  assert.deepEqual(chains(6, 7), [0]);
});

Deno.test("stereocentres of peptides are their α carbons, of a nucleotide three sugar carbons", () => {
  const named = (name: Parameters<typeof forceField>[0]) => {
    const { atoms } = forceField(name);
    return stereocentres(forceField(name)).map(({ atom }) => atoms.names[atom]);
  };
  assert.deepEqual(named("aldp"), ["CA"]);
  assert.deepEqual(named("disulphide"), ["CA", "CA"]);
  assert.deepEqual(named("tetrapeptide"), ["CA", "CA", "CA", "CA"]);
  // The 5'-terminal sugar and the 3'-terminal one: C1', C3', C4' each; phosphorus has two equal ends.
  assert.deepEqual(named("dinucleotide").sort(), ["C1'", "C1'", "C3'", "C3'", "C4'", "C4'"]);
});

Deno.test("handedness: the mirror image of all centres, or of some", () => {
  const f = forceField("disulphide");
  const given = frames("disulphide")[0].positions;
  const handedness = new Handedness(f, given);
  assert.equal(handedness.of(given), 1);
  assert.equal(handedness.of([0, 0, 0, ...given], 3), 1);
  const mirrored = given.map((v, a) => a % 3 === 1 ? -v : v);
  assert.equal(handedness.of(mirrored), -1);
  // Turned: y → z → −y.
  const turned = given.map((_, a) =>
    a % 3 === 0 ? given[a] : a % 3 === 1 ? given[a + 1] : -given[a - 1]
  );
  assert.equal(handedness.of(turned), 1);
  const exchanged = given.slice();
  const [{ neighbours: [p, q] }] = handedness.centres;
  for (let a = 0; a < 3; a++) {
    [exchanged[3 * p + a], exchanged[3 * q + a]] = [given[3 * q + a], given[3 * p + a]];
  }
  assert.equal(handedness.of(exchanged), 0);
  assert.equal(
    orientation(handedness.centres[0], exchanged),
    -orientation(handedness.centres[0], given),
  );
  for (const frame of frames("disulphide")) assert.equal(handedness.of(frame.positions), 1);
});

Deno.test("φ and ψ by name, by the bonds alone, and as told", () => {
  const aldp = forceField("aldp");
  const expected = { phi: [4, 6, 8, 14], psi: [6, 8, 14, 16] };
  const [{ phi, psi, label }, ...none] = backbonePairs(aldp);
  assert.deepEqual({ phi, psi }, expected);
  assert.equal(label, "ALA 2");
  assert.deepEqual(none, []);
  // An OpenMM System has no names.
  for (const name of ["aldp", "disulphide"] as const) {
    const byGraph = backbonePairs(readSystemXml(text(`${name}.system.xml`), "x", {}));
    const byName = backbonePairs(forceField(name));
    assert.ok(byName.length > 0);
    assert.deepEqual(
      byGraph.map(({ phi, psi }) => [phi, psi]),
      byName.map(({ phi, psi }) => [phi, psi]),
    );
  }
  assert.equal(backbonePairs(forceField("tetrapeptide")).length, 2); // termini have half a pair
  assert.deepEqual(backbonePairs(forceField("dinucleotide")), []);
  const [told] = chosenPairs(aldp, [1, 2, 3, 4], [22, 21, 20, 19]);
  assert.deepEqual([told.phi, told.psi], [[0, 1, 2, 3], [21, 20, 19, 18]]);
  const refused = (phi: number[] | null, psi: number[] | null, pattern: RegExp) =>
    assert.throws(() => chosenPairs(aldp, phi, psi), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, pattern);
      return true;
    });
  refused([1, 2, 3, 4], null, /molecule\.psi is missing/);
  refused([1, 2, 3, 23], [1, 2, 3, 4], /molecule\.phi must be four .* from 1 to 22, got 1,2,3,23/);
  refused([1, 2, 3, 4], [1, 2, 2, 4], /molecule\.psi must be four different/);
});

/** What torsions alone do not reach: rings, nitrogens, and what internal coordinates cannot hold. */
import assert from "node:assert/strict";
import { InputError } from "../../src/errors.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { logSumExp } from "../../src/math/special.ts";
import { Conformers } from "../../src/mint/molecule/conformers.ts";
import { InternalEnergy } from "../../src/mint/molecule/internal_energy.ts";
import { LaplaceMixture, laplaceModel } from "../../src/mint/molecule/laplace.ts";
import {
  differInShape,
  findMinima,
  minimaDefaults,
  searchMinima,
} from "../../src/mint/molecule/minima.ts";
import { softTorsions } from "../../src/mint/molecule/torsions.ts";
import type { ForceField } from "../../src/config/force_field.ts";
import { chainStarts } from "../../src/run/path.ts";
import { makeInternal } from "../../src/run/internal.ts";
import { silent } from "../../src/run/progress.ts";
import { internalDefaults } from "../../src/config/methods.ts";
import { elementsOfMasses } from "../../src/systems/molecule/elements.ts";
import { dihedral } from "../../src/systems/molecule/geometry.ts";
import { Molecule } from "../../src/systems/molecule/molecule.ts";
import { ZMatrix } from "../../src/systems/molecule/zmatrix.ts";
import { forceField as stored, frames } from "./data.ts";
import {
  acetylene,
  acetyleneLine,
  chair,
  cyclohexane,
  dimethylamine,
  dimethylamineGeometry,
  water,
  waterBent,
} from "./small.ts";

function problem(forceField: ForceField, positions: Float64Array) {
  const config = { kind: "molecule" as const, temperature: 300, solvent: "none" as const };
  const molecule = new Molecule({ ...config, forceField });
  const coordinates = new ZMatrix(forceField, positions);
  const energy = new InternalEnergy(molecule, coordinates);
  const start = new Float64Array(coordinates.size);
  coordinates.fromCartesian(positions, start);
  const soft = softTorsions(forceField, coordinates, positions);
  return { molecule, coordinates, energy, start, soft };
}

const search = { ...minimaDefaults, seed: 1, starts: 60 };

Deno.test("cyclohexane: both chairs are found, of equal energy, and handedness is kept", () => {
  const { coordinates, energy, start, soft } = problem(cyclohexane, chair);
  assert.deepEqual(soft, []);
  const conformers = new Conformers(cyclohexane, chair);
  assert.deepEqual(conformers.rings.map(({ atoms }) => atoms.toSorted((p, q) => p - q)), [
    [0, 1, 2, 3, 4, 5],
  ]);
  const minima = findMinima(energy, start, soft, { ...search, conformers });
  const x = new Float64Array(54);
  const turns = minima.map(({ z }) => {
    coordinates.toCartesian(z, x);
    assert.ok(conformers.keepsHandedness(x));
    return dihedral(x, 0, 1, 2, 3);
  });
  // The two lowest are chairs, one the other with every ring torsion turned round.
  assert.ok(Math.abs(minima[1].value - minima[0].value) < 1e-4);
  assert.ok(Math.abs(turns[0]) > 0.7 && Math.abs(turns[0] + turns[1]) < 1e-3, `${turns}`);
  assert.ok(differInShape(energy, minima, soft));
  // Torsions alone find the chair that is given.
  assert.equal(findMinima(energy, start, soft, search).length, 1);
});

Deno.test("a pyramidal nitrogen is inverted, once the mirror image of the other", () => {
  const { energy, start, soft } = problem(dimethylamine, dimethylamineGeometry);
  const conformers = new Conformers(dimethylamine, dimethylamineGeometry);
  assert.deepEqual(conformers.pyramids.map(({ atom }) => atom), [0]);
  const minima = findMinima(energy, start, soft, { ...search, conformers });
  assert.equal(minima.length, 2);
  assert.ok(Math.abs(minima[1].value - minima[0].value) < 1e-4);
  assert.equal(findMinima(energy, start, soft, search).length, 1);
});

Deno.test("amides are flat, a disulphide's torsions are searched as they were: nothing to kick", () => {
  for (const name of ["aldp", "ala2"] as const) {
    const positions = Float64Array.from(frames(name)[0].positions);
    assert.ok(!new Conformers(stored(name), positions).any, name);
  }
});

Deno.test("sugars pucker and bases do not; the search tells what it has not seen", () => {
  const positions = Float64Array.from(frames("dinucleotide")[0].positions);
  const { rings } = new Conformers(stored("dinucleotide"), positions);
  const { names } = stored("dinucleotide").atoms;
  assert.equal(rings.length, 2);
  for (const { atoms } of rings) {
    assert.deepEqual(atoms.map((i) => names[i]).sort(), ["C1'", "C2'", "C3'", "C4'", "O4'"]);
  }
  const ala2 = Float64Array.from(frames("ala2")[0].positions);
  const { energy, start, soft } = problem(stored("ala2"), ala2);
  const few = searchMinima(energy, start, soft, { ...search, starts: 4 });
  const many = searchMinima(energy, start, soft, { ...search, starts: 4, most: 64 });
  assert.equal(few.starts, 4);
  assert.ok(few.unseen > 0.02 && many.starts > 4, `${few.unseen}, ${many.starts}`);
  assert.ok(many.minima.length > few.minima.length && many.minima[0].value <= few.minima[0].value);
});

Deno.test("linear groups are refused by name, and chains start from them all the same", async () => {
  const { molecule } = problem(acetylene, acetyleneLine);
  await assert.rejects(
    () =>
      makeInternal(
        molecule,
        { ...internalDefaults, reference: [...acetyleneLine] },
        1,
        silent,
      ),
    (error) =>
      error instanceof InputError &&
      /^the angle A\d \d - A\d \d - A\d \d is linear, .*: use --method mcmc$/.test(error.message),
  );
  const starts = chainStarts(molecule, 2, 1, acetyleneLine);
  assert.equal(starts.length, 24);
  assert.ok(starts.every(Number.isFinite));
});

/** log ∫ exp(−f) by the midpoint rule. */
function logIntegral(f: (x: number) => number, from: number, to: number): number {
  const n = 20000;
  const h = (to - from) / n;
  return Math.log(h) + logSumExp(Array.from({ length: n }, (_, k) => -f(from + (k + 0.5) * h)));
}

Deno.test("three atoms: log Z of water is that of two bonds and an angle", () => {
  const { molecule: { kT }, coordinates, energy, start, soft } = problem(water, waterBent);
  let expected = 0;
  for (const [, , r0, k] of water.bonds) {
    expected += logIntegral((r) => 0.5 * k * (r - r0) ** 2 / kT - 2 * Math.log(r), 0.02, 0.3);
  }
  for (const [, , , at, k] of water.angles) {
    expected += logIntegral(
      (t) => 0.5 * k * (t - at) ** 2 / kT - Math.log(Math.sin(t)),
      0.05,
      Math.PI - 0.05,
    );
  }
  const minima = findMinima(energy, start, soft, { ...search, starts: 3 });
  assert.equal(minima.length, 1);
  const density = new LaplaceMixture(coordinates, laplaceModel(energy, minima, 1.1));
  const weights = Array.from({ length: 20000 }, (_, s) => {
    const z = density.draw(new RandomStream(2666, Stream.test, s))!;
    return Math.exp(-energy.value(z) - density.logDensity(z) - expected);
  });
  const mean = weights.reduce((sum, w) => sum + w, 0) / weights.length;
  const error = Math.sqrt(
    weights.reduce((sum, w) => sum + (w - mean) ** 2, 0) / weights.length ** 2,
  );
  // 4.4 standard errors: a false alarm in 1e5 seeds.
  assert.ok(Math.abs(mean - 1) < 4.4 * error && error < 0.01, `${mean} ± ${error}`);
});

Deno.test("elements of repartitioned masses: hydrogens of 3.024 and 4.032 g/mol, not deuterium", () => {
  // CH3-OH, each hydrogen at the cost of its partner.
  const bonds = [[0, 1], [0, 2], [0, 3], [0, 4], [4, 5]];
  const of = (hydrogen: number, carbon: number, oxygen: number) =>
    elementsOfMasses([carbon, hydrogen, hydrogen, hydrogen, oxygen, hydrogen], bonds)
      .map(({ symbol }) => symbol).join("");
  for (const heavy of [1.008, 3.024, 4.032]) {
    assert.equal(of(heavy, 12.011 - 3 * (heavy - 1.008), 15.999 - heavy + 1.008), "CHHHOH");
  }
  assert.equal(of(2.014, 12.011, 15.999), "CHHHOH");
});

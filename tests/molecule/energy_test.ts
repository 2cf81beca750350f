/** Energies of molecules in float64, against OpenMM, closed forms and finite differences. */
import assert from "node:assert/strict";
import type { ForceField } from "../../src/config/force_field.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { createSystem } from "../../src/systems/create.ts";
import { MoleculeEnergy, TERMS } from "../../src/systems/molecule/energy.ts";
import { angle, dihedral } from "../../src/systems/molecule/geometry.ts";
import { readSystemXml } from "../../src/systems/molecule/system_xml.ts";
import { COULOMB } from "../../src/systems/molecule/units.ts";
import { forceField, frames, molecules, solvents, text } from "./data.ts";

const near = (got: number, expected: number, tolerance: number, what: string) =>
  assert.ok(
    Math.abs(got - expected) <= tolerance,
    `${what}: ${got}, expected ${expected} within ${tolerance}`,
  );

/** Relative difference of two vectors' norms. */
function difference(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let norm = 0, error = 0;
  for (let a = 0; a < expected.length; a++) {
    norm += expected[a] ** 2;
    error += (got[a] - expected[a]) ** 2;
  }
  return Math.sqrt(error / norm);
}

function agreesWithOpenMM(
  name: typeof molecules[number],
  field: ForceField,
  solvent: "none" | "obc1" | "obc2",
) {
  const molecule = new MoleculeEnergy(field, solvent);
  for (const frame of frames(name)) {
    const x = Float64Array.from(frame.positions);
    const gradient = new Float64Array(x.length);
    const terms = new Float64Array(TERMS.length);
    const energy = molecule.evaluate(x, gradient, terms);
    const answer = frame[solvent];
    const where = `${name}, ${solvent}, ${frame.label}`;
    near(energy, answer.energy, 1e-6 * Math.abs(answer.energy), where);
    TERMS.forEach((term, k) => {
      const expected = answer.terms[term] ?? 0;
      near(terms[k], expected, 1e-6 * Math.abs(expected), `${where}, ${term}`);
    });
    // At the minimum in vacuum all forces cancel to 1e-2 kJ/mol/nm, the oracle holds ten digits.
    const strong = solvent === "none" && frame.label === "minimum";
    const error = difference(gradient.map((g) => -g), answer.forces);
    assert.ok(error <= (strong ? 1e-5 : 1e-6), `${where}: forces differ by ${error}`);
  }
}

for (const name of molecules) {
  Deno.test(`${name}: energies by term and forces agree with OpenMM to 1e-6`, () => {
    for (const solvent of solvents) agreesWithOpenMM(name, forceField(name), solvent);
  });
}

for (const name of ["aldp", "disulphide"] as const) {
  Deno.test(`${name}: the System XML gives the energies of the prmtop`, () => {
    const field = readSystemXml(text(`${name}.system.xml`), "x.xml");
    for (const solvent of solvents) agreesWithOpenMM(name, field, solvent);
  });
}

Deno.test("the preset is alanine dipeptide in ff96: energies of the test's molecule", async () => {
  const { aldp } = await import("../../src/systems/molecule/presets.ts");
  const { forceField: field, positions } = aldp();
  assert.deepEqual(field, forceField("aldp"));
  // A minimum in vacuum: no force is left.
  const gradient = new Float64Array(66);
  const energy = new MoleculeEnergy(field, "none").evaluate(positions, gradient);
  assert.ok(Math.hypot(...gradient) < 5, `${Math.hypot(...gradient)} kJ/mol/nm`);
  assert.ok(energy < -100, `${energy} kJ/mol`);
});

Deno.test("gradients are the derivatives of the energies, with every solvent", () => {
  for (const name of molecules) {
    for (const solvent of solvents) {
      const molecule = new MoleculeEnergy(forceField(name), solvent);
      const x = Float64Array.from(frames(name)[1].positions);
      const gradient = new Float64Array(x.length);
      molecule.evaluate(x, gradient);
      const random = new RandomStream(5, Stream.test, 0);
      for (let k = 0; k < 12; k++) {
        const a = Math.floor(random.uniform() * x.length);
        const h = 1e-5;
        const at = (shift: number) => {
          const moved = x.slice();
          moved[a] += shift;
          return molecule.evaluate(moved, null);
        };
        // Fourth order.
        const slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
        near(gradient[a], slope, 1e-3 + 1e-7 * Math.abs(slope), `${name}, ${solvent}, ${a}`);
      }
    }
  }
});

Deno.test("solvation's gradient holds where atoms lie inside one another", () => {
  const field = forceField("aldp");
  for (const solvent of ["obc1", "obc2"] as const) {
    const molecule = new MoleculeEnergy(field, solvent);
    const x = Float64Array.from(frames("aldp")[0].positions);
    // The first hydrogen beside the oxygen: closer than s_O − ρ̃_H would need, then inside it.
    for (const gap of [0.1, 0.02, 0.006]) {
      for (let a = 0; a < 3; a++) x[a] = x[15 + a] + (a === 0 ? gap : 0);
      const terms = new Float64Array(5);
      const gradient = new Float64Array(66);
      const without = new Float64Array(66);
      molecule.evaluate(x, gradient);
      new MoleculeEnergy(field, "none").evaluate(x, without);
      const h = 1e-6;
      const at = (shift: number) => {
        const moved = x.slice();
        moved[0] += shift;
        molecule.evaluate(moved, null, terms);
        return terms[4];
      };
      const slope = (at(h) - at(-h)) / (2 * h);
      near(
        gradient[0] - without[0],
        slope,
        1e-4 * (1 + Math.abs(slope)) +
          1e-12 * Math.abs(without[0]),
        `${solvent}, ${gap} nm`,
      );
    }
  }
});

Deno.test("two ions and one spring have their closed forms", () => {
  const pair: ForceField = {
    title: "pair",
    atoms: {
      names: ["A", "B"],
      residues: [0, 0],
      residueNames: ["P"],
      elements: [0, 0],
      masses: [1, 1],
      charges: [1, -0.5],
    },
    bonds: [[0, 1, 0.2, 1000]],
    angles: [],
    torsions: [],
    lennardJones: { types: [0, 0], a: [1e-6], b: [2e-3] },
    exceptions: [],
    born: {
      radii: [0.15, 0.2],
      screens: [0, 0],
      soluteDielectric: 1,
      solventDielectric: 80,
      surfaceTension: 0,
    },
  };
  const terms = new Float64Array(5);
  const r = 0.3;
  const energy = new MoleculeEnergy(pair, "obc2").evaluate(
    Float64Array.of(1, 1, 1, 1, 1, 1 + r),
    null,
    terms,
  );
  near(terms[0], 0.5 * 1000 * 0.1 ** 2, 1e-9, "spring");
  near(terms[3], -0.5 * COULOMB / r + 1e-6 / r ** 12 - 2e-3 / r ** 6, 1e-9, "pair");
  // Without screening nothing descreens: the Born radii are ρ̃ = ρ − 0.009 nm.
  const [b1, b2] = [0.141, 0.191];
  const f = Math.sqrt(r * r + b1 * b2 * Math.exp(-r * r / (4 * b1 * b2)));
  const kappa = COULOMB * (1 - 1 / 80);
  near(terms[4], -0.5 * kappa * (1 / b1 + 0.25 / b2) + 0.5 * kappa / f, 1e-9, "solvent");
  near(energy, terms.reduce((sum, v) => sum + v, 0), 1e-12, "sum");
});

Deno.test("angles and dihedrals: a right angle, and the sign of x → z → x", () => {
  near(angle(Float64Array.of(1, 0, 0, 0, 0, 0, 0, 2, 0), 0, 1, 2), Math.PI / 2, 1e-15, "angle");
  // Looking along +z from the origin, y is clockwise of x.
  const quarter = Float64Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1);
  near(dihedral(quarter, 0, 1, 2, 3), Math.PI / 2, 1e-15, "dihedral");
  near(dihedral(quarter, 3, 2, 1, 0), Math.PI / 2, 1e-15, "read from the other end");
  near(
    dihedral(quarter.map((v, a) => a % 3 === 0 ? -v : v), 0, 1, 2, 3),
    -Math.PI / 2,
    1e-15,
    "mirror",
  );
});

Deno.test("the energy does not change under translation, rotation and reflection", () => {
  const system = createSystem({
    kind: "molecule",
    temperature: 300,
    solvent: "obc1",
    forceField: forceField("aldp"),
  });
  const x = Float64Array.from(frames("aldp")[2].positions);
  const moved = (map: (v: number[]) => number[]) =>
    Float64Array.from(
      Array.from({ length: 22 }, (_, i) => map([...x.slice(3 * i, 3 * i + 3)])).flat(),
    );
  const energy = system.energy(x);
  near(system.energy(moved(([a, b, c]) => [a + 3, b - 2, c + 1])), energy, 1e-9, "translation");
  const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
  const turned = moved(([a, b, c]) => [cos * a - sin * b, c, -(sin * a + cos * b)]);
  near(system.energy(turned), energy, 1e-9, "rotation");
  near(system.energy(moved(([a, b, c]) => [-a, b, c])), energy, 1e-3, "reflection");
});

Deno.test("equal definitions mean equal energies: names do not matter, parameters and solvent do", () => {
  const field = forceField("aldp");
  const make = (
    changed: Partial<ForceField>,
    solvent: "none" | "obc1" = "none",
    temperature = 300,
  ) =>
    createSystem({
      kind: "molecule",
      temperature,
      solvent,
      forceField: { ...field, ...changed },
    });
  const { definition } = make({});
  assert.equal(make({ title: "another" }).definition, definition);
  assert.equal(make({ born: null }).definition, definition);
  assert.notEqual(make({ bonds: field.bonds.slice(1) }).definition, definition);
  assert.notEqual(make({}, "obc1").definition, definition);
  assert.notEqual(make({}, "none", 310).definition, definition);
});

/** Priors of molecules in internal coordinates: normalised, invariant, and with the right integral. */
import assert from "node:assert/strict";
import type { ForceField } from "../../src/config/force_field.ts";
import { cholesky, invertLower } from "../../src/math/linear.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { logSumExp } from "../../src/math/special.ts";
import { images, type InternalDensity } from "../../src/mint/molecule/gaussian.ts";
import { InternalEnergy } from "../../src/mint/molecule/internal_energy.ts";
import { LaplaceMixture, laplaceModel } from "../../src/mint/molecule/laplace.ts";
import { canonical, findMinima, minimaDefaults } from "../../src/mint/molecule/minima.ts";
import { defensiveParts, mixtureParts, rotorBarrier } from "../../src/mint/molecule/parts.ts";
import { splineTable } from "../../src/mint/molecule/spline_table.ts";
import { buildTorsionGrid } from "../../src/mint/molecule/build_torsion_grid.ts";
import { TorsionGrid } from "../../src/mint/molecule/torsion_grid.ts";
import { softTorsions } from "../../src/mint/molecule/torsions.ts";
import { Molecule } from "../../src/systems/molecule/molecule.ts";
import { aldp } from "../../src/systems/molecule/presets.ts";
import { ZMatrix } from "../../src/systems/molecule/zmatrix.ts";
import { forceField as stored, frames } from "./data.ts";

const plainAtoms = (names: string[]) => ({
  names,
  residues: names.map(() => 0),
  residueNames: ["MOL"],
  elements: names.map(() => 0),
  masses: names.map(() => 1),
  charges: names.map(() => 0),
});

/** H-O-O-H of springs and one torsion alone: coordinates are independent, Z is a product. */
const peroxide: ForceField = {
  title: "peroxide",
  atoms: plainAtoms(["H1", "O1", "O2", "H2"]),
  bonds: [[0, 1, 0.1, 4e4], [1, 2, 0.15, 3e4], [2, 3, 0.1, 4e4]],
  angles: [[0, 1, 2, 1.8, 100], [1, 2, 3, 1.9, 120]],
  torsions: [[0, 1, 2, 3, 2, 0.4, 3], [0, 1, 2, 3, 1, 0, 2]],
  lennardJones: { types: [0, 0, 0, 0], a: [0], b: [0] },
  exceptions: [],
  born: null,
};
const peroxideGeometry = Float64Array.of(0.1, 0, 0, 0, 0, 0, 0, 0.15, 0, 0, 0.18, 0.1);

/** Alanine dipeptide or peroxide in internal coordinates, from the program's own pieces. */
function problem(forceField: ForceField, positions: Float64Array, solvent: "none" | "obc1") {
  const molecule = new Molecule({ kind: "molecule", temperature: 300, solvent, forceField });
  const coordinates = new ZMatrix(forceField, positions);
  const energy = new InternalEnergy(molecule, coordinates);
  const reference = new Float64Array(coordinates.size);
  coordinates.fromCartesian(positions, reference);
  const soft = softTorsions(forceField, coordinates, positions);
  return { molecule, coordinates, energy, reference, soft };
}

/** log mean weight over draws, with its standard error; dead draws weigh nothing. */
function logMean(
  density: InternalDensity,
  logTarget: (z: Float64Array) => number,
  count: number,
): { value: number; error: number; ess: number } {
  const logWeights = Array.from({ length: count }, (_, s) => {
    const z = density.draw(new RandomStream(2666, Stream.test, s));
    return z ? logTarget(z) - density.logDensity(z) : -Infinity;
  });
  const value = logSumExp(logWeights) - Math.log(count);
  const weights = logWeights.map((w) => Math.exp(w - value));
  const variance = weights.reduce((sum, w) => sum + (w - 1) ** 2, 0) / count;
  return { value, error: Math.sqrt(variance / count), ess: 1 / (1 + variance) };
}

/** log ∫ exp(−f) by the midpoint rule. */
function logIntegral(f: (x: number) => number, from: number, to: number): number {
  const n = 20000;
  const h = (to - from) / n;
  return Math.log(h) + logSumExp(Array.from({ length: n }, (_, k) => -f(from + (k + 0.5) * h)));
}

Deno.test("the torsion grid finds the partition function of independent coordinates", () => {
  const { molecule, energy, reference, soft, coordinates } = problem(
    peroxide,
    peroxideGeometry,
    "none",
  );
  assert.equal(soft.length, 1);
  const { kT } = molecule;
  let expected = 0;
  for (const [, , r0, k] of peroxide.bonds) {
    expected += logIntegral((r) => 0.5 * k * (r - r0) ** 2 / kT - 2 * Math.log(r), 0.02, 0.3);
  }
  for (const [, , , angle, k] of peroxide.angles) {
    expected += logIntegral(
      (t) => 0.5 * k * (t - angle) ** 2 / kT - Math.log(Math.sin(t)),
      0.05,
      Math.PI - 0.05,
    );
  }
  expected += logIntegral(
    (phi) => (3 * (1 + Math.cos(2 * phi - 0.4)) + 2 * (1 + Math.cos(phi))) / kT,
    -Math.PI,
    Math.PI,
  );
  const options = { cells: 12, subcells: 4, steps: 200, parts: [{ weight: 1, widening: 1 }] };
  const grid = new TorsionGrid(coordinates, buildTorsionGrid(energy, reference, soft, options));
  const { value, error, ess } = logMean(grid, (z) => -energy.value(z), 20000);
  // 4.4 standard errors: a false alarm in 1e5 seeds.
  assert.ok(Math.abs(value - expected) < 4.4 * error, `${value} ± ${error}, exact ${expected}`);
  assert.ok(error < 0.005 && ess > 0.8, `ESS ${ess}`);
  const minima = findMinima(energy, reference, soft, { ...minimaDefaults, seed: 1, starts: 20 });
  const laplace = new LaplaceMixture(coordinates, laplaceModel(energy, minima, 1.3));
  const other = logMean(laplace, (z) => -energy.value(z), 20000);
  assert.ok(Math.abs(other.value - expected) < 4.4 * other.error, `Laplace: ${other.value}`);
  assert.ok(coordinates.rotors.length === 0);
});

Deno.test("alanine dipeptide with OBC1: log Z by the torsion grid's draws alone", () => {
  const { forceField, positions } = aldp();
  const { energy, coordinates, reference, soft } = problem(forceField, positions, "obc1");
  assert.deepEqual(
    soft.map((row) => coordinates.rows[row]).map(({ bond, angle }) =>
      [forceField.atoms.names[bond], forceField.atoms.names[angle]].join("-")
    ),
    ["N-CA", "C-CA"],
  );
  const parts = defensiveParts(energy, reference);
  assert.deepEqual(parts.map(({ weight }) => Number(weight.toFixed(9))), [0.82, 0.1, 0.08]);
  // Coarse, for a test's sake.
  const options = { cells: 10, subcells: 10, steps: 200, parts };
  const grid = new TorsionGrid(coordinates, buildTorsionGrid(energy, reference, soft, options));
  const { value, error, ess } = logMean(grid, (z) => -energy.value(z), 3000);
  const logZ = value + Math.log(8 * Math.PI ** 2);
  // −174.316 ± .002, an independent program's; 4.4 standard errors: a false alarm in 1e5 seeds.
  assert.ok(Math.abs(logZ + 174.316) < 4.4 * Math.hypot(error, 0.002), `${logZ} ± ${error}`);
  assert.ok(error < 0.03 && ess > 0.35, `ESS ${ess}`);
  // From the target's side: a frame of another program's molecular dynamics is no surprise.
  const z = new Float64Array(60);
  coordinates.fromCartesian(Float64Array.from(frames("aldp")[1].positions), z);
  const surprise = -energy.value(z) - grid.logDensity(z) - value;
  assert.ok(Math.abs(surprise) < 30, `${surprise}`);
});

Deno.test("densities do not change under relabelling, and are normalised against one another", () => {
  const { forceField, positions } = aldp();
  const { energy, coordinates, reference, soft } = problem(forceField, positions, "obc1");
  const options = { ...minimaDefaults, seed: 3, starts: 12 };
  const minima = findMinima(energy, reference, soft, options);
  assert.deepEqual(findMinima(energy, reference, soft, options), minima, "the same seed");
  assert.ok(minima.length >= 3);
  const gradient = new Float64Array(60);
  for (const { z, value } of minima) {
    assert.ok(Math.abs(energy.value(z, gradient) - value) < 1e-6);
    assert.ok(Math.hypot(...gradient.map((g, k) => g * energy.scales[k])) < 1e-2);
  }
  const narrow = new LaplaceMixture(coordinates, laplaceModel(energy, minima));
  const wide = new LaplaceMixture(coordinates, laplaceModel(energy, minima, 1.1));
  const z = wide.draw(new RandomStream(1, Stream.test, 0))!;
  const density = wide.logDensity(z);
  const all = images(coordinates, z);
  assert.equal(all.length, 27);
  for (const image of all) {
    assert.ok(Math.abs(wide.logDensity(image) - density) < 1e-9);
    canonical(energy, image);
    assert.ok(Math.abs(wide.logDensity(image) - density) < 1e-9, "canonical");
  }
  const { value, error } = logMean(wide, (z) => narrow.logDensity(z), 4000);
  assert.ok(Math.abs(value) < 4.4 * error, `∫ q = exp(${value} ± ${error})`);
  assert.ok(error < 0.1, `${error}`);
});

Deno.test("a mixture's defensive parts are what its draws follow", () => {
  const { forceField, positions } = aldp();
  const { energy, coordinates, reference, soft } = problem(forceField, positions, "obc1");
  const minima = findMinima(energy, reference, soft, { ...minimaDefaults, seed: 3, starts: 6 });
  const parts = mixtureParts(energy, minima[0].z, soft);
  assert.ok(parts.length >= 4 && Math.abs(parts.reduce((a, p) => a + p.weight, 0) - 1) < 1e-12);
  const defended = new LaplaceMixture(coordinates, laplaceModel(energy, minima, 1, parts));
  const plain = new LaplaceMixture(coordinates, laplaceModel(energy, minima));
  // E_q[q'/q] = 1 where q is wide enough to see all of q'.
  const { value, error } = logMean(defended, (z) => plain.logDensity(z), 4000);
  assert.ok(error < 0.02 && Math.abs(value) < 4.4 * error, `${value} ± ${error}`);
  // A stretched part alone is wider by its factor along its torsion.
  const along = parts.find(({ stretched }) => stretched && soft.includes(stretched.row))!;
  const spread = (model: LaplaceMixture) => {
    const at = coordinates.dihedralAt(along.stretched!.row);
    const values = Array.from(
      { length: 3000 },
      (_, s) => model.draw(new RandomStream(1, Stream.test, s))?.[at] ?? minima[0].z[at],
    );
    return Math.sqrt(values.reduce((a, v) => a + (v - minima[0].z[at]) ** 2, 0) / 3000);
  };
  const one = (weights: { parts?: typeof parts }) =>
    new LaplaceMixture(coordinates, { ...laplaceModel(energy, [minima[0]]), ...weights });
  const ratio = spread(one({ parts: [{ ...along, weight: 1 }] })) / spread(one({}));
  assert.ok(Math.abs(ratio - along.stretched!.factor) < 0.15, `${ratio}`);
});

Deno.test("draws land in every image of a rotor alike", () => {
  const { forceField, positions } = aldp();
  const { energy, coordinates, reference, soft } = problem(forceField, positions, "none");
  const minima = findMinima(energy, reference, soft, { ...minimaDefaults, seed: 3, starts: 3 });
  const laplace = new LaplaceMixture(coordinates, laplaceModel(energy, minima.slice(0, 1)));
  const counts = new Float64Array(3);
  const at = coordinates.dihedralAt(coordinates.rotors[0].rows[0]);
  for (let s = 0; s < 3000; s++) {
    const z = laplace.draw(new RandomStream(7, Stream.test, s));
    if (z) counts[Math.floor(3 * (z[at] / (2 * Math.PI) - Math.floor(z[at] / (2 * Math.PI))))]++;
  }
  // Standard deviation 26; five of them: a false alarm in 1e6.
  for (const count of counts) assert.ok(Math.abs(count - 1000) < 130, counts.join());
});

Deno.test("stiff bonds and rings are no soft torsions: amides, sugars and bases keep their shape", () => {
  const of = (name: "tetrapeptide" | "dinucleotide" | "disulphide") => {
    const field = stored(name);
    const { soft, coordinates } = problem(
      field,
      Float64Array.from(frames(name)[0].positions),
      "none",
    );
    return soft.map((row) => {
      const { bond, angle } = coordinates.rows[row];
      return [field.atoms.names[bond], field.atoms.names[angle]].sort().join("-");
    });
  };
  assert.ok(!of("tetrapeptide").includes("C-N"), "amides");
  assert.equal(of("tetrapeptide").filter((bond) => bond === "C-CA").length, 3 + 1);
  assert.ok(of("disulphide").includes("SG-SG"));
  const sugar = of("dinucleotide");
  for (const bond of ["C1'-C2'", "C2'-C3'", "C3'-C4'", "C4'-O4'", "C4-C5"]) {
    assert.ok(!sugar.includes(bond), sugar.join());
  }
  assert.ok(sugar.includes("C1'-N9") || sugar.includes("C1'-N1"), sugar.join());
});

Deno.test("rotorBarrier() sees the barrier of a cosine", () => {
  // A methyl H₃C on a chain C-D-E-F, turned against E.
  const names = ["H1", "H2", "H3", "C", "D", "E", "F"];
  const bonds = [[0, 3], [1, 3], [2, 3], [3, 4], [4, 5], [5, 6]];
  const angles = [[0, 3, 4], [1, 3, 4], [2, 3, 4], [3, 4, 5], [4, 5, 6]];
  const field: ForceField = {
    ...peroxide,
    atoms: plainAtoms(names),
    bonds: bonds.map((pair) => [...pair, 0.12, 3e4]),
    angles: angles.map((three) => [...three, 1.9, 300]),
    torsions: [0, 1, 2].map((h) => [h, 3, 4, 5, 3, 0, 2]),
    lennardJones: { types: names.map(() => 0), a: [0], b: [0] },
  };
  const x: number[] = [];
  for (const turn of [0, 2, 4]) {
    const phi = turn * Math.PI / 3;
    x.push(-0.035, 0.1 * Math.cos(phi), 0.1 * Math.sin(phi));
  }
  x.push(0, 0, 0, 0.15, 0, 0, 0.2, 0.14, 0, 0.35, 0.14, 0.02);
  const { energy, coordinates, reference, molecule } = problem(field, Float64Array.from(x), "none");
  assert.equal(coordinates.rotors.length, 1);
  // Three terms of height 2 go up and down together: 3 · 2 · 2 kJ/mol.
  const barrier = rotorBarrier(energy, reference, 0);
  assert.ok(Math.abs(barrier - 12 / molecule.kT) < 0.05 * barrier, `${barrier}`);
});

Deno.test("splineTable() is exact for slow cosines, periodic, in two dimensions", () => {
  const f = (a: number, b: number) => Math.cos(a) + Math.sin(a + b) + 0.5 * Math.cos(2 * b);
  const angle = (k: number, n: number) => 2 * Math.PI * (k + 0.5) / n;
  const [cells, sub] = [16, 3];
  const values = Float64Array.from(
    { length: cells ** 2 },
    (_, c) => f(angle(c % cells, cells), angle(Math.floor(c / cells), cells)),
  );
  const fine = splineTable(values, cells, 2, sub);
  const n = cells * sub;
  assert.equal(fine.length, n * n);
  fine.forEach((value, c) => {
    const expected = f(angle(c % n, n), angle(Math.floor(c / n), n));
    assert.ok(Math.abs(value - expected) < 3e-3, `${c}: ${value}, ${expected}`);
  });
});

Deno.test("linear algebra: factor and inverse of a symmetric matrix", () => {
  const n = 7;
  const random = new RandomStream(4, Stream.test, 0);
  const b = Float64Array.from({ length: n * n }, () => random.normal());
  const a = new Float64Array(n * n);
  const times = (p: Float64Array, q: Float64Array, transposed: boolean) =>
    Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let k = 0; k < n; k++) sum += p[i * n + k] * (transposed ? q[j * n + k] : q[k * n + j]);
      return sum;
    });
  a.set(times(b, b, true));
  const l = cholesky(a, n);
  const close = (p: Float64Array, q: Float64Array) =>
    p.forEach((v, k) => assert.ok(Math.abs(v - q[k]) < 1e-9, `${k}: ${v}, ${q[k]}`));
  close(times(l, l, true), a);
  const one = Float64Array.from({ length: n * n }, (_, k) => k % (n + 1) === 0 ? 1 : 0);
  close(times(l, invertLower(l, n), false), one);
  assert.throws(() => cholesky(a.map((v) => -v), n), RangeError);
});

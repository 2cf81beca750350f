/** Internal coordinates: the way there and back, their volume, derivatives and relabellings. */
import assert from "node:assert/strict";
import type { ForceField } from "../../src/config/force_field.ts";
import { InputError } from "../../src/errors.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { bondGraph, centralAtom } from "../../src/systems/molecule/bond_graph.ts";
import { MoleculeEnergy } from "../../src/systems/molecule/energy.ts";
import { wrap, ZMatrix } from "../../src/systems/molecule/zmatrix.ts";
import { forceField, frames, molecules } from "./data.ts";

const geometry = (name: typeof molecules[number], frame = 0) =>
  Float64Array.from(frames(name)[frame].positions);
const make = (name: typeof molecules[number]) => new ZMatrix(forceField(name), geometry(name));

/** All distances between atoms. */
function distances(x: Float64Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < x.length; i += 3) {
    for (let j = i + 3; j < x.length; j += 3) {
      out.push(Math.hypot(x[i] - x[j], x[i + 1] - x[j + 1], x[i + 2] - x[j + 2]));
    }
  }
  return out;
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, v, k) => Math.max(most, Math.abs(v - b[k])), 0);

for (const name of molecules) {
  Deno.test(`${name}: positions → z → positions keeps the shape, its handedness and energy`, () => {
    const zmatrix = make(name);
    const energy = new MoleculeEnergy(forceField(name), "obc1");
    for (const frame of [0, 1, 2]) {
      const x = geometry(name, frame);
      const z = new Float64Array(zmatrix.size);
      const back = new Float64Array(x.length);
      const again = new Float64Array(zmatrix.size);
      zmatrix.fromCartesian(x, z);
      zmatrix.toCartesian(z, back);
      zmatrix.fromCartesian(back, again);
      assert.ok(largest(distances(back), distances(x)) < 1e-12);
      assert.ok(largest(again, z) < 1e-10);
      // The file's phase of 3.141594 makes mirror images differ by 1e-4 kJ/mol and more.
      assert.ok(Math.abs(energy.evaluate(back, null) - energy.evaluate(x, null)) < 1e-8);
    }
  });

  Deno.test(`${name}: chain() is the derivative by every internal coordinate`, () => {
    const zmatrix = make(name);
    const energy = new MoleculeEnergy(forceField(name), "none");
    const z = new Float64Array(zmatrix.size);
    zmatrix.fromCartesian(geometry(name, 2), z);
    const x = new Float64Array(3 * zmatrix.atoms);
    const at = (z: Float64Array) => {
      zmatrix.toCartesian(z, x);
      return energy.evaluate(x, null);
    };
    const byX = new Float64Array(x.length);
    const byZ = new Float64Array(z.length);
    zmatrix.toCartesian(z, x);
    energy.evaluate(x, byX);
    zmatrix.chain(x, byX, byZ);
    for (let k = 0; k < z.length; k++) {
      const shifted = (h: number) => {
        const moved = z.slice();
        moved[k] += h;
        return at(moved);
      };
      const h = 1e-5;
      const slope = (8 * (shifted(h) - shifted(-h)) - (shifted(2 * h) - shifted(-2 * h))) /
        (12 * h);
      assert.ok(
        Math.abs(byZ[k] - slope) < 1e-5 * (1 + Math.abs(slope)),
        `${k}: ${byZ[k]}, ${slope}`,
      );
    }
  });

  Deno.test(`${name}: relabelling a rotor is the same molecule, and m times is the way round`, () => {
    const zmatrix = make(name);
    const energy = new MoleculeEnergy(forceField(name), "obc1");
    const start = new Float64Array(zmatrix.size);
    zmatrix.fromCartesian(geometry(name, 1), start);
    const x = new Float64Array(3 * zmatrix.atoms);
    zmatrix.toCartesian(start, x);
    const expected = energy.evaluate(x, null);
    assert.ok(zmatrix.rotors.length > 0);
    zmatrix.rotors.forEach(({ rows }, r) => {
      const z = start.slice();
      for (let step = 1; step <= rows.length; step++) {
        zmatrix.relabel(z, r, 1);
        zmatrix.toCartesian(z, x);
        assert.ok(Math.abs(energy.evaluate(x, null) - expected) < 1e-8);
        const at = zmatrix.dihedralAt(rows[0]);
        assert.ok(Math.abs(wrap(z[at] - start[at] - 2 * Math.PI * step / rows.length)) < 1e-12);
        if (step < rows.length) assert.ok(largest(z, start) > 1);
      }
      z[zmatrix.dihedralAt(rows[0])] -= 2 * Math.PI;
      assert.ok(largest(z, start) < 1e-12);
      zmatrix.relabel(z, r, 2);
      zmatrix.relabel(z, r, -2);
      assert.ok(largest(z, start) < 1e-12);
    });
  });
}

Deno.test("logJacobian() is the volume of anchored positions, rotations integrated", () => {
  // The determinant of (z, three Euler angles) → anchored positions has sin β of the rotations.
  const zmatrix = make("aldp");
  const z = new Float64Array(zmatrix.size);
  zmatrix.fromCartesian(geometry("aldp", 1), z);
  const euler = [0.3, 0.7, 1.1];
  const x = new Float64Array(66);
  const map = (v: Float64Array): number[] => {
    zmatrix.toCartesian(v.subarray(0, 60), x);
    const [[ca, sa], [cb, sb], [cc, sc]] = [...v.subarray(60)].map((
      a,
    ) => [Math.cos(a), Math.sin(a)]);
    const out: number[] = [];
    for (let i = 0; i < 22; i++) {
      if (i === zmatrix.root) continue;
      let [p, q, r] = x.subarray(3 * i, 3 * i + 3);
      [p, q] = [cc * p - sc * q, sc * p + cc * q];
      [p, r] = [cb * p + sb * r, -sb * p + cb * r];
      [p, q] = [ca * p - sa * q, sa * p + ca * q];
      out.push(p, q, r);
    }
    return out;
  };
  const at = Float64Array.from([...z, ...euler]);
  const h = 1e-5;
  const columns = Array.from({ length: 63 }, (_, k) => {
    const [up, down] = [at.slice(), at.slice()];
    up[k] += h;
    down[k] -= h;
    const below = map(down);
    return map(up).map((v, a) => (v - below[a]) / (2 * h));
  });
  const expected = zmatrix.logJacobian(z) + Math.log(Math.sin(euler[1]));
  assert.ok(Math.abs(logDeterminant(columns) - expected) < 1e-5);
  const gradient = new Float64Array(60);
  zmatrix.logJacobian(z, gradient, -2);
  for (const k of [0, 20, 21, 40, 41, 59]) {
    const moved = (s: number) => {
      const y = z.slice();
      y[k] += s;
      return zmatrix.logJacobian(y);
    };
    assert.ok(
      Math.abs(gradient[k] + (moved(h) - moved(-h)) / h) < 1e-4 * (1 + Math.abs(gradient[k])),
    );
  }
});

/** log |det| by elimination with pivots. */
function logDeterminant(matrix: number[][]): number {
  const a = matrix.map((row) => row.slice());
  let log = 0;
  for (let k = 0; k < a.length; k++) {
    let pivot = k;
    for (let i = k; i < a.length; i++) if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
    [a[k], a[pivot]] = [a[pivot], a[k]];
    log += Math.log(Math.abs(a[k][k]));
    for (let i = k + 1; i < a.length; i++) {
      const factor = a[i][k] / a[k][k];
      for (let j = k; j < a.length; j++) a[i][j] -= factor * a[k][j];
    }
  }
  return log;
}

Deno.test("alanine dipeptide: root CA, φ and ψ are coordinates, three methyls are rotors", () => {
  const field = forceField("aldp");
  const zmatrix = make("aldp");
  const name = (i: number) => field.atoms.names[i];
  assert.equal(name(zmatrix.root), "CA");
  const proper = zmatrix.rows.filter(({ kind }) => kind === "proper")
    .map((row) => [row.dihedral, row.angle, row.bond, row.atom].map(name).join(" "));
  assert.ok(proper.includes("C CA N C"), proper.join("; ")); // φ, from the other end
  assert.ok(proper.includes("N CA C N"), proper.join("; ")); // ψ
  assert.deepEqual(
    zmatrix.rotors.map(({ rows }) => rows.map((k) => name(zmatrix.rows[k].atom)).sort().join(" ")),
    ["HB1 HB2 HB3", "HH31 HH32 HH33", "HH31 HH32 HH33"],
  );
});

Deno.test("a methyl numbered the other way round is put in order", () => {
  const zmatrix = make("aldp");
  const x = geometry("aldp", 1);
  const [z, other] = [new Float64Array(60), new Float64Array(60)];
  zmatrix.fromCartesian(x, z);
  for (let a = 0; a < 3; a++) [x[33 + a], x[36 + a]] = [x[36 + a], x[33 + a]]; // HB1 and HB2
  zmatrix.fromCartesian(x, other);
  const [d2, d3] = zmatrix.rotors[0].rows.slice(1).map((k) => other[zmatrix.dihedralAt(k)]);
  assert.ok(Math.abs(d2 - 2.1) < 0.5 && Math.abs(d3 + 2.1) < 0.5, `${d2} ${d3}`);
});

Deno.test("a ring's CH₂ is no rotor; an unequal end is none either", () => {
  const zmatrix = make("dinucleotide");
  const field = forceField("dinucleotide");
  const ends = zmatrix.rotors.map(({ rows }) => field.atoms.names[zmatrix.rows[rows[0]].atom]);
  assert.ok(!ends.some((name) => name.startsWith("H2'")), ends.join());
  const changed: ForceField = structuredClone(forceField("aldp"));
  changed.angles.find((row) => row.slice(0, 3).includes(11))![4] += 1; // HB1
  assert.equal(new ZMatrix(changed, geometry("aldp")).rotors.length, 2);
});

Deno.test("a molecule in pieces is refused; the centre of a chain is its middle", () => {
  const field: ForceField = structuredClone(forceField("aldp"));
  field.bonds = field.bonds.filter(([i, j]) => !(i === 4 && j === 6));
  assert.throws(() => bondGraph(field), (error: Error) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, /in pieces: no bonds lead from atom 1 \(HH31\) to atom 7 \(N\)/);
    return true;
  });
  assert.equal(centralAtom([[1], [0, 2], [1, 3], [2, 4], [3]]), 2);
});

Deno.test("inDomain() refuses broken bonds and straight angles", () => {
  const zmatrix = make("aldp");
  const z = new Float64Array(60);
  zmatrix.fromCartesian(geometry("aldp"), z);
  assert.ok(zmatrix.inDomain(z));
  const random = new RandomStream(1, Stream.test, 0);
  for (const [from, to, value] of [[0, 21, 0.01], [21, 41, 0.01], [21, 41, 3.12], [0, 60, NaN]]) {
    const bad = z.slice();
    bad[from + Math.floor(random.uniform() * (Math.min(to, 41) - from))] = value;
    assert.ok(!zmatrix.inDomain(bad), `${value}`);
  }
});

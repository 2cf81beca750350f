/**
 * Internal coordinates of a molecule from its bond graph: z = (r, θ, τ), 3N − 6 numbers, one bond
 * length for every atom but the root, one angle for every atom but the first two, one dihedral for
 * the rest. Invariant under translation and rotation by construction, and their volume is exact:
 *
 *   ∏_{i≠root} d³(x_i − x_root) = 8π² ∏ r² ∏ sin θ dz (rotations integrated).
 *
 * The tree starts at the atom nearest the centre of the graph. An atom's first child (the largest
 * branch) has a proper torsion about the bond to it, the others a dihedral relative to the first,
 * which is stiff. Where all children are alike and end there (CH₃, NH₃⁺, NH₂, CO₂⁻: a symmetric rotor
 * with m = 2 or 3 of them), the torsion is their mean direction, χ = t + Σd/m, and relabelling them
 * cyclically is linear: χ += 2π/m and a shift of the others.
 */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";
import { bondGraph, centralAtom } from "./bond_graph.ts";
import { angle, dihedral } from "./geometry.ts";

/** How one atom is placed: bonded to `bond`, at an angle to `angle`, turned against `dihedral`. */
export interface Row {
  readonly atom: number;
  readonly bond: number;
  /** −1 for the second atom. */
  readonly angle: number;
  /** −1 for the second and third atom. */
  readonly dihedral: number;
  /** proper: turns a whole branch about a bond; sibling: relative to the first child. */
  readonly kind: "none" | "proper" | "sibling";
}

/** Interchangeable ends on one atom; `rows` in order, the first with the proper torsion. */
export interface Rotor {
  readonly rows: readonly number[];
}

const TWO_PI = 2 * Math.PI;

/** An angle in [centre − π, centre + π). */
export function wrap(angle: number, centre = 0): number {
  return angle - TWO_PI * Math.floor((angle - centre) / TWO_PI + 0.5);
}

/** Shortest bond and nearest approach of an angle to 0 and π that count as a molecule. */
const LEAST_BOND = 0.02;
const LEAST_ANGLE = 0.05;

export class ZMatrix {
  readonly atoms: number;
  /** 3N − 6. */
  readonly size: number;
  /** In the order of placing; row 0 has a bond length alone, row 1 no dihedral. */
  readonly rows: readonly Row[];
  readonly root: number;
  readonly rotors: readonly Rotor[];
  /** Middle of the period that each dihedral is kept in, by row. */
  readonly centres: Float64Array;
  /** Rows whose atoms turn with the torsion of a row: itself, and its siblings if it is the first. */
  readonly #turned: number[][];
  /** Row of an atom's bond partner, −1 for the root. */
  readonly #parents: Int32Array;
  readonly #rotorOf: Int32Array;

  /**
   * @param reference (N, 3), a geometry with the handedness wanted: rotors are numbered so that their
   * ends follow one another clockwise, stiff dihedrals are kept within half a turn of it
   * @throws InputError when the molecule is in pieces or has fewer than 3 atoms
   */
  constructor(forceField: ForceField, reference: Float64Array) {
    const neighbours = bondGraph(forceField);
    const N = this.atoms = neighbours.length;
    if (N < 3) throw new InputError(`internal coordinates need at least 3 atoms, got ${N}`);
    this.size = 3 * N - 6;
    this.root = centralAtom(neighbours);
    const { rows, rotors } = placement(neighbours, this.root, forceField, reference);
    this.rows = rows;
    this.rotors = rotors;
    const rowOf = new Int32Array(N).fill(-1);
    rows.forEach(({ atom }, k) => rowOf[atom] = k);
    this.#parents = Int32Array.from(rows, ({ bond }) => rowOf[bond]);
    this.#turned = rows.map((row, k) =>
      row.kind !== "proper"
        ? [k]
        : rows.flatMap(({ bond }, l) => bond === row.bond && l >= 2 ? [l] : [])
    );
    this.#rotorOf = new Int32Array(rows.length).fill(-1);
    rotors.forEach((rotor, r) => this.#rotorOf[rotor.rows[0]] = r);
    this.centres = Float64Array.from(
      rows,
      (row) =>
        row.kind === "sibling"
          ? dihedral(reference, row.atom, row.bond, row.angle, row.dihedral)
          : 0,
    );
    for (const { rows: [, second, third] } of rotors) {
      this.centres[second] = Math.PI;
      if (third !== undefined) this.centres[third] = -Math.PI;
    }
  }

  /** Places in z: bond length of row k, angle of row k ≥ 1, dihedral of row k ≥ 2. */
  bondAt(row: number): number {
    return row;
  }
  angleAt(row: number): number {
    return this.atoms - 2 + row;
  }
  dihedralAt(row: number): number {
    return 2 * this.atoms - 5 + row;
  }

  /** Positions (N, 3) of z; the root at the origin, row 0 along x, row 1 in the plane z = 0, y > 0. */
  toCartesian(z: Float64Array, x: Float64Array): void {
    const { rows } = this;
    x.fill(0, 3 * this.root, 3 * this.root + 3);
    rows.forEach((row, k) => {
      const r = z[this.bondAt(k)];
      if (k < 2) {
        const theta = k === 0 ? 0 : z[this.angleAt(1)];
        const bonded = 3 * row.bond, at = 3 * row.atom;
        // Row 1 hangs on the root: the tree starts at an atom with two bonds.
        x[at] = x[bonded] + r * Math.cos(theta);
        x[at + 1] = x[bonded + 1] + r * Math.sin(theta);
        x[at + 2] = 0;
      } else place(x, row, r, z[this.angleAt(k)], this.torsion(z, k));
    });
  }

  /** The dihedral of row k as it is placed: that of a rotor's first end is χ − Σd/m. */
  torsion(z: Float64Array, row: number): number {
    const value = z[this.dihedralAt(row)];
    const rotor = this.rotors[this.#rotorOf[row]];
    if (!rotor) return value;
    const { rows } = rotor;
    let sum = 0;
    for (let e = 1; e < rows.length; e++) sum += z[this.dihedralAt(rows[e])];
    return value - sum / rows.length;
  }

  /**
   * z of positions; dihedrals within half a turn of their centres. A rotor of three ends numbered the
   * other way round has two of them exchanged: they are identical atoms.
   */
  fromCartesian(positions: Float64Array, z: Float64Array): void {
    const x = positions.slice();
    for (const { rows: [first, second, third] } of this.rotors) {
      if (third === undefined) continue;
      const turn = (row: number) => {
        const { atom, bond, angle } = this.rows[row];
        return wrap(dihedral(x, atom, bond, angle, this.rows[first].atom), Math.PI);
      };
      if (turn(second) <= turn(third)) continue;
      const [p, q] = [3 * this.rows[second].atom, 3 * this.rows[third].atom];
      for (let a = 0; a < 3; a++) [x[p + a], x[q + a]] = [x[q + a], x[p + a]];
    }
    this.rows.forEach((row, k) => {
      const [i, a] = [3 * row.atom, 3 * row.bond];
      z[this.bondAt(k)] = Math.hypot(x[i] - x[a], x[i + 1] - x[a + 1], x[i + 2] - x[a + 2]);
      if (k > 0) z[this.angleAt(k)] = angle(x, row.atom, row.bond, row.angle);
      if (k > 1) {
        const value = dihedral(x, row.atom, row.bond, row.angle, row.dihedral);
        z[this.dihedralAt(k)] = wrap(value, this.centres[k]);
      }
    });
    for (const { rows } of this.rotors) {
      let sum = 0;
      for (let e = 1; e < rows.length; e++) sum += z[this.dihedralAt(rows[e])];
      const at = this.dihedralAt(rows[0]);
      z[at] = wrap(z[at] + sum / rows.length);
    }
  }

  /** Whether z is a molecule: bonds longer than 0.02 nm, angles 0.05 from 0 and π. */
  inDomain(z: Float64Array): boolean {
    const bonds = this.atoms - 1, angles = this.atoms - 2;
    for (let k = 0; k < bonds; k++) if (!(z[k] > LEAST_BOND)) return false;
    for (let k = bonds; k < bonds + angles; k++) {
      if (!(z[k] > LEAST_ANGLE && z[k] < Math.PI - LEAST_ANGLE)) return false;
    }
    return true;
  }

  /** Σ 2 log r + Σ log sin θ (without the 8π² of rotations); adds its gradient times `factor`. */
  logJacobian(z: Float64Array, gradient?: Float64Array, factor = 1): number {
    const bonds = this.atoms - 1, angles = this.atoms - 2;
    let sum = 0;
    for (let k = 0; k < bonds; k++) {
      sum += 2 * Math.log(z[k]);
      if (gradient) gradient[k] += factor * 2 / z[k];
    }
    for (let k = bonds; k < bonds + angles; k++) {
      sum += Math.log(Math.sin(z[k]));
      if (gradient) gradient[k] += factor / Math.tan(z[k]);
    }
    return sum;
  }

  /**
   * ∂E/∂z from ∂E/∂x at positions x of z: a bond moves its branch along itself, an angle or a torsion
   * turns it. One pass over the atoms.
   */
  chain(x: Float64Array, byX: Float64Array, byZ: Float64Array): void {
    const { rows } = this;
    const n = rows.length;
    // Force and torque about the origin of every branch.
    const force = new Float64Array(3 * n);
    const torque = new Float64Array(3 * n);
    for (let k = n - 1; k >= 0; k--) {
      const at = 3 * rows[k].atom, to = 3 * k;
      const [px, py, pz] = [x[at], x[at + 1], x[at + 2]];
      const [gx, gy, gz] = [byX[at], byX[at + 1], byX[at + 2]];
      force[to] += gx;
      force[to + 1] += gy;
      force[to + 2] += gz;
      torque[to] += py * gz - pz * gy;
      torque[to + 1] += pz * gx - px * gz;
      torque[to + 2] += px * gy - py * gx;
      const parent = 3 * this.#parents[k];
      if (parent < 0) continue;
      for (let c = 0; c < 3; c++) {
        force[parent + c] += force[to + c];
        torque[parent + c] += torque[to + c];
      }
    }
    /** Derivative by a turn of branch l about an axis through an atom. */
    const turn = (l: number, axis: readonly number[], through: number): number => {
      const [px, py, pz] = [x[3 * through], x[3 * through + 1], x[3 * through + 2]];
      const [fx, fy, fz] = [force[3 * l], force[3 * l + 1], force[3 * l + 2]];
      return axis[0] * (torque[3 * l] - (py * fz - pz * fy)) +
        axis[1] * (torque[3 * l + 1] - (pz * fx - px * fz)) +
        axis[2] * (torque[3 * l + 2] - (px * fy - py * fx));
    };
    rows.forEach((row, k) => {
      const along = direction(x, row.bond, row.atom);
      byZ[this.bondAt(k)] = along[0] * force[3 * k] + along[1] * force[3 * k + 1] +
        along[2] * force[3 * k + 2];
      if (k === 0) return;
      const back = direction(x, row.bond, row.angle);
      const normal = cross(back, along);
      const length = Math.hypot(...normal);
      byZ[this.angleAt(k)] = turn(k, normal, row.bond) / length;
      if (k === 1) return;
      const axis = back.map((v) => -v);
      let sum = 0;
      for (const l of this.#turned[k]) sum += turn(l, axis, row.bond);
      byZ[this.dihedralAt(k)] = sum;
    });
    // t = χ − Σd/m.
    for (const { rows: [first, ...others] } of this.rotors) {
      const share = byZ[this.dihedralAt(first)] / (others.length + 1);
      for (const other of others) byZ[this.dihedralAt(other)] -= share;
    }
  }

  /**
   * z with a rotor's ends renumbered `steps` places on, in place: the same molecule, χ larger by
   * 2π steps/m.
   */
  relabel(z: Float64Array, rotor: number, steps: number): void {
    const { rows } = this.rotors[rotor];
    const m = rows.length;
    const shift = ((steps % m) + m) % m;
    const bonds = rows.map((row) => z[this.bondAt(row)]);
    const angles = rows.map((row) => z[this.angleAt(row)]);
    // Directions relative to the first end.
    const turns = rows.map((row, e) => e === 0 ? 0 : z[this.dihedralAt(row)]);
    rows.forEach((row, e) => {
      const from = (e + shift) % m;
      z[this.bondAt(row)] = bonds[from];
      z[this.angleAt(row)] = angles[from];
      if (e > 0) z[this.dihedralAt(row)] = wrap(turns[from] - turns[shift], this.centres[row]);
    });
    z[this.dihedralAt(rows[0])] += TWO_PI * steps / m;
  }
}

function direction(x: Float64Array, from: number, to: number): number[] {
  const d = [0, 1, 2].map((a) => x[3 * to + a] - x[3 * from + a]);
  const length = Math.hypot(...d);
  return d.map((v) => v / length);
}

function cross(u: readonly number[], v: readonly number[]): number[] {
  return [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
}

/** Puts row.atom at distance r, angle θ and dihedral τ from its three references. */
function place(x: Float64Array, row: Row, r: number, theta: number, tau: number): void {
  const u = direction(x, row.angle, row.bond);
  const normal = cross(direction(x, row.dihedral, row.angle), u);
  const length = Math.hypot(...normal);
  const n = normal.map((v) => v / length);
  const m = cross(n, u);
  const sine = r * Math.sin(theta);
  const [along, side, out] = [-r * Math.cos(theta), sine * Math.cos(tau), sine * Math.sin(tau)];
  for (let a = 0; a < 3; a++) {
    x[3 * row.atom + a] = x[3 * row.bond + a] + along * u[a] + side * m[a] + out * n[a];
  }
}

/** The rows of a spanning tree of the bond graph, and its symmetric rotors. */
function placement(
  neighbours: readonly (readonly number[])[],
  root: number,
  forceField: ForceField,
  reference: Float64Array,
): { rows: Row[]; rotors: Rotor[] } {
  const N = neighbours.length;
  const parent = new Int32Array(N).fill(-1);
  const order = [root];
  const seen = new Set(order);
  for (let head = 0; head < order.length; head++) {
    for (const next of neighbours[order[head]]) {
      if (seen.has(next)) continue;
      seen.add(next);
      parent[next] = order[head];
      order.push(next);
    }
  }
  const branch = new Int32Array(N).fill(1);
  for (let k = N - 1; k > 0; k--) branch[parent[order[k]]] += branch[order[k]];
  // Larger branches first, so that the chain, not a hydrogen, has the proper torsion.
  const children = neighbours.map((list, atom) =>
    list.filter((next) => parent[next] === atom).sort((p, q) => branch[q] - branch[p] || p - q)
  );
  const rows: Row[] = [];
  const rotors: Rotor[] = [];
  const [first, second] = children[root];
  rows.push({ atom: first, bond: root, angle: -1, dihedral: -1, kind: "none" });
  rows.push({ atom: second, bond: root, angle: first, dihedral: -1, kind: "none" });
  for (const atom of children[root].slice(2)) {
    rows.push({ atom, bond: root, angle: first, dihedral: second, kind: "sibling" });
  }
  const placed = new Map(rows.map((row) => [row.atom, row]));
  const queue = children[root].slice();
  for (let head = 0; head < queue.length; head++) {
    const bond = queue[head];
    const own = placed.get(bond)!;
    // The plane that turns with the atom: its angle's reference; row 0 has none, row 1 is beside it.
    const third = own.angle >= 0 ? own.angle : second;
    const ends = children[bond];
    const alike = [2, 3].includes(ends.length) && neighbours[bond].length === ends.length + 1 &&
      ends.every((end) => neighbours[end].length === 1) && areAlike(ends, forceField);
    const angleAtom = parent[bond];
    if (alike) {
      const turn = (end: number) =>
        wrap(
          dihedral(reference, end, bond, angleAtom, third) -
            dihedral(reference, ends[0], bond, angleAtom, third),
          Math.PI,
        );
      ends.sort((p, q) => (p === ends[0] ? 0 : turn(p)) - (q === ends[0] ? 0 : turn(q)));
      rotors.push({ rows: ends.map((_, e) => rows.length + e) });
    }
    ends.forEach((atom, e) => {
      const row: Row = e === 0
        ? { atom, bond, angle: angleAtom, dihedral: third, kind: "proper" }
        : { atom, bond, angle: angleAtom, dihedral: ends[0], kind: "sibling" };
      placed.set(atom, row);
      rows.push(row);
    });
    queue.push(...ends);
  }
  return { rows, rotors };
}

/**
 * Whether atoms bonded to the same atom can be exchanged without changing the energy: the force field
 * with their indices permuted is the same.
 */
export function areAlike(ends: readonly number[], f: ForceField): boolean {
  const { atoms, lennardJones, born } = f;
  const same = (values: readonly number[]) => ends.every((i) => values[i] === values[ends[0]]);
  if (!same(atoms.charges) || !same(lennardJones.types) || !same(atoms.masses)) return false;
  if (born && !(same(born.radii) && same(born.screens))) return false;
  const [a, b] = ends;
  const swapped = (i: number) => i === a ? b : i === b ? a : i;
  const canonical = (map: (i: number) => number) =>
    [
      ...keys(f.bonds, 2, map),
      ...keys(f.angles, 3, map),
      ...keys(f.torsions, 4, map),
      ...keys(f.exceptions, 2, map),
    ].sort().join(";");
  if (canonical(swapped) !== canonical((i) => i)) return false;
  return ends.length < 3 || areAlike(ends.slice(1), f);
}

/** Rows as texts that do not depend on the direction they are read in. */
function keys(
  rows: readonly (readonly number[])[],
  width: number,
  map: (i: number) => number,
): string[] {
  return rows.map((row) => {
    const atoms = row.slice(0, width).map(map);
    const back = atoms.toReversed();
    const forwards = atoms.join() < back.join() ? atoms : back;
    return `${width}:${forwards.join()}:${row.slice(width).join()}`;
  });
}

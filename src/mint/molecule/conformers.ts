/**
 * What a molecule can turn into beside its soft torsions: rings pucker, pyramidal nitrogens turn inside
 * out. A kick moves atoms there by hand; a descent from it finds the minimum. Kicks keep the handedness
 * of every atom with four neighbours, hydrogens told apart.
 */
import type { ForceField } from "../../config/force_field.ts";
import type { RandomStream } from "../../math/random.ts";
import { bondGraph } from "../../systems/molecule/bond_graph.ts";
import { orientation } from "../../systems/molecule/stereo.ts";
import { bondVariation, STIFF } from "./torsions.ts";

/** Width of the height (nm) of a ring's atoms over their plane; chairs have 0.025, boats 0.03. */
const PUCKER = 0.04;
/** A nitrogen with three neighbours whose angles sum to less (355°) is pyramidal. */
const FLAT = 6.196;
const NITROGEN = 7;

/** Atoms in a ring in their order, and what hangs on each of them (itself included). */
export interface Ring {
  readonly atoms: readonly number[];
  readonly branches: readonly (readonly number[])[];
}

/** A pyramidal nitrogen: the branch that goes through the plane of the other two neighbours. */
export interface Pyramid {
  readonly atom: number;
  readonly others: readonly [number, number];
  /** First its atom beside the nitrogen. */
  readonly branch: readonly number[];
}

export class Conformers {
  /** Rings of four atoms or more with two soft bonds or more. */
  readonly rings: readonly Ring[];
  readonly pyramids: readonly Pyramid[];
  readonly #centres: readonly {
    readonly atom: number;
    readonly neighbours: readonly [number, number, number, number];
    readonly sign: number;
  }[];

  /** @param reference (N, 3), with the handedness wanted */
  constructor(forceField: ForceField, reference: Float64Array) {
    const neighbours = bondGraph(forceField);
    this.rings = smallestRings(neighbours)
      .filter((atoms) =>
        atoms.length >= 4 &&
        atoms.filter((atom, k) =>
            bondVariation(forceField, atom, atoms[(k + 1) % atoms.length], reference) < STIFF
          ).length >= 2
      )
      .map((atoms) => ({
        atoms,
        branches: atoms.map((atom) => branchesOff(neighbours, atom, new Set(atoms))),
      }));
    this.pyramids = neighbours.flatMap((list, atom) =>
      pyramidAt(neighbours, forceField, list, atom, reference)
    );
    this.#centres = neighbours.flatMap((list, atom) => {
      if (list.length !== 4) return [];
      const centre = { atom, neighbours: [list[0], list[1], list[2], list[3]] as const };
      return [{ ...centre, sign: orientation(centre, reference) }];
    });
  }

  /** Whether there is anything to kick. */
  get any(): boolean {
    return this.rings.length > 0 || this.pyramids.length > 0;
  }

  /** New puckers of about half of the rings, and half of the nitrogens inverted, in place. */
  kick(x: Float64Array, random: RandomStream): void {
    for (const ring of this.rings) {
      const turned = random.uniform() < 0.5;
      const heights = ring.atoms.map(() => PUCKER * random.normal());
      if (turned) pucker(x, ring, heights);
    }
    for (const pyramid of this.pyramids) if (random.uniform() < 0.5) invert(x, pyramid);
  }

  /** Whether every atom with four neighbours has the handedness of the reference. */
  keepsHandedness(x: Float64Array): boolean {
    return this.#centres.every((centre) => orientation(centre, x) === centre.sign);
  }
}

/** For every bond that closes a ring of a spanning tree, the smallest ring through it. */
function smallestRings(neighbours: readonly (readonly number[])[]): number[][] {
  const seen = new Set<number>([0]);
  const tree = new Set<string>();
  const queue = [0];
  for (let head = 0; head < queue.length; head++) {
    for (const next of neighbours[queue[head]]) {
      if (seen.has(next)) continue;
      seen.add(next);
      tree.add(`${queue[head]} ${next}`).add(`${next} ${queue[head]}`);
      queue.push(next);
    }
  }
  return neighbours.flatMap((list, p) =>
    list.filter((q) => q > p && !tree.has(`${p} ${q}`)).map((q) => way(neighbours, p, q))
  );
}

/** Shortest way from p to q that is not their own bond. */
function way(neighbours: readonly (readonly number[])[], p: number, q: number): number[] {
  const from = new Map<number, number>([[p, -1]]);
  const queue = [p];
  for (let head = 0; head < queue.length && !from.has(q); head++) {
    for (const next of neighbours[queue[head]]) {
      if (from.has(next) || (queue[head] === p && next === q)) continue;
      from.set(next, queue[head]);
      queue.push(next);
    }
  }
  const path: number[] = [];
  for (let at = q; at >= 0; at = from.get(at)!) path.push(at);
  return path;
}

/** An atom and all that is reached from it without stepping on `without`. */
function branchesOff(
  neighbours: readonly (readonly number[])[],
  atom: number,
  without: ReadonlySet<number>,
): number[] {
  const branch = [atom];
  const seen = new Set<number>([...without, atom]);
  for (let head = 0; head < branch.length; head++) {
    for (const next of neighbours[branch[head]]) {
      if (seen.has(next)) continue;
      seen.add(next);
      branch.push(next);
    }
  }
  return branch;
}

function pyramidAt(
  neighbours: readonly (readonly number[])[],
  { atoms }: ForceField,
  list: readonly number[],
  atom: number,
  x: Float64Array,
): Pyramid[] {
  if (atoms.elements[atom] !== NITROGEN || list.length !== 3) return [];
  const out = list.map((to) => direction(x, atom, to));
  const sum = [[0, 1], [1, 2], [2, 0]]
    .reduce(
      (total, [p, q]) => total + Math.acos(Math.max(-1, Math.min(1, dot(out[p], out[q])))),
      0,
    );
  if (sum > FLAT) return [];
  const found = list
    .map((to) => branchesOff(neighbours, to, new Set([atom])))
    // In a ring both ways lead to the same atoms: such a branch cannot turn alone.
    .filter((branch) => list.every((to) => to === branch[0] || !branch.includes(to)))
    .sort((p, q) => p.length - q.length);
  if (found.length === 0) return [];
  const others = list.filter((to) => to !== found[0][0]);
  return [{ atom, others: [others[0], others[1]], branch: found[0] }];
}

/** Heights of a ring's atoms over their mean plane become these; branches move along. */
function pucker(x: Float64Array, { atoms, branches }: Ring, heights: readonly number[]): void {
  const centre = [0, 1, 2].map((c) =>
    atoms.reduce((sum, i) => sum + x[3 * i + c], 0) / atoms.length
  );
  const spoke = (i: number) => [0, 1, 2].map((c) => x[3 * i + c] - centre[c]);
  // The normal of Cremer and Pople's plane, but for its phase: Σ r_j × r_{j+1}.
  const area = [0, 0, 0];
  atoms.forEach((i, k) =>
    cross(spoke(i), spoke(atoms[(k + 1) % atoms.length])).forEach((v, c) => area[c] += v)
  );
  const length = Math.hypot(...area);
  if (!(length > 0)) return;
  const normal = area.map((v) => v / length);
  const before = atoms.map((_, k) => frameAt(x, atoms, k));
  atoms.forEach((i, k) => {
    const lift = heights[k] - dot(spoke(i), normal);
    for (const j of branches[k]) for (let c = 0; c < 3; c++) x[3 * j + c] += lift * normal[c];
  });
  // What hangs on an atom turns as the bonds to its neighbours in the ring do.
  const after = atoms.map((_, k) => frameAt(x, atoms, k));
  branches.forEach(([i, ...rest], k) => {
    for (const j of rest) {
      const d = [0, 1, 2].map((c) => x[3 * j + c] - x[3 * i + c]);
      const own = before[k].map((axis) => dot(axis, d));
      for (let c = 0; c < 3; c++) {
        x[3 * j + c] = x[3 * i + c] + own.reduce((sum, v, a) => sum + v * after[k][a][c], 0);
      }
    }
  });
}

/** Three axes at atom k of a ring: between its neighbours, across their plane, and the third. */
function frameAt(x: Float64Array, atoms: readonly number[], k: number): number[][] {
  const n = atoms.length;
  const left = direction(x, atoms[k], atoms[(k + n - 1) % n]);
  const right = direction(x, atoms[k], atoms[(k + 1) % n]);
  const middle = unit(left.map((v, c) => v + right[c]));
  const across = unit(cross(left, right));
  return [middle, across, cross(middle, across)];
}

/** The branch turned about the nitrogen so that its bond is mirrored at the plane of the other two. */
function invert(x: Float64Array, { atom, others, branch }: Pyramid): void {
  const normal = unit(cross(direction(x, atom, others[0]), direction(x, atom, others[1])));
  const bond = direction(x, atom, branch[0]);
  const height = dot(bond, normal);
  const mirrored = bond.map((v, c) => v - 2 * height * normal[c]);
  const axis = cross(bond, mirrored);
  const sine = Math.hypot(...axis);
  if (!(sine > 1e-9)) return;
  const [u, cosine] = [unit(axis), dot(bond, mirrored)];
  for (const i of branch) {
    const d = [0, 1, 2].map((c) => x[3 * i + c] - x[3 * atom + c]);
    const [side, along] = [cross(u, d), (1 - cosine) * dot(u, d)];
    for (let c = 0; c < 3; c++) {
      x[3 * i + c] = x[3 * atom + c] + cosine * d[c] + sine * side[c] + along * u[c];
    }
  }
}

const dot = (p: readonly number[], q: readonly number[]) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];
const cross = (p: readonly number[], q: readonly number[]) => [
  p[1] * q[2] - p[2] * q[1],
  p[2] * q[0] - p[0] * q[2],
  p[0] * q[1] - p[1] * q[0],
];
const unit = (p: readonly number[]) => p.map((v) => v / Math.hypot(...p));
const direction = (x: Float64Array, from: number, to: number) =>
  unit([0, 1, 2].map((c) => x[3 * to + c] - x[3 * from + c]));

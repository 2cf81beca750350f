/** Stereocentres of a molecule from its bond graph, and the handedness of configurations. */
import type { ForceField } from "../../config/force_field.ts";
import { bondGraph } from "./bond_graph.ts";

/** An atom with four different substituents. */
export interface Stereocentre {
  /** Counted from 0, as in the force field. */
  readonly atom: number;
  /** Its four neighbours in rising order. */
  readonly neighbours: readonly [number, number, number, number];
}

/**
 * Class of every atom under the symmetries of the bond graph: equal numbers cannot be told apart by
 * what is bonded to what. Classes start from element and number of bonds and are parted by those of
 * their neighbours until nothing changes (Morgan's ranks with ties kept).
 */
function topologicalClasses(
  neighbours: readonly (readonly number[])[],
  elements: readonly number[],
): number[] {
  const numbered = (keys: readonly string[]): number[] => {
    const order = [...new Set(keys)].sort();
    const number = new Map(order.map((key, k) => [key, k]));
    return keys.map((key) => number.get(key)!);
  };
  const padded = (value: number) => String(value).padStart(6, "0");
  let classes = numbered(neighbours.map((list, i) => padded(elements[i]) + padded(list.length)));
  for (let count = -1; count !== Math.max(...classes);) {
    count = Math.max(...classes);
    classes = numbered(
      neighbours.map((list, i) =>
        padded(classes[i]) + list.map((j) => padded(classes[j])).sort().join("")
      ),
    );
  }
  return classes;
}

/**
 * Atoms with four neighbours of four different classes. What differs by other stereocentres alone
 * (meso forms, rings) is not told apart, and does not count. Throws InputError for a molecule in
 * pieces.
 */
export function stereocentres(forceField: ForceField): Stereocentre[] {
  const neighbours = bondGraph(forceField);
  const classes = topologicalClasses(neighbours, forceField.atoms.elements);
  return neighbours.flatMap((list, atom) =>
    list.length === 4 && new Set(list.map((j) => classes[j])).size === 4
      ? [{ atom, neighbours: [list[0], list[1], list[2], list[3]] as const }]
      : []
  );
}

/** Sign of the volume that a centre's neighbours span, in the order they are listed; ±1 (0: flat). */
export function orientation(
  { neighbours: [a, b, c, d] }: Stereocentre,
  x: ArrayLike<number>,
  offset = 0,
): number {
  const edge = (i: number, axis: number) => x[offset + 3 * i + axis] - x[offset + 3 * d + axis];
  const [ax, ay, az] = [edge(a, 0), edge(a, 1), edge(a, 2)];
  const [bx, by, bz] = [edge(b, 0), edge(b, 1), edge(b, 2)];
  const [cx, cy, cz] = [edge(c, 0), edge(c, 1), edge(c, 2)];
  return Math.sign(
    ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx),
  );
}

/** The stereocentres of a molecule and the handedness of a given geometry. */
export class Handedness {
  readonly centres: readonly Stereocentre[];
  readonly #signs: readonly number[];

  /** @param reference (N, 3), the geometry whose handedness is "given" */
  constructor(forceField: ForceField, reference: ArrayLike<number>) {
    this.centres = stereocentres(forceField);
    this.#signs = this.centres.map((centre) => orientation(centre, reference));
  }

  /**
   * 1 where all centres are as in the reference, −1 where all are the other way round (the mirror
   * image), 0 where some are (another diastereomer). 1 for a molecule without stereocentres.
   */
  of(x: ArrayLike<number>, offset = 0): number {
    let same = 0;
    this.centres.forEach((centre, k) => {
      if (orientation(centre, x, offset) === this.#signs[k]) same++;
    });
    return same === this.centres.length ? 1 : same === 0 ? -1 : 0;
  }
}

/** The graph of a molecule's bonds. */
import type { ForceField } from "../../config/force_field.ts";
import { InputError } from "../../errors.ts";

/** Neighbours of every atom, in rising order. Throws InputError when the molecule is in pieces. */
export function bondGraph({ atoms, bonds }: ForceField): number[][] {
  const neighbours: number[][] = atoms.names.map(() => []);
  for (const [i, j] of bonds) {
    if (neighbours[i].includes(j)) continue;
    neighbours[i].push(j);
    neighbours[j].push(i);
  }
  for (const list of neighbours) list.sort((p, q) => p - q);
  const reached = distances(neighbours, 0);
  const apart = reached.findIndex((d) => d < 0);
  if (apart >= 0) {
    throw new InputError(
      `the molecule is in pieces: no bonds lead from atom 1 (${atoms.names[0]}) to atom ` +
        `${apart + 1} (${atoms.names[apart]}); one connected molecule is needed`,
    );
  }
  return neighbours;
}

/** Number of bonds from one atom to each other; −1 where there is no way. */
export function distances(neighbours: readonly (readonly number[])[], from: number): Int32Array {
  const distance = new Int32Array(neighbours.length).fill(-1);
  distance[from] = 0;
  const queue = [from];
  for (let head = 0; head < queue.length; head++) {
    for (const next of neighbours[queue[head]]) {
      if (distance[next] >= 0) continue;
      distance[next] = distance[queue[head]] + 1;
      queue.push(next);
    }
  }
  return distance;
}

/**
 * The atom nearest the centre: of those with two bonds or more, the one whose farthest atom is
 * nearest; then the one with the most bonds, then the first.
 */
export function centralAtom(neighbours: readonly (readonly number[])[]): number {
  let best = -1;
  let least = [Infinity, Infinity];
  neighbours.forEach((list, atom) => {
    if (list.length < 2) return;
    const key = [Math.max(...distances(neighbours, atom)), -list.length];
    if (key[0] < least[0] || (key[0] === least[0] && key[1] < least[1])) {
      [best, least] = [atom, key];
    }
  });
  return best;
}

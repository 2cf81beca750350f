/** Relabellings of identical particles, over which the mixture is averaged. */
import { InputError } from "../errors.ts";

/** More than this many labellings are refused: 7! covers seven identical particles. */
export const MAX_LABELLINGS = 5040;

/** Labelling g gives place j of a component the particle particles[g·N + j]; place 0 is the anchor. */
export interface Labellings {
  readonly count: number;
  /** (count, N), sorted by the anchor. */
  readonly particles: Int32Array;
}

/** The labelling that leaves every particle in its place, but for the anchor, which is put first. */
export function identityLabelling(particles: number, anchor = 0): Labellings {
  return { count: 1, particles: Int32Array.from(anchorFirst(particles, anchor)) };
}

/** anchor, then the others in rising order. */
function anchorFirst(particles: number, anchor: number): number[] {
  const others = Array.from({ length: particles }, (_, i) => i).filter((i) => i !== anchor);
  return [anchor, ...others];
}

/** How many labellings `enumerateLabellings` would give; may be infinite. */
export function labellingCount(groups: readonly (readonly number[])[]): number {
  let count = 1;
  for (const group of groups) {
    for (let size = 2; size <= group.length; size++) count *= size;
  }
  return count;
}

/**
 * All labellings that permute each group within itself, the anchor included.
 *
 * @param groups disjoint groups of interchangeable particles; particles in none keep their place
 * @param anchor the particle whose place is the first
 * @throws InputError where there would be more than MAX_LABELLINGS
 */
export function enumerateLabellings(
  particles: number,
  groups: readonly (readonly number[])[],
  anchor = 0,
): Labellings {
  const count = labellingCount(groups);
  if (count > MAX_LABELLINGS) {
    const sizes = groups.map((g) => g.length).filter((size) => size > 1).join(" + ");
    throw new InputError(
      `mint.symmetrise: ${sizes} identical particles have ${count.toExponential(1)} labellings, ` +
        `more than ${MAX_LABELLINGS} are not enumerated. Use mint.components = 0 (the broad, ` +
        "permutation-invariant density): that many identical particles need an invariant family",
    );
  }
  const plain = anchorFirst(particles, anchor);
  let rows: number[][] = [plain];
  for (const group of groups) {
    const orders = permutations(group);
    const places = group.map((particle) => plain.indexOf(particle));
    rows = rows.flatMap((row) =>
      orders.map((order) => {
        const next = row.slice();
        places.forEach((place, i) => next[place] = order[i]);
        return next;
      })
    );
  }
  rows.sort((x, y) => {
    const at = x.findIndex((value, i) => value !== y[i]);
    return at < 0 ? 0 : x[at] - y[at];
  });
  return { count, particles: Int32Array.from(rows.flat()) };
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [items.slice()];
  return items.flatMap((item, i) =>
    permutations([...items.slice(0, i), ...items.slice(i + 1)]).map((rest) => [item, ...rest])
  );
}

/** Small force fields made in the test, and their geometries: what no file under tests/data has. */
import type { ForceField } from "../../src/config/force_field.ts";

export interface SmallOptions {
  /** Atomic numbers. */
  readonly elements: readonly number[];
  readonly bonds: readonly (readonly [number, number])[];
  /** Equilibrium angle about an atom, radians. */
  readonly angle: (atom: number) => number;
  /** Height (kJ/mol) of a threefold torsion about every bond. */
  readonly torsion?: number;
}

/** Bonds of 0.15 nm (0.1 to hydrogen), every angle and torsion, a weak repulsion of 1-4 pairs and on. */
export function smallMolecule(options: SmallOptions): ForceField {
  const { elements, bonds, angle, torsion = 0 } = options;
  const N = elements.length;
  const neighbours = elements.map((_, i) =>
    bonds.flatMap(([p, q]) => p === i ? [q] : q === i ? [p] : [])
  );
  const angles = neighbours.flatMap((around, j) =>
    around.flatMap((i, a) => around.slice(a + 1).map((k) => [i, j, k, angle(j), 400]))
  );
  const torsions = torsion === 0
    ? []
    : bonds.flatMap(([j, k]) =>
      neighbours[j].filter((i) => i !== k).flatMap((i) =>
        neighbours[k].filter((l) => l !== j && l !== i).map((l) => [i, j, k, l, 3, 0, torsion])
      )
    );
  const near = new Set<number>();
  const pair = (i: number, j: number) => near.add(Math.min(i, j) * N + Math.max(i, j));
  bonds.forEach(([i, j]) => pair(i, j));
  angles.forEach(([i, , k]) => pair(i, k));
  return {
    title: "small",
    atoms: {
      names: elements.map((_, i) => `A${i + 1}`),
      residues: elements.map(() => 0),
      residueNames: ["MOL"],
      elements: [...elements],
      masses: elements.map((z) => z === 1 ? 1.008 : 12.011),
      charges: elements.map(() => 0),
    },
    bonds: bonds.map(([i, j]) => [i, j, elements[i] === 1 || elements[j] === 1 ? 0.1 : 0.15, 2e5]),
    angles,
    torsions,
    lennardJones: { types: elements.map(() => 0), a: [1e-7], b: [0] },
    exceptions: [...near].sort((p, q) => p - q).map((p) => [Math.floor(p / N), p % N, 0, 0, 0]),
    born: null,
  };
}

/** H-C≡C-H. */
export const acetylene = smallMolecule({
  elements: [1, 6, 6, 1],
  bonds: [[0, 1], [1, 2], [2, 3]],
  angle: () => Math.PI,
});
export const acetyleneLine = Float64Array.of(-0.1, 0, 0, 0, 0, 0, 0.15, 0, 0, 0.25, 0, 0);

export const water = smallMolecule({
  elements: [8, 1, 1],
  bonds: [[0, 1], [0, 2]],
  angle: () => 1.824,
});
export const waterBent = Float64Array.of(0, 0, 0, 0.1, 0, 0, -0.025, 0.097, 0);

/** A chair, ring atoms 0 to 5, hydrogens of atom k at 6 + 2k and 7 + 2k. */
export const cyclohexane = smallMolecule({
  elements: [...new Array(6).fill(6), ...new Array(12).fill(1)],
  bonds: [0, 1, 2, 3, 4, 5].flatMap((k): [number, number][] => [
    [k, (k + 1) % 6],
    [k, 6 + 2 * k],
    [k, 7 + 2 * k],
  ]),
  angle: () => 1.911,
  torsion: 0.65,
});
export const chair = new Float64Array(54);
for (let k = 0; k < 6; k++) {
  const [c, s] = [Math.cos(k * Math.PI / 3), Math.sin(k * Math.PI / 3)];
  const up = k % 2 === 0 ? 1 : -1;
  chair.set([0.1414 * c, 0.1414 * s, 0.025 * up], 3 * k);
  chair.set([0.1414 * c, 0.1414 * s, 0.125 * up], 18 + 6 * k);
  chair.set([0.2354 * c, 0.2354 * s, -0.0083 * up], 21 + 6 * k);
}

/** CH₃-NH-CH₃: atom 0 is the nitrogen, 1 its hydrogen. */
export const dimethylamine = smallMolecule({
  elements: [7, 1, 6, 6, 1, 1, 1, 1, 1, 1],
  bonds: [[0, 1], [0, 2], [0, 3], [2, 4], [2, 5], [2, 6], [3, 7], [3, 8], [3, 9]],
  angle: () => 1.911,
  torsion: 0.65,
});
export const dimethylamineGeometry = Float64Array.of(
  ...[0, 0, 0, -0.05, 0, 0.0866, 0.141, 0, 0.05, -0.05, 0.13, -0.05],
  ...[0.2, 0.08, 0.02, 0.2, -0.08, 0.02, 0.14, 0, 0.15],
  ...[-0.15, 0.13, -0.06, 0.01, 0.15, -0.13, -0.02, 0.21, 0.01],
);

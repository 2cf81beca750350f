/** Chemical elements as far as force field files need them. */

const SYMBOLS =
  ("H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn " +
    "Ga Ge As Se Br Kr").split(" ");

/** Standard atomic weights of the elements in biomolecular force fields, g/mol. */
const WEIGHTS: [number, number][] = [
  [1, 1.008],
  [3, 6.94],
  [6, 12.011],
  [7, 14.007],
  [8, 15.999],
  [9, 18.998],
  [11, 22.99],
  [12, 24.305],
  [15, 30.974],
  [16, 32.06],
  [17, 35.45],
  [19, 39.098],
  [20, 40.078],
  [26, 55.845],
  [30, 65.38],
  [34, 78.971],
  [35, 79.904],
];

/** Symbol of an atomic number, "X" where unknown. */
export function elementSymbol(number: number): string {
  return SYMBOLS[number - 1] ?? "X";
}

/** The element whose weight is within 0.1 g/mol of a mass; number 0, "X", where there is none. */
export function elementOfMass(mass: number): { number: number; symbol: string } {
  const found = WEIGHTS.find(([, weight]) => Math.abs(weight - mass) < 0.1);
  const number = found?.[0] ?? 0;
  return { number, symbol: elementSymbol(number) };
}

/** Hydrogens are made heavier up to about this, g/mol. */
const HEAVY_HYDROGEN = [1.5, 4.6];

/**
 * Elements of all atoms from their masses. Where hydrogens (one bond, a mass from 1.5 to 4.6 g/mol)
 * have taken mass from the atom they hang on (hydrogen mass repartitioning), it is given back first;
 * where that makes no element of the other atom (deuterium), masses are taken as they are.
 */
export function elementsOfMasses(
  masses: readonly number[],
  bonds: readonly (readonly number[])[],
): { number: number; symbol: string }[] {
  const neighbours: number[][] = masses.map(() => []);
  for (const [i, j] of bonds) {
    if (neighbours[i].includes(j)) continue;
    neighbours[i].push(j);
    neighbours[j].push(i);
  }
  const [least, most] = HEAVY_HYDROGEN;
  const heavy = (i: number) => neighbours[i].length === 1 && masses[i] > least && masses[i] < most;
  const hydrogen = elementOfMass(1.008);
  return masses.map((mass, i) => {
    const [partner] = neighbours[i];
    if (heavy(i) && (neighbours[partner].length > 1 || masses[partner] > most)) return hydrogen;
    const taken = neighbours[i].filter(heavy).reduce((sum, h) => sum + masses[h] - 1.008, 0);
    const whole = elementOfMass(mass + taken);
    return taken > 0 && whole.number > 0 ? whole : elementOfMass(mass);
  });
}

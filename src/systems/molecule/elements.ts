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

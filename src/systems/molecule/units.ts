/** Constants of molecular energies in kJ/mol, nm and e. */

/** Gas constant, kJ/mol/K (exact since 2019). */
export const GAS_CONSTANT = 0.00831446261815324;

/** 1/(4πε₀), kJ/mol nm/e²: OpenMM's value, from the constants of 2018. */
export const COULOMB = 138.93545764438198;

/** The same constant in OBC1, an older value that OpenMM's formulas for it hold. */
export const OBC1_COULOMB = 138.935485;

/** Probe of the surface-area term and offset of the OBC radii, nm. */
export const PROBE_RADIUS = 0.14;
export const BORN_OFFSET = 0.009;

/** What AMBER files do not say: water at 300 K, and OpenMM's surface tension (kJ/mol/nm²). */
export const WATER = {
  soluteDielectric: 1,
  solventDielectric: 78.5,
  surfaceTension: 28.3919551 / (4 * Math.PI),
} as const;

export const KCAL = 4.184;

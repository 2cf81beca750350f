/** Values known exactly, or from published references, for certain systems. */
import type { SystemConfig } from "../config/config.ts";

/** A known value and its uncertainty (one standard error, or a bound on the quadrature's error). */
export interface KnownValue {
  value: number;
  uncertainty: number;
}

export interface ExactValues {
  /** log Z in the anchored measure ∏_{i≥1} d(x_i − x_0): that of every log-weight here; where it is known. */
  logZ?: KnownValue;
  /** E[U]. */
  meanEnergy: KnownValue;
  /** Mean of |x_i − x_j| over pairs. */
  meanPairDistance?: KnownValue;
  /** true: quadrature, a sampler can be tested against it; false: another sampler's estimate. */
  exact: boolean;
  /** Where the numbers come from, in words. */
  source: string;
}

interface Entry {
  values: ExactValues;
  /** Whether U is this one. Parameters are compared, never names; formulas that give equal U match. */
  matches(system: SystemConfig): boolean;
}

const close = (a: number, b: number) => Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(b));

const entries: Entry[] = [
  {
    matches: (s) =>
      s.kind === "double_well" && s.particles === 4 && s.dimension === 2 && close(s.offset, 4) &&
      close(s.linear, 0) && close(s.quadratic / s.temperature, -4) &&
      close(s.quartic / s.temperature, 0.9),
    values: {
      logZ: { value: 31.053526594024, uncertainty: 1e-12 },
      meanEnergy: { value: -22.541509603, uncertainty: 1e-9 },
      meanPairDistance: { value: 4.0449868444, uncertainty: 1e-10 },
      exact: true,
      source: "numerical quadrature, deno run tools/dw4_exact.ts",
    },
  },
  {
    matches: (s) =>
      s.kind === "lennard_jones" && s.particles === 13 && close(s.epsilon, 2) &&
      close(s.oscillator, 1),
    values: {
      // 59.867 without the centre of mass, + (3/2) log 13 for the anchored measure.
      logZ: { value: 59.867 + 1.5 * Math.log(13), uncertainty: 0.025 },
      meanEnergy: { value: -43.13, uncertainty: 0.07 },
      exact: false,
      source: "long runs of another sampler",
    },
  },
  {
    matches: (s) =>
      s.kind === "lennard_jones" && s.particles === 55 && close(s.epsilon, 2) &&
      close(s.oscillator, 1),
    values: {
      meanEnergy: { value: -324.89, uncertainty: 0.44 },
      exact: false,
      source: "published samples of another sampler, no log Z among them",
    },
  },
  // One handedness of the molecule and of each methyl: docs/method.md section 6.
  {
    matches: (s) =>
      s.kind === "molecule" && s.forceField === "aldp" && s.temperature === 300 &&
      s.solvent === "none",
    values: {
      logZ: { value: -196.745, uncertainty: 0.002 },
      meanEnergy: { value: -17.82, uncertainty: 0.04 },
      exact: false,
      source: "annealing in internal coordinates, this program and another",
    },
  },
  {
    matches: (s) =>
      s.kind === "molecule" && s.forceField === "aldp" && s.temperature === 300 &&
      s.solvent === "obc1",
    values: {
      logZ: { value: -174.316, uncertainty: 0.002 },
      meanEnergy: { value: -39.407, uncertainty: 0.028 },
      exact: false,
      source: "annealing in internal coordinates, this program and another",
    },
  },
];

/**
 * What is known about a system, found by its parameters and not by its name; null for the others.
 * (For equal parameters the definition line and its hash are equal too.)
 */
export function exactValues(system: SystemConfig): ExactValues | null {
  return entries.find((entry) => entry.matches(system))?.values ?? null;
}

/** log Z on the centre-of-mass-free subspace (orthonormal measure) from the anchored one. */
export function centreOfMassLogZ(anchored: number, particles: number, dimension: number): number {
  return anchored - dimension / 2 * Math.log(particles);
}

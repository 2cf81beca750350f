import type {
  DoubleWellConfig,
  LennardJonesConfig,
  MoleculeConfig,
  SystemConfig,
} from "../config/config.ts";
import { InputError } from "../errors.ts";
import { doubleWell } from "./double_well.ts";
import { lennardJones } from "./lennard_jones.ts";
import { checkForceField } from "./molecule/check.ts";
import { Molecule } from "./molecule/molecule.ts";
import { namedMolecule } from "./molecule/presets.ts";
import type { System } from "./system.ts";

/**
 * The system of a configuration. Throws InputError naming the field and value that is impossible.
 *
 * @example U and ∂U/∂x of two particles at the distance of least energy, U = −ε
 * ```ts
 * import assert from "node:assert/strict";
 * import { createSystem } from "@lab/mintjulep";
 *
 * const pair = createSystem({
 *   kind: "lennard_jones",
 *   particles: 2,
 *   epsilon: 2,
 *   oscillator: 1e-9,
 *   softCore: { kind: "shifted" },
 * });
 * const gradient = new Float64Array(6);
 * const U = pair.energyAndGradient(Float64Array.of(0, 0, 0, 1, 0, 0), gradient);
 * assert.ok(Math.abs(U + 2) < 1e-6 && Math.hypot(...gradient) < 1e-6);
 * ```
 */
export function createSystem(config: SystemConfig): System {
  switch (config.kind) {
    case "double_well":
      checkDoubleWell(config);
      return doubleWell(config);
    case "lennard_jones":
      checkLennardJones(config);
      return lennardJones(config);
    case "molecule":
      checkMolecule(config);
      return new Molecule(config);
    default:
      return refuse(
        "kind",
        (config as { kind: unknown }).kind,
        "double_well, lennard_jones or molecule",
      );
  }
}

function refuse(field: string, value: unknown, expected: string): never {
  // String first: JSON would print NaN and Infinity as null.
  const shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  throw new InputError(`system.${field} must be ${expected}, got ${shown}`);
}

function checkNumber(field: string, value: number): void {
  if (!Number.isFinite(value)) refuse(field, value, "a finite number");
}

function checkPositive(field: string, value: number): void {
  if (!(Number.isFinite(value) && value > 0)) refuse(field, value, "a finite number above 0");
}

function checkParticles(value: number): void {
  if (!Number.isSafeInteger(value) || value < 2) refuse("particles", value, "an integer >= 2");
}

function checkDoubleWell(config: DoubleWellConfig): void {
  const { linear, quadratic, quartic } = config;
  checkParticles(config.particles);
  if (config.dimension !== 2 && config.dimension !== 3) {
    refuse("dimension", config.dimension, "2 or 3");
  }
  checkNumber("offset", config.offset);
  checkNumber("linear", linear);
  checkNumber("quadratic", quadratic);
  checkNumber("quartic", quartic);
  checkPositive("temperature", config.temperature);
  // The highest power present must hold the particles together, or exp(−U) has no integral.
  const highest = quartic !== 0 ? "quartic" : quadratic !== 0 ? "quadratic" : "linear";
  if (!(config[highest] > 0)) {
    refuse(highest, config[highest], "above 0 (the highest power present must confine)");
  }
}

function checkLennardJones(config: LennardJonesConfig): void {
  checkParticles(config.particles);
  checkPositive("epsilon", config.epsilon);
  if (!(Number.isFinite(config.oscillator) && config.oscillator >= 0)) {
    refuse("oscillator", config.oscillator, "a finite number >= 0");
  }
  const softCore = config.softCore;
  if (softCore?.kind === "beutler") checkPositive("softCore.alpha", softCore.alpha);
  else if (softCore?.kind !== "shifted") {
    refuse("softCore", softCore, `{"kind": "shifted"} or {"kind": "beutler", "alpha": number}`);
  }
}

function checkMolecule(config: MoleculeConfig): void {
  checkPositive("temperature", config.temperature);
  if (!["none", "obc1", "obc2"].includes(config.solvent)) {
    refuse("solvent", config.solvent, "none, obc1 or obc2");
  }
  const { forceField } = config;
  if (typeof forceField === "object") checkForceField(forceField);
  else if (!namedMolecule(forceField)) refuse("forceField", forceField, '"aldp" or a force field');
}

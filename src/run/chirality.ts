/** The handedness that a run samples, from its configuration. */
import type { MoleculeRunConfig, RunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
import { type ExactValues, exactValues } from "../sampling/exact.ts";
import type { Chirality, ChiralityMode } from "../sampling/chirality.ts";
import { Molecule } from "../systems/molecule/molecule.ts";
import { namedMolecule } from "../systems/molecule/presets.ts";
import { Handedness } from "../systems/molecule/stereo.ts";
import type { System } from "../systems/system.ts";

/** The geometry whose handedness is the given one; null where the configuration has none. */
export function givenGeometry({ system, molecule, internal }: RunConfig): Float64Array | null {
  if (system.kind !== "molecule") return null;
  const told = molecule?.reference ?? internal?.reference;
  if (told) return Float64Array.from(told);
  return typeof system.forceField === "string"
    ? namedMolecule(system.forceField)?.positions ?? null
    : null;
}

/** The mode that "auto" stands for. */
function chiralityMode(config: RunConfig): ChiralityMode {
  const asked = config.molecule?.chirality ?? "auto";
  return asked === "auto" ? isOneSided(config) ? "keep" : "both" : asked;
}

/** Internal coordinates hold one handedness; so do chains, which start from the given geometry. */
const isOneSided = ({ internal, chains }: RunConfig) => Boolean(internal || chains);

/**
 * What sampling does about handedness; null where there is none (no molecule, no stereocentre) or
 * where nothing tells the given one and nothing asks for it. Throws InputError where a mode other than
 * "both" has no geometry to go by, or one of another molecule.
 */
export function chiralityOf(config: RunConfig, system: System): Chirality | null {
  if (!(system instanceof Molecule)) return null;
  const { forceField } = system.forces;
  const geometry = givenGeometry(config);
  const mode = chiralityMode(config);
  if (geometry && geometry.length !== 3 * system.particles) {
    throw new InputError(
      `molecule.reference must have ${3 * system.particles} numbers, got ${geometry.length}`,
    );
  }
  if (!geometry) {
    if (mode === "both" && !isOneSided(config)) return null;
    throw new InputError(
      `molecule.chirality ${mode} needs molecule.reference, a geometry (N, 3) in nm of the ` +
        `handedness that is given`,
    );
  }
  const handedness = new Handedness(forceField, geometry);
  if (handedness.centres.length === 0) return null;
  return { mode, handedness, oneSided: isOneSided(config) };
}

/**
 * What is known of the target of a run. Values of molecules are those of one handedness of the molecule
 * and of each group of like hydrogens, which is what internal coordinates hold; a run that samples more
 * equal copies has the larger log Z. With m! labellings of m like hydrogens, of which a rotor's full
 * turn passes through m, Cartesian coordinates hold ∏ (m − 1)! as many, and both mirror images.
 */
export function knownValues(config: RunConfig, system: System): ExactValues | null {
  const known = exactValues(config.system);
  if (!known?.logZ || !(system instanceof Molecule)) return known;
  const copies = logCopies(config, system);
  return { ...known, logZ: { ...known.logZ, value: known.logZ.value + copies } };
}

/** log of the number of equal copies of one handedness that are in the target of a run. */
export function logCopies(config: RunConfig, system: Molecule): number {
  let copies = chiralityMode(config) === "keep" ? 0 : Math.LN2;
  if (isOneSided(config)) return copies;
  for (const { length } of system.identicalParticles) {
    for (let m = 2; m < length; m++) copies += Math.log(m);
  }
  return copies;
}

/**
 * The configuration with another choice of handedness, φ and ψ than it was trained with. Throws
 * InputError when the run is of no molecule.
 */
export function withMolecule(
  config: RunConfig,
  changes: Partial<MoleculeRunConfig> | undefined,
  dir: string,
): RunConfig {
  const given = Object.entries(changes ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return config;
  if (config.system.kind !== "molecule") {
    throw new InputError(
      `--${given[0][0]} is for molecules, ${dir} is none`,
    );
  }
  const molecule = { chirality: "auto", reference: null, phi: null, psi: null, ...config.molecule };
  return {
    ...config,
    molecule: { ...molecule, ...Object.fromEntries(given) } as MoleculeRunConfig,
  };
}

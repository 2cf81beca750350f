/** The handedness that a run samples, from its configuration. */
import type { MoleculeRunConfig, RunConfig } from "../config/config.ts";
import { InputError } from "../errors.ts";
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

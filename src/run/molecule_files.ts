/** A molecule and its coordinates from whatever files a user has. */
import type { RunConfig } from "../config/config.ts";
import type { ForceField, Solvent } from "../config/force_field.ts";
import { preset } from "../config/presets.ts";
import { InputError } from "../errors.ts";
import { asInputError } from "../io/atomic.ts";
import { decodeDcd } from "../io/dcd.ts";
import { decodePdb } from "../io/pdb.ts";
import { readReference, readSamples } from "../io/samples.ts";
import { bondRatios, unitMistake } from "../systems/molecule/bond_lengths.ts";
import { readInpcrd } from "../systems/molecule/inpcrd.ts";
import { aldp } from "../systems/molecule/presets.ts";
import { readPrmtop } from "../systems/molecule/prmtop.ts";
import { readSystemXml } from "../systems/molecule/system_xml.ts";

export interface LoadedMolecule {
  readonly forceField: ForceField;
  /** What it was read from, in words. */
  readonly format: "preset" | "AMBER prmtop" | "OpenMM System XML";
  /** The solvent of the preset or file: OBC2 for a System with a GBSAOBCForce, none for a prmtop. */
  readonly solvent: Solvent;
  /** Coordinates that come with a preset, (N, 3) in nm. */
  readonly positions: Float64Array | null;
}

/** Molecules that need no file. */
const moleculePresets: Readonly<Record<string, Solvent>> = {
  aldp: "obc1",
  "aldp-vacuum": "none",
};

/** Nothing that describes one molecule is larger. */
const MAX_BYTES = 1 << 28;

/**
 * The molecule of a preset, a prmtop or an OpenMM System XML file (told apart by what is in them).
 * Throws InputError of one line naming the file, and section and line in it.
 */
export async function loadMolecule(
  nameOrPath: string,
  options: { dropConstraints?: boolean } = {},
): Promise<LoadedMolecule> {
  if (Object.hasOwn(moleculePresets, nameOrPath)) {
    return { ...aldp(), format: "preset", solvent: moleculePresets[nameOrPath] };
  }
  const text = await readText(nameOrPath);
  if (/^\uFEFF?\s{0,1000}</.test(text)) {
    const forceField = readSystemXml(text, nameOrPath, options);
    const solvent = forceField.born ? "obc2" : "none";
    return { forceField, format: "OpenMM System XML", solvent, positions: null };
  }
  const forceField = readPrmtop(text, nameOrPath);
  return { forceField, format: "AMBER prmtop", solvent: "none", positions: null };
}

async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MAX_BYTES) {
      throw new InputError(`cannot read ${path}: it has ${size} bytes, too many for one molecule`);
    }
    return await Deno.readFile(path);
  } catch (error) {
    throw asInputError(error, `cannot read ${path}`);
  }
}

export interface MoleculeRun {
  /** A geometry with the handedness wanted; the first configuration of the file. */
  readonly coordinates: string;
  readonly solvent?: Solvent;
  /** Kelvin. */
  readonly temperature?: number;
  readonly dropConstraints?: boolean;
}

/**
 * The configuration of a run on a molecule from files: the stages of preset aldp, with the force field
 * and the geometry in full, so that the files are not needed again.
 */
export async function moleculeConfig(file: string, options: MoleculeRun): Promise<RunConfig> {
  const molecule = await loadMolecule(file, options);
  const { forceField } = molecule;
  const { positions } = await loadConfigurations(options.coordinates, forceField);
  checkGeometry(options.coordinates, forceField, positions);
  const { internal, ...rest } = preset("aldp");
  const reference = [...positions.subarray(0, 3 * forceField.atoms.names.length)];
  return {
    ...rest,
    preset: "custom",
    system: {
      kind: "molecule",
      temperature: options.temperature ?? 300,
      solvent: options.solvent ?? molecule.solvent,
      forceField,
      softCore: null,
    },
    internal: { ...internal!, reference },
    molecule: { ...rest.molecule!, reference },
  };
}

/** Bonds further from the force field's than this factor are no geometry to start from. */
const FURTHEST = 1.5;

/** Throws InputError where a bond of the first configuration is far from its length. */
function checkGeometry(path: string, forceField: ForceField, positions: Float64Array): void {
  const worst = bondRatios(forceField, positions)?.worst;
  if (!worst || Math.abs(Math.log(worst.ratio)) < Math.log(FURTHEST)) return;
  const { names } = forceField.atoms;
  const [i, j] = worst.atoms.map((atom) => `${names[atom]} ${atom + 1}`);
  throw new InputError(
    `${path}: the bond ${i} - ${j} is ${figure(worst.ratio)} times as long as the force field's: ` +
      "no geometry of this molecule, or its atoms are in another order",
  );
}

export interface Configurations {
  readonly count: number;
  /** (count, N, 3), nm. */
  readonly positions: Float64Array;
}

/**
 * Configurations of a molecule from .npy or .npz (nm; shape (S, N, 3) or (S, 3N)), .pdb and .dcd (Å),
 * or an AMBER inpcrd, rst7 or crd (Å). Throws InputError naming the file: not of this molecule (number
 * of atoms, names in another order), unreadable, not finite, or with all bonds about ten times too long
 * or too short, which are those of the other unit.
 */
export async function loadConfigurations(
  path: string,
  forceField: ForceField,
): Promise<Configurations> {
  const found = await readConfigurations(path, forceField);
  const { positions, count } = found;
  const size = positions.length / count;
  for (let s = 0; s < count; s++) {
    const ratios = bondRatios(forceField, positions, s * size);
    const mistake = unitMistake(ratios);
    if (!mistake) continue;
    const nanometres = /\.np[yz]$/i.test(path);
    throw new InputError(
      `${path}: configuration ${s} has bonds ${
        figure(ratios!.median)
      } times as long as the force ` +
        `field's: ${nanometres ? ".npy and .npz" : "this kind of file"} must be in ` +
        `${nanometres ? "nm" : "Å"}` +
        ((mistake === "long") === nanometres ? `, these look like ${other(nanometres)}` : ""),
    );
  }
  return found;
}

const figure = (ratio: number) => Number(ratio.toPrecision(3));
const other = (nanometres: boolean) => nanometres ? "Å" : "nm";

async function readConfigurations(
  path: string,
  { atoms }: ForceField,
): Promise<Configurations> {
  const N = atoms.names.length;
  const kind = /\.(npy|npz|pdb|ent|dcd)$/i.exec(path)?.[1].toLowerCase() ?? "inpcrd";
  switch (kind) {
    case "npy": {
      const positions = await readReference(path, N, 3);
      return { count: positions.length / (3 * N), positions };
    }
    case "npz": {
      const { positions, shape } = await readSamples(path);
      checkAtoms(path, shape[1], N);
      return { count: shape[0], positions: finite(path, Float64Array.from(positions), N) };
    }
    case "dcd": {
      const { positions, count, atoms } = decodeDcd(await readBytes(path), path);
      checkAtoms(path, atoms, N);
      return { count, positions: finite(path, Float64Array.from(positions, (v) => v / 10), N) };
    }
    case "pdb":
    case "ent": {
      const { count, positions, names } = decodePdb(await readText(path), path);
      checkAtoms(path, names.length, N);
      const other = names.findIndex((name, i) => name !== atoms.names[i]);
      if (other >= 0) {
        throw new InputError(
          `cannot read ${path}: atom ${other + 1} is ${JSON.stringify(names[other])}, the ` +
            `molecule has ${JSON.stringify(atoms.names[other])} there`,
        );
      }
      return { count, positions };
    }
    default: {
      const { positions } = readInpcrd(await readText(path), path, N);
      return { count: 1, positions };
    }
  }
}

function checkAtoms(path: string, got: number, expected: number): void {
  if (got === expected) return;
  throw new InputError(
    `cannot read ${path}: configurations of ${got} atoms, the molecule has ${expected}`,
  );
}

function finite(path: string, positions: Float64Array, atoms: number): Float64Array {
  const bad = positions.findIndex((v) => !Number.isFinite(v));
  if (bad < 0) return positions;
  throw new InputError(
    `${path}: configuration ${Math.floor(bad / (3 * atoms))} has a value ${positions[bad]}`,
  );
}

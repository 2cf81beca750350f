/** `inspect` and `energy`: what was read of a molecule, and its energies for a batch. */
import { type MoleculeBatch, moleculeEnergies } from "../backends/reference/molecule_energies.ts";
import type { ForceField, Solvent } from "../config/force_field.ts";
import { InputError } from "../errors.ts";
import { Conformers } from "../mint/molecule/conformers.ts";
import { softTorsions } from "../mint/molecule/torsions.ts";
import { backbonePairs } from "../systems/molecule/backbone.ts";
import { MoleculeEnergy, TERMS } from "../systems/molecule/energy.ts";
import { linearAngles } from "../systems/molecule/linear.ts";
import { isGpuFailure } from "./machine.ts";
import { stereocentres } from "../systems/molecule/stereo.ts";
import { ZMatrix } from "../systems/molecule/zmatrix.ts";
import { loadConfigurations, loadMolecule } from "./molecule_files.ts";

export interface InspectOptions {
  readonly coordinates?: string;
  readonly dropConstraints?: boolean;
}

export interface Inspection {
  readonly file: string;
  readonly format: string;
  readonly title: string;
  readonly atoms: number;
  readonly residues: string;
  readonly bonds: number;
  readonly angles: number;
  /** Torsion terms about a bond, and those of four atoms that are no chain; several may share atoms. */
  readonly torsions: number;
  readonly impropers: number;
  readonly excludedPairs: number;
  /** Exceptions with energies of their own, mostly 1-4 pairs. */
  readonly scaledPairs: number;
  readonly lennardJonesTypes: number;
  /** e. */
  readonly charge: number;
  /** g/mol. */
  readonly mass: number;
  /** Whether generalised Born radii are there. */
  readonly bornRadii: boolean;
  /** What the bonds say, atoms named with their number from 1. Absent for a system in pieces. */
  readonly structure?: Structure;
  /** Energies by term, kJ/mol, of the first configuration; of every solvent there is. */
  readonly energies?: Readonly<Record<string, number>>;
}

export interface Structure {
  /** φ and ψ by residue, atoms counted from 1: as --phi and --psi take them. */
  readonly backbone: Readonly<Record<string, { phi: readonly number[]; psi: readonly number[] }>>;
  readonly stereocentres: readonly string[];
  /** Where internal coordinates start. */
  readonly root: string;
  /** Atoms whose ends are alike, as CH₃: bonds that turn with a period of 2 or 3. */
  readonly symmetricRotors: readonly string[];
  /** Angles that rest at 180°, which internal coordinates cannot hold; absent where there are none. */
  readonly linearAngles?: readonly string[];
  /** Rings that may pucker, and nitrogens that may invert, by their atoms; they need coordinates.
   * Absent where there are none. */
  readonly puckers?: readonly string[];
  readonly inversions?: readonly string[];
  /** Bonds that turn freely enough to be searched over; they need coordinates to be told. */
  readonly softTorsions?: readonly string[];
}

const SOLVENTS: readonly Solvent[] = ["none", "obc1", "obc2"];

/** Throws InputError for files that cannot be read. */
export async function inspectMolecule(
  file: string,
  options: InspectOptions,
): Promise<Inspection> {
  const { forceField, format, positions: own } = await loadMolecule(file, options);
  const { atoms, exceptions, lennardJones, born } = forceField;
  const isZero = (row: number[]) => row.slice(2).every((v) => v === 0);
  const excluded = exceptions.filter(isZero).length;
  const positions = options.coordinates === undefined
    ? own
    : (await loadConfigurations(options.coordinates, forceField)).positions;
  let energies: Record<string, number> | undefined;
  if (positions) {
    energies = {};
    const x = positions.subarray(0, 3 * atoms.names.length);
    const terms = new Float64Array(TERMS.length);
    for (const solvent of SOLVENTS) {
      if (solvent !== "none" && !born) continue;
      const total = new MoleculeEnergy(forceField, solvent).evaluate(x, null, terms);
      if (solvent === "none") TERMS.slice(0, 4).forEach((term, k) => energies![term] = terms[k]);
      else energies[`solvent ${solvent}`] = terms[4];
      energies[solvent === "none" ? "total in vacuum" : `total with ${solvent}`] = total;
    }
  }
  const sum = (values: readonly number[]) => values.reduce((total, v) => total + v, 0);
  return {
    file,
    format,
    title: forceField.title,
    atoms: atoms.names.length,
    residues: shortList(atoms.residueNames),
    bonds: forceField.bonds.length,
    angles: forceField.angles.length,
    torsions: forceField.torsions.length - impropers(forceField),
    impropers: impropers(forceField),
    excludedPairs: excluded,
    scaledPairs: exceptions.length - excluded,
    lennardJonesTypes: Math.sqrt(lennardJones.a.length),
    // Charges are written with few digits: what is left of them is no charge.
    charge: Number(sum(atoms.charges).toFixed(4)) + 0,
    mass: sum(atoms.masses),
    bornRadii: born !== null,
    structure: structureOf(forceField, positions),
    energies,
  };
}

/** Torsion terms whose four atoms are not bonded one after the other. */
function impropers({ bonds, torsions }: ForceField): number {
  const bonded = new Set(bonds.flatMap(([i, j]) => [`${i} ${j}`, `${j} ${i}`]));
  const chain = ([i, j, k, l]: number[]) =>
    bonded.has(`${i} ${j}`) && bonded.has(`${j} ${k}`) && bonded.has(`${k} ${l}`);
  return torsions.filter((row) => !chain(row)).length;
}

/** What the bonds of a force field say; undefined for a system in pieces or of fewer than 3 atoms. */
export function structureOf(
  forceField: ForceField,
  positions: Float64Array | null,
): Structure | undefined {
  const { names } = forceField.atoms;
  const name = (i: number) => `${names[i]} ${i + 1}`;
  const N = names.length;
  try {
    // Rotors are found from the bonds; a geometry only numbers their ends.
    const coordinates = new ZMatrix(
      forceField,
      positions ? positions.slice(0, 3 * N) : new Float64Array(3 * N),
    );
    const { rows, rotors, root } = coordinates;
    const linear = linearAngles(forceField, coordinates);
    const x = positions?.slice(0, 3 * N);
    const conformers = x ? new Conformers(forceField, x) : null;
    const fromOne = (atoms: readonly number[]) => atoms.map((i) => i + 1);
    return {
      backbone: Object.fromEntries(
        backbonePairs(forceField).map(({ label, phi, psi }) => [
          label,
          { phi: fromOne(phi), psi: fromOne(psi) },
        ]),
      ),
      stereocentres: stereocentres(forceField).map(({ atom }) => name(atom)),
      root: name(root),
      symmetricRotors: rotors.map(({ rows: ends }) =>
        `${name(rows[ends[0]].bond)} (${ends.length} ends)`
      ),
      linearAngles: someOf(linear.map((angle) => angle.map((i) => names[i]).join(" - "))),
      puckers: someOf(conformers?.rings.map(({ atoms }) => atoms.map((i) => names[i]).join(" "))),
      inversions: someOf(conformers?.pyramids.map(({ atom }) => name(atom))),
      softTorsions: x
        ? softTorsions(forceField, coordinates, x)
          .map((k) => `${name(rows[k].angle)} - ${name(rows[k].bond)}`)
        : undefined,
    };
  } catch (error) {
    if (error instanceof InputError) return undefined; // in pieces, or fewer than three atoms
    throw error;
  }
}

const someOf = (list?: string[]) => list && list.length > 0 ? list : undefined;

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(" ");
  return names.length > 20 ? `${shown} ... (${names.length})` : shown;
}

export interface EnergyOptions extends InspectOptions {
  /** That of the file by default. */
  readonly solvent?: Solvent;
  readonly backend: "reference" | "wasm" | "webgpu";
}

export interface MoleculeEnergies {
  readonly solvent: Solvent;
  readonly count: number;
  readonly atoms: number;
  /** kJ/mol, one per configuration. */
  readonly energies: Float64Array;
  /** kJ/mol, by term, one per configuration. */
  readonly terms: Readonly<Record<string, Float64Array>>;
  /** (count, N, 3), kJ/mol/nm. */
  readonly forces: Float64Array;
}

/** Energies and forces of a batch of configurations. Throws InputError for what cannot be read. */
export async function evaluateMolecule(
  file: string,
  options: EnergyOptions,
): Promise<MoleculeEnergies> {
  const molecule = await loadMolecule(file, options);
  const { forceField } = molecule;
  const solvent = options.solvent ?? molecule.solvent;
  const reference = new MoleculeEnergy(forceField, solvent); // refuses a solvent without radii
  if (options.coordinates === undefined && !molecule.positions) {
    throw new InputError("energy needs --coordinates: the file holds parameters alone");
  }
  const { count, positions } = options.coordinates === undefined
    ? { count: 1, positions: molecule.positions! }
    : await loadConfigurations(options.coordinates, forceField);
  const batch = options.backend === "reference"
    ? moleculeEnergies(reference, positions, count)
    : await kernelEnergies(options.backend, forceField, solvent, positions, count);
  const column = (k: number) =>
    Float64Array.from({ length: count }, (_, s) => batch.terms[TERMS.length * s + k]);
  const columns = TERMS.slice(0, solvent === "none" ? 4 : 5).map((_, k) => column(k));
  return {
    solvent,
    count,
    atoms: reference.atoms,
    energies: Float64Array.from(
      { length: count },
      (_, s) => columns.reduce((sum, values) => sum + values[s], 0),
    ),
    terms: Object.fromEntries(columns.map((values, k) => [TERMS[k], values])),
    forces: batch.gradients.map((g) => -g),
  };
}

async function kernelEnergies(
  backend: "wasm" | "webgpu",
  forceField: MoleculeEnergy["forceField"],
  solvent: Solvent,
  positions: Float64Array,
  count: number,
): Promise<MoleculeBatch> {
  if (backend === "webgpu") return await gpuEnergies(forceField, solvent, positions, count);
  const { loadKernels } = await import("../backends/wasm/module.ts");
  const { MoleculeKernel } = await import("../backends/wasm/molecule_energies.ts");
  return new MoleculeKernel(await loadKernels(), forceField, solvent).energies(positions, count);
}

async function gpuEnergies(
  forceField: MoleculeEnergy["forceField"],
  solvent: Solvent,
  positions: Float64Array,
  count: number,
): Promise<MoleculeBatch> {
  const { selectBackend } = await import("../backends/select.ts");
  const { GpuDevice } = await import("../backends/webgpu/device.ts");
  const { GpuKernels } = await import("../backends/webgpu/kernels.ts");
  const { GpuMolecule } = await import("../backends/webgpu/molecule.ts");
  await selectBackend("webgpu"); // refuses a machine without an adapter, with the reason
  const device = await GpuDevice.open();
  try {
    const kernel = new GpuMolecule(new GpuKernels(device), forceField, solvent);
    return await kernel.energies(positions, count);
  } catch (error) {
    if (!isGpuFailure(error)) throw error;
    throw new InputError(`${error.message}; use --backend wasm`);
  } finally {
    device.destroy();
  }
}

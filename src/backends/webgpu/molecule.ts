/** Host side of shaders/molecule_energies.wgsl: a molecule's tables, and batches of conformations. */
import type { ForceField, Solvent } from "../../config/force_field.ts";
import { TERMS } from "../../systems/molecule/energy.ts";
import { pairTable } from "../../systems/molecule/nonbonded.ts";
import { BORN_COEFFICIENTS, bornCoulomb } from "../../systems/molecule/obc.ts";
import { torsionSeries } from "../../systems/molecule/packed.ts";
import type { Softening } from "../../systems/molecule/soften.ts";
import { BORN_OFFSET, PROBE_RADIUS } from "../../systems/molecule/units.ts";
import type { MoleculeBatch } from "../reference/molecule_energies.ts";
import type { Constants } from "./constants.ts";
import { GpuError } from "./errors.ts";
import type { GpuKernels } from "./kernels.ts";

/** A molecule as the kernel reads it, kJ/mol and nm. */
export interface PackedMolecule {
  readonly table: Float32Array<ArrayBuffer>;
  readonly constants: Constants;
}

/**
 * Tables one after the other, their places as constants: bonds [i, j, r₀, k]; angles [i, j, k, θ₀,
 * constant]; torsions [i, j, k, l, M, constant, a_1, b_1, ...], all of one length; the slots of every
 * atom (N + 1 places, then the slots); q q, A, B of all ordered pairs (N, N, 3); α, β, γ and the atoms'
 * rows of the Born table (common/generalised_born.wgsl).
 */
export function packMoleculeTables(forceField: ForceField, solvent: Solvent): PackedMolecule {
  const { atoms, bonds, angles, born } = forceField;
  const N = atoms.charges.length;
  const torsions = torsionSeries(forceField.torsions);
  const orders = Math.max(1, ...torsions.map(({ series }) => series.length / 2));
  const out: number[] = [];
  const places: Record<string, number> = {};
  const begin = (name: string) => places[name] = out.length;
  begin("BONDS_AT");
  for (const [i, j, length, k] of bonds) out.push(i, j, length, k);
  begin("ANGLES_AT");
  for (const [i, j, k, equilibrium, constant] of angles) out.push(i, j, k, equilibrium, constant);
  begin("TORSIONS_AT");
  for (const { atoms, constant, series } of torsions) {
    out.push(...atoms, series.length / 2, constant, ...series);
    for (let k = series.length; k < 2 * orders; k++) out.push(0);
  }
  begin("LISTS_AT");
  const slots = slotsOfAtoms(N, [
    ...bonds.map(([i, j]) => [i, j]),
    ...angles.map(([i, j, k]) => [i, j, k]),
    ...torsions.map(({ atoms }) => atoms),
  ]);
  let listed = 0;
  for (const list of slots) {
    out.push(listed);
    listed += list.length;
  }
  out.push(listed, ...slots.flat());
  begin("PAIRS_AT");
  const pairs = new Float32Array(3 * N * N);
  const { i, j, coulomb, a, b } = pairTable(forceField);
  for (let p = 0; p < coulomb.length; p++) {
    pairs.set([coulomb[p], a[p], b[p]], 3 * (i[p] * N + j[p]));
    pairs.set([coulomb[p], a[p], b[p]], 3 * (j[p] * N + i[p]));
  }
  const bornTable: number[] = [];
  if (solvent !== "none" && born) {
    const charge = Math.sqrt(bornCoulomb(solvent, born));
    bornTable.push(...BORN_COEFFICIENTS[solvent]);
    born.radii.forEach((radius, i) => {
      const offset = radius - BORN_OFFSET;
      const s = offset * born.screens[i];
      const area = 4 * Math.PI * born.surfaceTension * (radius + PROBE_RADIUS) ** 2 * radius ** 6;
      bornTable.push(offset, 1 / offset, s, s * s, 1 / radius, atoms.charges[i] * charge, area);
    });
  }
  places.BORN_AT = out.length + pairs.length;
  const table = new Float32Array(places.BORN_AT + bornTable.length);
  table.set(out);
  table.set(pairs, out.length);
  table.set(bornTable, places.BORN_AT);
  const sizes = {
    N,
    BONDS: bonds.length,
    ANGLES: angles.length,
    TORSIONS: torsions.length,
    ORDERS: orders,
    SOLVENT: ["none", "obc1", "obc2"].indexOf(solvent),
  };
  return { table, constants: moleculeConstants(sizes, listed, places) };
}

/** For every atom the slots that gradients on it are written to: slot s belongs to the s-th atom of all terms. */
function slotsOfAtoms(particles: number, terms: readonly (readonly number[])[]): number[][] {
  const out: number[][] = Array.from({ length: particles }, () => []);
  terms.flat().forEach((atom, slot) => out[atom].push(slot));
  return out;
}

function moleculeConstants(
  sizes: Readonly<Record<string, number>>,
  slots: number,
  places: Readonly<Record<string, number>>,
): Constants {
  const { N, BONDS, ANGLES, TORSIONS } = sizes;
  const items = Math.max(N, BONDS, ANGLES, TORSIONS);
  const threads = Math.min(256, Math.max(16, 2 ** Math.ceil(Math.log2(items))));
  const regions: Record<string, number> = {};
  let workSize = 0;
  const place = (name: string, length: number) => {
    regions[name] = workSize;
    workSize += length;
  };
  for (const name of ["X", "GRADIENT"]) place(name, 3 * N);
  place("SLOTS", 3 * slots);
  for (const name of ["RADIUS", "BY_INTEGRAL", "BY_RADIUS", "CHAIN"]) place(name, N);
  const numbers = { W: threads, DIM: 3, SIZE: 3 * N, ...sizes, ...places, ...regions };
  const text = Object.entries({ ...numbers, WORK_SIZE: workSize })
    .map(([name, value]) => `const ${name}: u32 = ${value}u;`).join("\n");
  return { text, threads, workSize, tileBytes: 4 * threads };
}

/** The kernel's Job. */
function packJob(offset: number, soft: Softening | null): ArrayBuffer {
  const job = new ArrayBuffer(4 * 7);
  const kind = soft ? ["shifted", "beutler"].indexOf(soft.kind) + 1 : 0;
  const { strength, attraction, charges, bonded } = soft ??
    { strength: 0, attraction: 1, charges: 1, bonded: 1 };
  new Uint32Array(job).set([offset, 0, kind]);
  new Float32Array(job).set([strength, attraction, charges, bonded], 3);
  return job;
}

/** One molecule on a device. */
export class GpuMolecule {
  readonly #kernels: GpuKernels;
  readonly #packed: PackedMolecule;
  readonly #size: number;

  constructor(kernels: GpuKernels, forceField: ForceField, solvent: Solvent) {
    this.#kernels = kernels;
    this.#packed = packMoleculeTables(forceField, solvent);
    this.#size = 3 * forceField.atoms.charges.length;
  }

  /**
   * Energies by term and gradients of positions (count, N, 3) in nm, kJ/mol, softened where asked,
   * computed in float32. Each conformation is moved to its first atom before it is rounded.
   */
  async energies(
    positions: Float64Array,
    count: number,
    soft: Softening | null = null,
  ): Promise<MoleculeBatch> {
    const kernels = this.#kernels;
    const { device } = kernels;
    const size = this.#size;
    const width = size + TERMS.length + 1;
    const terms = new Float64Array(count * TERMS.length);
    const gradients = new Float64Array(count * size);
    const prepared = await kernels.prepare("molecule_energies", this.#packed.constants);
    const most = Math.max(1, Math.floor(device.largestBinding / (4 * width)));
    for (let from = 0; from < count; from += most) {
      const n = Math.min(most, count - from);
      const x = new Float32Array(n * size);
      for (let a = 0; a < x.length; a++) {
        const at = from * size + a;
        x[a] = positions[at] - positions[at - a % size + a % 3];
      }
      const results = device.buffer("results", n * width);
      const buffers = [
        kernels.upload("molecule", this.#packed.table),
        kernels.upload("positions", x),
        results,
      ];
      const label = `molecule_energies of ${n} conformations, ${size / 3} atoms`;
      const [all] = await device.run(
        label,
        kernels.batch(prepared, n, buffers, (offset) => packJob(offset, soft)),
        [{ buffer: results, length: n * width }],
      );
      for (let s = 0; s < n; s++) {
        const row = all.subarray(s * width, (s + 1) * width);
        if (row[width - 1] !== 1) {
          throw new GpuError(
            `${label}: the device cut loops short (${device.facts.description}); use --backend wasm`,
          );
        }
        gradients.set(row.subarray(0, size), (from + s) * size);
        terms.set(row.subarray(size, width - 1), (from + s) * TERMS.length);
      }
    }
    return { terms, gradients };
  }
}

/** Host of assembly/molecule_energies.ts: batches of conformations in, kJ/mol out. */
import type { ForceField, Solvent } from "../../config/force_field.ts";
import { TERMS } from "../../systems/molecule/energy.ts";
import { packMolecule } from "../../systems/molecule/packed.ts";
import { LANES } from "../backend.ts";
import type { MoleculeBatch } from "../reference/molecule_energies.ts";
import { fromBlocks, toBlocks } from "./julep.ts";
import type { KernelInstance } from "./module.ts";

/** Blocks in one call of the kernel: enough work for a call, little enough for the cache. */
const BLOCKS = 32;

/** One molecule in the memory of a kernel instance. */
export class MoleculeKernel {
  readonly #kernels: KernelInstance;
  readonly #size: number;
  readonly #header: number;
  readonly #x: number;
  readonly #gradient: number;
  readonly #terms: number;

  constructor(kernels: KernelInstance, forceField: ForceField, solvent: Solvent) {
    const { memory } = kernels;
    const { parameters, scratch = 0 } = packMolecule({ forceField, solvent }, 1);
    this.#kernels = kernels;
    this.#size = 3 * forceField.atoms.charges.length;
    this.#header = memory.alloc(4 * (parameters.length + scratch));
    this.#x = memory.alloc(4 * LANES * BLOCKS * this.#size);
    this.#gradient = memory.alloc(4 * LANES * BLOCKS * this.#size);
    this.#terms = memory.alloc(4 * LANES * BLOCKS * TERMS.length);
    memory.f32(this.#header, parameters.length).set(parameters);
  }

  /**
   * Energies by term and gradients of positions (count, N, 3) in nm, computed in float32. Each
   * conformation is moved to its first atom before it is rounded: far from the origin float32
   * coordinates lose their digits.
   */
  energies(positions: Float64Array, count: number): MoleculeBatch {
    const size = this.#size;
    const terms = new Float64Array(count * TERMS.length);
    const gradients = new Float64Array(count * size);
    const { memory, exports } = this.#kernels;
    const most = BLOCKS * LANES;
    for (let first = 0; first < count; first += most) {
      const here = Math.min(most, count - first);
      const blocks = Math.ceil(here / LANES);
      const x = positions.slice(first * size, (first + here) * size);
      for (let at = 0; at < x.length; at += size) {
        for (let a = size - 1; a >= 0; a--) x[at + a] -= x[at + a % 3];
      }
      toBlocks(x, here, size, memory.f32(this.#x, blocks * LANES * size));
      exports.moleculeEnergiesBatch(this.#header, this.#x, this.#gradient, this.#terms, blocks);
      const width = TERMS.length;
      fromBlocks(
        memory.f32(this.#gradient, blocks * LANES * size),
        here,
        size,
        gradients.subarray(first * size, (first + here) * size),
      );
      fromBlocks(
        memory.f32(this.#terms, blocks * LANES * width),
        here,
        width,
        terms.subarray(first * width, (first + here) * width),
      );
    }
    return { terms, gradients };
  }
}

/** The kinds of transport the device knows: their kernels, and what those are given. */
import { diffusionForm } from "./controlled_diffusion.ts";
import { itemsOf } from "./julep_items.ts";
import { schedule, scheduleLength } from "./julep_schedule.ts";
import type { GpuTransport } from "./julep_record.ts";

export interface TransportForm {
  /** Kernels of whole trajectories, and of gradients along them. */
  readonly trajectories: string;
  readonly gradient: string;
  /** Numbers of a sample in `carry`, the last of them 1 while no loop was cut. */
  readonly carryLength: number;
  /** Pieces of a trajectory of T steps, one after the other. */
  visits(T: number): number;
  schedule(times: Float64Array): Float32Array<ArrayBuffer>;
  /** Its length for T steps. */
  scheduleLength(T: number): number;
  /** What the host adds to every step's log k⁻ − log k⁺, in float64; null: nothing. */
  constants(times: Float64Array): Float64Array | null;
  /** W less the increments' sum: the prior's normalisation, where the increments lack it. */
  readonly normaliser: number;
  /** Items of the gradient, three numbers each, of samples column ... column + count − 1. */
  items(windows: Int32Array, column: number, count: number, T: number, through: boolean): number[];
  /** Items that follow one another in one workgroup. */
  together(T: number, through: boolean): number;
}

export function transportForm(transport: GpuTransport): TransportForm {
  const { system, julep } = transport;
  if (julep.diffusion) return diffusionForm(transport);
  return {
    trajectories: "julep",
    gradient: "julep_gradient",
    // State, move, |z|², whether loops ran.
    carryLength: 2 * system.particles * system.dimension + 2,
    visits: (T) => T + 1,
    schedule: (times) => schedule(julep, times),
    scheduleLength: (T) => scheduleLength(julep, T),
    constants: () => null,
    normaliser: 0,
    items: itemsOf,
    together: () => 1,
  };
}

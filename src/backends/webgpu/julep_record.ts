/**
 * Records shaders/julep.wgsl and julep_gradient.wgsl, or the comparators' kernels in their place: the
 * dispatches of trajectories and of the gradient along them, for arrays that are on the device already.
 */
import type { JulepModel } from "../../julep/model.ts";
import type { MintModel } from "../../mint/model.ts";
import type { System } from "../../systems/system.ts";
import { LANES } from "../backend.ts";
import { problemConstants } from "./constants.ts";
import type { Dispatch } from "./device.ts";
import { GpuError } from "./errors.ts";
import {
  costOfState,
  ticksAtOnce,
  turnsOf,
  turnsOfPass,
  WORK_OF_A_DISPATCH,
} from "./julep_cost.ts";
import type { GpuKernels } from "./kernels.ts";
import { type TransportForm, transportForm } from "./transport_form.ts";

/** What trajectories need of a problem, ready for the device. */
export interface GpuTransport {
  readonly system: System;
  readonly mint: MintModel;
  readonly julep: JulepModel;
}

/** Samples of one recording: `count` of them, column ... column + count − 1 of arrays with `row` samples. */
export interface Columns {
  readonly count: number;
  readonly column: number;
  readonly row: number;
}

export interface TrajectoryPlan extends Columns {
  readonly steps: number;
  readonly forward: boolean;
  readonly key: readonly [number, number];
  /** Number of the first sample, as random numbers count them. */
  readonly first: number;
  readonly keep: boolean;
}

/** Bindings 1 to 6 of julep.wgsl and controlled_diffusion.wgsl. */
export interface TrajectoryBuffers {
  readonly parameters: GPUBuffer;
  readonly prior: GPUBuffer;
  readonly schedule: GPUBuffer;
  readonly carry: GPUBuffer;
  readonly results: GPUBuffer;
  readonly kept: GPUBuffer;
}

export interface GradientPlan extends Columns {
  readonly steps: number;
  /** Items firstItem ... firstItem + items − 1 of the list behind the coefficients. */
  readonly firstItem: number;
  readonly items: number;
  /** The comparators: the gradient goes through the path. */
  readonly through: boolean;
}

/** Bindings 1 to 6 of julep_gradient.wgsl and controlled_diffusion_gradient.wgsl. */
export interface GradientBuffers {
  readonly parameters: GPUBuffer;
  readonly schedule: GPUBuffer;
  readonly kept: GPUBuffer;
  readonly coefficients: GPUBuffer;
  readonly slots: GPUBuffer;
  readonly rates: GPUBuffer;
}

/** How items are shared out: a function of their number, so that sums do not depend on the moment. */
export interface Shares {
  readonly groups: number;
  readonly perGroup: number;
}

export class JulepRecorder {
  readonly kernels: GpuKernels;
  readonly transport: GpuTransport;
  readonly form: TransportForm;
  /** Coordinates of a sample. */
  readonly size: number;
  /** Numbers of a workgroup's slot of the gradient. */
  readonly slotSize: number;

  constructor(kernels: GpuKernels, transport: GpuTransport) {
    this.kernels = kernels;
    this.transport = transport;
    this.form = transportForm(transport);
    this.size = transport.system.particles * transport.system.dimension;
    this.slotSize = Math.max(transport.julep.parameters.length, 1);
  }

  /** The kernel, and how its work is cut into dispatches. */
  async #prepare(purpose: "trajectories" | "gradient", through = false) {
    const constants = problemConstants({ ...this.transport, purpose, inputGradient: through });
    const passes = [false, true].slice(0, purpose === "gradient" ? 2 : 1)
      .map((back) => turnsOf(this.transport, constants.threads, back, through));
    const { ticks } = passes[0];
    const most = this.kernels.device.turns;
    const turns = passes.reduce((sum, pass) => sum + turnsOfPass(pass), 0);
    /** Ticks of a dispatch, where one state is too much; else all of them. */
    const slices: [number, number][] = [];
    if (turns <= most) slices.push([0, passes.length * ticks]);
    else {
      passes.forEach((pass, k) => {
        const step = ticksAtOnce(pass, most);
        for (let from = 0; from < ticks; from += step) {
          slices.push([k * ticks + from, k * ticks + Math.min(from + step, ticks)]);
        }
      });
    }
    const prepared = await this.kernels.prepare(
      this.form[purpose],
      constants,
      slices.length > 1,
    );
    return { prepared, slices, statesInTurns: Math.max(1, Math.floor(most / turns)) };
  }

  label(what: string, count: number, steps: number): string {
    const { system, julep } = this.transport;
    const net = julep.network ? `${julep.network.layers} x ${julep.network.hidden}` : "no network";
    return `${what} of ${count} samples, ${steps} steps, N = ${system.particles}, ${net}`;
  }

  /** The error of a kernel that saw its loops end early. */
  cutShort(what: string, count: number, steps: number): GpuError {
    return new GpuError(
      `${this.label(what, count, steps)}: the device cut loops short ` +
        `(${this.kernels.device.facts.description}); use --backend wasm`,
    );
  }

  /** Samples that one batch can have, a multiple of LANES: no binding may grow beyond the limit. */
  largestBatch(steps: number, keep: boolean): number {
    const perSample = Math.max(
      this.form.carryLength,
      2 * steps + 1,
      keep ? 2 * (steps + 1) * this.size : 0,
    );
    const most = Math.floor(this.kernels.device.largestBinding / (4 * perSample));
    return Math.max(LANES, Math.floor(most / LANES) * LANES);
  }

  /** Start of `carry` for samples at `start` (count, N·n). */
  carryOf(start: Float32Array, count: number): Float32Array<ArrayBuffer> {
    const { size, form: { carryLength } } = this;
    const out = new Float32Array(count * carryLength);
    for (let s = 0; s < count; s++) {
      out.set(start.subarray(s * size, (s + 1) * size), s * carryLength);
      out[(s + 1) * carryLength - 1] = 1;
    }
    return out;
  }

  async trajectories(plan: TrajectoryPlan, buffers: TrajectoryBuffers): Promise<Dispatch[]> {
    const { count, column, row, steps: T, forward, key, first, keep } = plan;
    const { kernels } = this;
    const { prepared, slices, statesInTurns } = await this.#prepare("trajectories");
    const most = Math.min(count, kernels.groupsAtOnce(prepared));
    const bound = kernels.withScratch(prepared, [
      buffers.parameters,
      buffers.prior,
      buffers.schedule,
      buffers.carry,
      buffers.results,
      buffers.kept,
    ], most);
    const visits = statesInTime(costOfState(this.transport) * most, statesInTurns);
    const all = this.form.visits(T);
    const dispatches: Dispatch[] = [];
    for (let offset = 0; offset < count; offset += most) {
      const groups = Math.min(most, count - offset);
      for (let from = 0; from < all; from += visits) {
        for (const [tickFrom, tickTo] of slices) {
          const job = Uint32Array.of(
            first + offset,
            count,
            offset,
            T,
            from,
            Math.min(from + visits, all),
            forward ? 1 : 0,
            keep ? 1 : 0,
            key[0],
            key[1],
            Math.ceil(this.size / 2),
            row,
            column,
            tickFrom,
            tickTo,
            0,
          ).buffer;
          dispatches.push({ kernel: prepared.kernel, job, buffers: bound, groups });
        }
      }
    }
    return dispatches;
  }

  /** How many workgroups share `items`. */
  async shares(items: number, T: number, through: boolean): Promise<Shares> {
    const { kernels } = this;
    const { prepared } = await this.#prepare("gradient", through);
    const most = Math.min(
      kernels.slotCount(items, this.slotSize),
      kernels.groupsAtOnce(prepared),
    );
    const together = this.form.together(T, through);
    const perGroup = Math.ceil(items / most / together) * together;
    return { perGroup, groups: Math.ceil(items / perGroup) };
  }

  /** The gradient along kept trajectories, added to the workgroups' slots and to `rates`. */
  async gradient(plan: GradientPlan, buffers: GradientBuffers): Promise<Dispatch[]> {
    const { count, column, row, steps: T, firstItem, items, through } = plan;
    if (items === 0) return [];
    const { kernels } = this;
    const { prepared, slices, statesInTurns } = await this.#prepare("gradient", through);
    const { groups, perGroup } = await this.shares(items, T, through);
    const bound = kernels.withScratch(prepared, [
      buffers.parameters,
      buffers.schedule,
      buffers.kept,
      buffers.coefficients,
      buffers.slots,
      buffers.rates,
      ...(this.transport.julep.diffusion
        ? [kernels.device.buffer("adjoints", through ? groups * this.size : 4)]
        : []),
    ], groups);
    const atOnce = statesInTime(4 * costOfState(this.transport) * groups, statesInTurns);
    const dispatches: Dispatch[] = [];
    for (let from = 0; from < perGroup; from += atOnce) {
      for (const [tickFrom, tickTo] of slices) {
        const job = Uint32Array.of(
          count,
          T,
          firstItem + items,
          firstItem,
          perGroup,
          from,
          Math.min(from + atOnce, perGroup),
          this.slotSize,
          row,
          column,
          tickFrom,
          tickTo,
          0,
        ).buffer;
        dispatches.push({ kernel: prepared.kernel, job, buffers: bound, groups });
      }
    }
    return dispatches;
  }
}

/** States of one dispatch: as many as turns of loops allow, and no more than a driver waits for. */
function statesInTime(operations: number, statesInTurns: number): number {
  return Math.max(1, Math.min(statesInTurns, Math.floor(WORK_OF_A_DISPATCH / operations)));
}

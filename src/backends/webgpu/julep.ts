/**
 * Host side of shaders/julep.wgsl and julep_gradient.wgsl, and of the comparators' kernels in their place:
 * whole trajectories in one submission, and the gradient along trajectories that stayed on the device.
 */
import { packEgnn } from "./egnn.ts";
import { type GpuTransport, JulepRecorder } from "./julep_record.ts";
import type { GpuKernels } from "./kernels.ts";
import { packPrior } from "./mint_prior.ts";

export interface TrajectoryInput {
  /** (count, N·n), in the gauge. */
  readonly start: Float32Array;
  readonly times: Float64Array;
  readonly forward: boolean;
  readonly key: readonly [number, number];
  /** Number of the first sample. */
  readonly first: number;
  readonly count: number;
  /** Name of the buffer that keeps states and forces; null: not kept. */
  readonly keepAs: string | null;
}

export interface TrajectoryOutput {
  /** (count, N·n). */
  readonly end: Float32Array;
  /** log k⁻ − log k⁺ of every step, (T, count). */
  readonly ratios: Float64Array;
  /** U_t of every state, (T + 1, count). */
  readonly energies: Float32Array;
}

/** One stored batch of trajectories on the device. */
export interface KeptBatch {
  readonly buffer: string;
  readonly count: number;
  /** Samples whose numbers all stayed finite. */
  readonly alive: Uint8Array;
}

export class GpuJulep {
  readonly #kernels: GpuKernels;
  readonly #recorder: JulepRecorder;

  constructor(kernels: GpuKernels, transport: GpuTransport) {
    this.#kernels = kernels;
    this.#recorder = new JulepRecorder(kernels, transport);
    const { mint, julep } = transport;
    kernels.upload("prior", packPrior(mint));
    if (julep.network) {
      kernels.upload("parameters", packEgnn(julep.network, julep.parameters));
    } else kernels.device.buffer("parameters", 4);
  }

  /** Samples that one batch can have, a multiple of LANES. */
  largestBatch(steps: number, keep: boolean): number {
    return this.#recorder.largestBatch(steps, keep);
  }

  /** Runs trajectories from `start` to the other end; one submission, one map. */
  async trajectories(input: TrajectoryInput): Promise<TrajectoryOutput> {
    const { start, times, forward, key, first, count, keepAs } = input;
    const kernels = this.#kernels;
    const { device } = kernels;
    const { size, form } = this.#recorder;
    const { carryLength } = form;
    const T = times.length - 1;
    const carry = kernels.upload("carry", this.#recorder.carryOf(start, count));
    const results = device.buffer("results", (2 * T + 1) * count);
    const dispatches = await this.#recorder.trajectories(
      { count, column: 0, row: count, steps: T, forward, key, first, keep: keepAs !== null },
      {
        parameters: device.buffer("parameters", 4),
        prior: device.buffer("prior", 4),
        schedule: kernels.upload("schedule", form.schedule(times)),
        carry,
        results,
        kept: keepAs
          ? device.buffer(keepAs, 2 * (T + 1) * count * size)
          : device.buffer("nothing kept", 4),
      },
    );
    const direction = forward ? "forward" : "backward";
    const [ends, numbers] = await device.run(
      this.#recorder.label(`${form.trajectories} (${direction} trajectories)`, count, T),
      dispatches,
      [
        { buffer: carry, length: count * carryLength },
        { buffer: results, length: (2 * T + 1) * count },
      ],
    );
    const end = new Float32Array(count * size);
    for (let s = 0; s < count; s++) {
      if (ends[(s + 1) * carryLength - 1] !== 1) {
        throw this.#recorder.cutShort(form.trajectories, count, T);
      }
      end.set(ends.subarray(s * carryLength, s * carryLength + size), s * size);
    }
    const constants = form.constants(times);
    return {
      end,
      ratios: Float64Array.from(
        numbers.subarray(0, T * count),
        (ratio, q) => ratio + (constants?.[Math.floor(q / count)] ?? 0),
      ),
      energies: numbers.subarray(T * count),
    };
  }

  /**
   * Gradient along one kept batch: ∂loss/∂parameters, and ∂loss/∂log ε added to `stepGradient` (T).
   *
   * @param coefficients (T, count), for the network; stepCoefficients alike, for ε
   * @param windows first step and number of steps for every block of LANES samples
   * @param through a comparator's gradient through the path (GradientJob.throughPath)
   */
  async gradient(
    batch: KeptBatch,
    times: Float64Array,
    coefficients: Float64Array,
    stepCoefficients: Float64Array,
    windows: Int32Array,
    stepGradient: Float64Array,
    through: boolean,
  ): Promise<Float32Array> {
    const kernels = this.#kernels;
    const { device } = kernels;
    const { count, alive } = batch;
    const T = times.length - 1;
    const { julep } = this.#recorder.transport;
    const { slotSize, form } = this.#recorder;
    const items = form.items(windows, 0, count, T, through);
    const total = items.length / 3;
    if (total === 0) return new Float32Array(julep.parameters.length);
    const { groups } = await this.#recorder.shares(total, T, through);
    const inputs = new Float32Array((2 * T + 1) * count + items.length);
    inputs.set(coefficients.map((c) => Number.isFinite(c) ? c : 0));
    inputs.set(stepCoefficients.map((c) => Number.isFinite(c) ? c : 0), T * count);
    inputs.set(alive, 2 * T * count);
    inputs.set(items, (2 * T + 1) * count);
    const slots = device.buffer("slots", groups * slotSize);
    const sums = device.buffer("sums", slotSize);
    const rates = device.buffer("rates", 2 * T * count + groups);
    const dispatches = await this.#recorder.gradient(
      { count, column: 0, row: count, steps: T, firstItem: 0, items: total, through },
      {
        parameters: device.buffer("parameters", 4),
        schedule: kernels.upload("schedule", form.schedule(times)),
        kept: device.buffer(batch.buffer, 4),
        coefficients: kernels.upload("coefficients", inputs),
        slots,
        rates,
      },
    );
    dispatches.push(await kernels.reduction(slots, groups, slotSize, sums));
    const [gradient, byStep] = await device.run(
      this.#recorder.label(form.gradient, count, T),
      [{ clear: slots }, { clear: rates }, ...dispatches],
      [{ buffer: sums, length: slotSize }, { buffer: rates, length: 2 * T * count + groups }],
    );
    if (byStep.subarray(2 * T * count).some((cut) => cut !== 0)) {
      throw this.#recorder.cutShort(form.gradient, count, T);
    }
    for (let q = 0; q < T * count; q++) {
      stepGradient[Math.floor(q / count)] += byStep[q] + byStep[T * count + q];
    }
    return gradient.subarray(0, julep.parameters.length);
  }
}

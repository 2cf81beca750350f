/**
 * Julep's training on the device: parameters, Adam's moments, trajectories and gradients stay there, and
 * the iterations of a job are recorded together, with one read-back of their figures at the end. The
 * reference is JulepTraining.step (src/julep/train.ts) on the float64 backend.
 *
 * An iteration: step_sizes → julep → log_variance → julep_gradient → reduce → gradient_norm → adam. The
 * comparators have their own kernels and no step_sizes; PIS has reverse_divergence for its loss.
 */
import { stepKnots } from "../../julep/schedule.ts";
import { Stream, streamKey } from "../../math/random.ts";
import type { TrainJob, TrainResult } from "../train_job.ts";
import { lossConstants, normConstants, plainConstants } from "./constants.ts";
import type { Command, Copy } from "./device.ts";
import { packEgnn, transposedPlaces } from "./egnn.ts";
import { type GpuTransport, JulepRecorder } from "./julep_record.ts";
import type { GpuKernels } from "./kernels.ts";
import { packPrior } from "./mint_prior.ts";

/** Bytes of what iterations of one submission are given; more of them are submitted in turn. */
const PLAN_BYTES = 2 ** 24;
/** Numbers of an iteration in `history` before those of its samples and groups. */
const FIGURES = 8;

/** What the host gives an iteration, in the order it stands in the plan's buffer. */
interface Iteration {
  /** Number in the job. */
  readonly k: number;
  readonly carry: Float32Array;
  /** null: the one before had the same times. */
  readonly schedule: Float32Array | null;
  /** Items of every batch of samples. */
  readonly items: readonly number[][];
}

/** Samples of a batch, whose states stand in a buffer of their own. */
interface Batch {
  readonly column: number;
  readonly count: number;
}

interface TrainingBuffers {
  /** (4, F), see TrainJob. */
  readonly state: GPUBuffer;
  /** The network's parameters as its kernels read them. */
  readonly packed: GPUBuffer;
  readonly places: GPUBuffer;
  readonly corrections: GPUBuffer;
  readonly schedule: GPUBuffer;
  readonly prior: GPUBuffer;
  readonly carry: GPUBuffer;
  readonly results: GPUBuffer;
  /** Of every batch. */
  readonly kept: readonly GPUBuffer[];
  readonly coefficients: GPUBuffer;
  readonly slots: GPUBuffer;
  readonly rates: GPUBuffer;
  readonly gradient: GPUBuffer;
  readonly factors: GPUBuffer;
  readonly history: GPUBuffer;
}

const sizeOf = ({ carry, schedule, items }: Iteration) =>
  carry.length + (schedule?.length ?? 0) + items.reduce((sum, own) => sum + own.length, 0);

export class GpuTraining {
  readonly #kernels: GpuKernels;
  readonly #recorder: JulepRecorder;
  /** What `training state` holds on the device. */
  #held: Float32Array | null = null;

  constructor(kernels: GpuKernels, transport: GpuTransport) {
    this.#kernels = kernels;
    this.#recorder = new JulepRecorder(kernels, transport);
  }

  /**
   * The iterations of a job. Throws DeviceLostError, GpuError; the state is then that of the job.
   *
   * @param starts positions (count, N·n) of samples first ... first + count − 1, in the gauge
   */
  async run(
    job: TrainJob,
    starts: (first: number, count: number) => Float32Array,
  ): Promise<TrainResult> {
    const buffers = this.#buffers(job);
    const held = this.#held;
    this.#held = null;
    this.#upload(job, held);
    this.#kernels.upload("training corrections", Float32Array.from(job.corrections));
    const { device } = this.#kernels;
    const label = this.#recorder.label(
      `training (${job.iterations} iterations)`,
      job.count,
      job.times.length / job.iterations - 1,
    );
    let pending: Iteration[] = [];
    let numbers = 0;
    const first: Command[] = [{ clear: buffers.factors }];
    const submit = async (reads: Parameters<typeof device.run>[2]) => {
      const commands = [...first.splice(0), ...await this.#record(job, pending)];
      pending = [];
      numbers = 0;
      return await device.run(label, commands, reads);
    };
    for (let k = 0; k < job.iterations; k++) {
      const next = this.#plan(job, k, pending.length === 0, starts);
      if (pending.length > 0 && 4 * (numbers + sizeOf(next)) > PLAN_BYTES) await submit([]);
      pending.push(next);
      numbers += sizeOf(next);
    }
    const row = this.#row(job);
    const [history, state] = await submit([
      { buffer: buffers.history, length: job.iterations * row },
      { buffer: buffers.state, length: job.state.length },
    ]);
    const result = this.#result(job, history, state);
    this.#held = state.slice();
    return result;
  }

  /** Numbers of an iteration in `history`. */
  #row({ count, groups }: TrainJob): number {
    return FIGURES + count + groups + 1;
  }

  #steps({ times, iterations }: TrainJob): number {
    return times.length / iterations - 1;
  }

  #batches({ count }: TrainJob, T: number): Batch[] {
    const most = this.#recorder.largestBatch(T, true);
    const batches: Batch[] = [];
    for (let column = 0; column < count; column += most) {
      batches.push({ column, count: Math.min(most, count - column) });
    }
    return batches;
  }

  /** All buffers of a job: made before anything is recorded, because one that grows is another one. */
  #buffers(job: TrainJob): TrainingBuffers {
    const { device } = this.#kernels;
    const { size, form, slotSize, transport: { julep } } = this.#recorder;
    const { count: S } = job;
    const T = this.#steps(job);
    const items = S * (T + 1);
    const groups = this.#kernels.slotCount(items, slotSize);
    return {
      state: device.buffer("training state", job.state.length),
      packed: device.buffer("training parameters", 2 * julep.parameters.length),
      places: device.buffer("training places", julep.parameters.length),
      corrections: device.buffer("training corrections", job.corrections.length),
      schedule: device.buffer("training schedule", form.scheduleLength(T) + 2 * T),
      prior: device.buffer("prior", 4),
      carry: device.buffer("training carry", S * form.carryLength),
      results: device.buffer("training results", (2 * T + 1) * S),
      kept: this.#batches(job, T).map(({ count }, b) =>
        device.buffer(`training kept ${b}`, 2 * (T + 1) * count * size)
      ),
      coefficients: device.buffer("training coefficients", (2 * T + 1) * S + 3 * items),
      slots: device.buffer("training slots", groups * slotSize),
      rates: device.buffer("training rates", 2 * T * S + groups),
      gradient: device.buffer("training gradient", job.state.length / 4 + 1),
      factors: device.buffer("training factors", 4),
      history: device.buffer("training history", job.iterations * this.#row(job)),
    };
  }

  /** Puts the job's state on the device, unless it is there. */
  #upload({ state }: TrainJob, held: Float32Array | null): void {
    if (held && sameBits(held, state)) return;
    const kernels = this.#kernels;
    const { mint, julep: { network, parameters } } = this.#recorder.transport;
    kernels.upload("prior", packPrior(mint));
    kernels.upload("training state", new Float32Array(state));
    if (network) {
      kernels.upload("training places", transposedPlaces(network));
      const own = state.subarray(0, parameters.length);
      kernels.upload("training parameters", packEgnn(network, own));
    }
  }

  /** The gradient goes through the path. */
  get #through(): boolean {
    return this.#recorder.transport.julep.diffusion?.kind === "pis";
  }

  #times({ times, iterations }: TrainJob, k: number): Float64Array {
    const T1 = times.length / iterations;
    return times.subarray(k * T1, (k + 1) * T1);
  }

  #plan(
    job: TrainJob,
    k: number,
    opens: boolean,
    starts: (first: number, count: number) => Float32Array,
  ): Iteration {
    const { form, transport: { julep } } = this.#recorder;
    const T = this.#steps(job);
    const times = this.#times(job, k);
    const before = k > 0 && !opens ? this.#times(job, k - 1) : null;
    const blocks = job.windows.length / job.iterations;
    const windows = job.windows.subarray(k * blocks, (k + 1) * blocks);
    return {
      k,
      carry: this.#recorder.carryOf(starts(job.first + k * job.stride, job.count), job.count),
      schedule: before?.every((t, i) => t === times[i])
        ? null
        : joined(form.schedule(times), stepKnots(julep.logStepSize.length, times)),
      items: this.#batches(job, T).map(({ column, count }) =>
        form.items(windows, column, count, T, this.#through)
      ),
    };
  }

  async #record(job: TrainJob, iterations: readonly Iteration[]): Promise<Command[]> {
    const kernels = this.#kernels;
    const plan = new Float32Array(iterations.reduce((sum, own) => sum + sizeOf(own), 0));
    const buffers = this.#buffers(job);
    const planBuffer = kernels.device.buffer("training plan", plan.length);
    let at = 0;
    /** Puts numbers into the plan, and the command that brings them to their place. */
    const give = (numbers: ArrayLike<number>, to: GPUBuffer, toAt: number): Copy => {
      plan.set(numbers, at);
      const copy = { from: planBuffer, at, to, toAt, length: numbers.length };
      at += numbers.length;
      return copy;
    };
    const commands: Command[] = [];
    for (const iteration of iterations) {
      const T = this.#steps(job);
      commands.push(give(iteration.carry, buffers.carry, 0));
      if (iteration.schedule) commands.push(give(iteration.schedule, buffers.schedule, 0));
      let place = (2 * T + 1) * job.count;
      for (const items of iteration.items) {
        commands.push(give(items, buffers.coefficients, place));
        place += items.length;
      }
      commands.push({ clear: buffers.slots }, { clear: buffers.rates });
      commands.push(...await this.#iteration(job, iteration, buffers));
    }
    kernels.device.write(planBuffer, plan);
    return commands;
  }

  /** The dispatches of one iteration. */
  async #iteration(
    job: TrainJob,
    { k, items }: Iteration,
    buffers: TrainingBuffers,
  ): Promise<Command[]> {
    const kernels = this.#kernels;
    const recorder = this.#recorder;
    const { form, transport: { julep } } = recorder;
    const P = julep.parameters.length;
    const K = julep.logStepSize.length;
    const S = job.count;
    const T = this.#steps(job);
    const row = k * this.#row(job);
    const grid = form.scheduleLength(T);
    const commands: Command[] = [];
    if (!julep.diffusion) {
      commands.push({
        kernel: await kernels.device.kernel("step_sizes", plainConstants, "buffer"),
        job: Uint32Array.of(T, P, grid).buffer,
        buffers: [buffers.state, buffers.schedule],
        groups: Math.ceil(T / 64),
      });
    }
    const batches = this.#batches(job, T);
    for (const [b, { column, count }] of batches.entries()) {
      commands.push(
        ...await recorder.trajectories({
          count,
          column,
          row: S,
          steps: T,
          forward: true,
          key: streamKey(job.seed, Stream.forward),
          first: job.first + k * job.stride + column,
          keep: true,
        }, { ...buffers, parameters: buffers.packed, kept: buffers.kept[b] }),
      );
    }
    commands.push(await this.#loss(job, row, buffers));
    let firstItem = 0;
    let slots = 0;
    for (const [b, { column, count }] of batches.entries()) {
      const total = items[b].length / 3;
      const through = this.#through;
      const plan = { count, column, row: S, steps: T, firstItem, items: total, through };
      commands.push(
        ...await recorder.gradient(plan, {
          ...buffers,
          parameters: buffers.packed,
          kept: buffers.kept[b],
        }),
      );
      if (total > 0) slots = Math.max(slots, (await recorder.shares(total, T, through)).groups);
      firstItem += total;
    }
    if (P > 0) commands.push(await kernels.reduction(buffers.slots, slots, P, buffers.gradient));
    const norm = await kernels.prepare("gradient_norm", normConstants(T));
    const normJob = new ArrayBuffer(40);
    new Uint32Array(normJob).set([S, T, P, K, grid, row, slots, Number(job.learnStepSize)]);
    new Float32Array(normJob)[8] = job.gradientClip;
    commands.push({
      kernel: norm.kernel,
      job: normJob,
      buffers: kernels.withScratch(norm, [
        buffers.rates,
        buffers.schedule,
        buffers.gradient,
        buffers.factors,
        buffers.history,
      ], 1),
      groups: 1,
    });
    const adamJob = new ArrayBuffer(20);
    new Uint32Array(adamJob).set([P + K, P]);
    new Float32Array(adamJob).set([job.rates[2 * k], job.rates[2 * k + 1], job.averaging[k]], 2);
    commands.push({
      kernel: await kernels.device.kernel("adam", plainConstants, "buffer"),
      job: adamJob,
      buffers: [
        buffers.gradient,
        buffers.factors,
        buffers.corrections,
        buffers.places,
        buffers.state,
        buffers.packed,
      ],
      groups: Math.ceil((P + K) / 64),
    });
    return commands;
  }

  async #loss(
    job: TrainJob,
    row: number,
    buffers: TrainingBuffers,
  ): Promise<Command> {
    const kernels = this.#kernels;
    const { carryLength } = this.#recorder.form;
    const name = this.#through ? "reverse_divergence" : "log_variance";
    const loss = await kernels.prepare(name, lossConstants(job.count));
    const lossJob = new ArrayBuffer(32);
    const integers = new Uint32Array(lossJob);
    integers.set([job.count, this.#steps(job), job.groups, row]);
    if (this.#through) integers[4] = carryLength;
    else {
      integers[6] = carryLength;
      new Float32Array(lossJob).set([job.tilt, job.scale], 4);
    }
    const groups = this.#through ? 1 : job.groups + 1;
    return {
      kernel: loss.kernel,
      job: lossJob,
      buffers: kernels.withScratch(
        loss,
        [buffers.results, buffers.carry, buffers.coefficients, buffers.history],
        groups,
      ),
      groups,
    };
  }

  #result(job: TrainJob, history: Float32Array, state: Float32Array): TrainResult {
    const { iterations, count, groups } = job;
    const row = this.#row(job);
    const result = {
      state,
      losses: new Float64Array(iterations),
      gradientNorms: new Float64Array(iterations),
      dropped: new Int32Array(iterations),
      updated: new Int32Array(iterations),
      logWeights: new Float64Array(iterations * count),
    };
    for (let k = 0; k < iterations; k++) {
      const own = history.subarray(k * row, (k + 1) * row);
      const T = this.#steps(job);
      const { form } = this.#recorder;
      if (own[4] !== 0) throw this.#recorder.cutShort(form.trajectories, count, T);
      if (own[5] !== 0) throw this.#recorder.cutShort(form.gradient, count, T);
      const constant = form.constants(this.#times(job, k))?.reduce((sum, c) => sum + c, 0) ?? 0;
      result.gradientNorms[k] = own[0];
      result.updated[k] = own[2];
      result.dropped[k] = own[3];
      own.subarray(FIGURES, FIGURES + count).forEach((W, s) => {
        result.logWeights[k * count + s] = Number.isFinite(W)
          ? W + constant + form.normaliser
          : -Infinity;
      });
      const variances = own.subarray(FIGURES + count, FIGURES + count + groups);
      result.losses[k] = variances.reduce((sum, variance) => sum + variance, 0);
      // Mean −W in place of a variance: it has the steps' constants.
      if (this.#through && result.dropped[k] < count) result.losses[k] -= constant;
    }
    return result;
  }
}

function joined(a: Float32Array, b: ArrayLike<number>): Float32Array {
  const out = new Float32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [left, right] = [a, b].map((x) => new Uint32Array(x.buffer, x.byteOffset, x.length));
  return left.length === right.length && left.every((bits, i) => bits === right[i]);
}

/** The kernels one by one, for batches the host holds: what the conformance suite and bench:gpu call. */
import type { NetworkShape } from "../../julep/model.ts";
import type { MintModel } from "../../mint/model.ts";
import type { System } from "../../systems/system.ts";
import {
  type Constants,
  plainConstants,
  type ProblemConstants,
  problemConstants,
  type Purpose,
} from "./constants.ts";
import type { Dispatch, GpuDevice, Kernel } from "./device.ts";
import { packEgnn } from "./egnn.ts";
import { packPrior } from "./mint_prior.ts";

/** A kernel made for a problem, with its scratch where it fits. */
export interface PreparedKernel<C extends Constants = Constants> {
  readonly kernel: Kernel;
  readonly constants: C;
  readonly scratch: "workgroup" | "buffer";
}

export class GpuKernels {
  readonly device: GpuDevice;

  constructor(device: GpuDevice) {
    this.device = device;
  }

  /** Slots of a gradient over `items`: enough workgroups for a device, never more than 64 MiB. */
  slotCount(items: number, slotSize: number): number {
    const bytes = Math.min(2 ** 26, this.device.largestBinding);
    return Math.max(1, Math.min(items, 512, Math.floor(bytes / 4 / slotSize)));
  }

  /**
   * Compiles a kernel for constants; its scratch goes to workgroup memory where there is room.
   *
   * @param lasting its scratch must outlive a dispatch
   */
  async prepare<C extends Constants>(
    name: string,
    constants: C,
    lasting = false,
  ): Promise<PreparedKernel<C>> {
    const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } =
      this.device.limits;
    if (constants.threads > maxComputeInvocationsPerWorkgroup) {
      throw new Error(`the device runs ${maxComputeInvocationsPerWorkgroup} threads together`);
    }
    const inside = 4 * constants.workSize + constants.tileBytes + 256 <=
      maxComputeWorkgroupStorageSize;
    const scratch = inside && !lasting ? "workgroup" : "buffer";
    const kernel = await this.device.kernel(name, constants.text, scratch);
    return { kernel, constants, scratch };
  }

  /** Workgroups that one dispatch of the kernel can have. */
  groupsAtOnce({ constants, scratch }: PreparedKernel): number {
    const most = this.device.limits.maxComputeWorkgroupsPerDimension;
    if (scratch === "workgroup") return most;
    return Math.min(most, Math.floor(this.device.largestBinding / (4 * constants.workSize)));
  }

  /** The buffers of a dispatch with the scratch after them, where it is a buffer. */
  withScratch(prepared: PreparedKernel, buffers: GPUBuffer[], groups: number): GPUBuffer[] {
    if (prepared.scratch === "workgroup") return buffers;
    const { kernel, constants } = prepared;
    // Its own for each kernel: one that grew would take away what recorded commands are bound to.
    return [...buffers, this.device.buffer(`${kernel.name} work`, groups * constants.workSize)];
  }

  /** Dispatches that take `count` systems, as many at a time as the scratch allows. */
  batch(
    prepared: PreparedKernel,
    count: number,
    buffers: GPUBuffer[],
    job: (offset: number) => ArrayBuffer,
  ): Dispatch[] {
    const most = Math.min(count, this.groupsAtOnce(prepared));
    const all = this.withScratch(prepared, buffers, most);
    const out: Dispatch[] = [];
    for (let offset = 0; offset < count; offset += most) {
      const groups = Math.min(most, count - offset);
      out.push({ kernel: prepared.kernel, job: job(offset), buffers: all, groups });
    }
    return out;
  }

  /** A buffer that holds these numbers. */
  upload(name: string, numbers: Float32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.device.buffer(name, numbers.length);
    this.device.write(buffer, numbers);
    return buffer;
  }

  /** Words and normals (in one float and in two) of counters (sample, first ...), two each. */
  async threefry(key: readonly [number, number], sample: number, first: number, count: number) {
    const kernel = await this.device.kernel("threefry", plainConstants, "buffer");
    const words = this.device.buffer("words", 2 * count);
    const numbers = this.device.buffer("numbers", 2 * count);
    const fine = this.device.buffer("fine numbers", 4 * count);
    const job = Uint32Array.of(key[0], key[1], sample, first, count, 0).buffer;
    const [w, normals, parts] = await this.device.run(
      `threefry of ${count} counters`,
      [{ kernel, job, buffers: [words, numbers, fine], groups: Math.ceil(count / 64) }],
      [
        { buffer: words, length: 2 * count },
        { buffer: numbers, length: 2 * count },
        { buffer: fine, length: 4 * count },
      ],
    );
    const fineNormals = Float64Array.from({ length: 2 * count }, (_, k) => {
      const at = 4 * (k >> 1) + (k & 1);
      return parts[at] + parts[at + 2];
    });
    return { words: new Uint32Array(w.buffer), normals, fineNormals };
  }

  /** U_t and ∂U_t/∂x of positions (count, N, n). */
  async pairEnergies(system: System, positions: Float32Array, count: number, t: number) {
    const constants = problemConstants({
      system,
      mint: null,
      julep: null,
      purpose: "trajectories",
    });
    const prepared = await this.prepare("pair_energies", constants);
    return await this.#potential(prepared, [], system, positions, count, (offset) => {
      const job = new ArrayBuffer(8);
      new Float32Array(job)[0] = t;
      new Uint32Array(job)[1] = offset;
      return job;
    });
  }

  /** log q and ∂log q/∂x of positions (count, N, n). */
  async mintPrior(mint: MintModel, positions: Float32Array, count: number) {
    const { particles, dimension } = mint;
    const system = { particles, dimension, pairKernel: { kind: 0 as const, parameters: [] } };
    const constants = problemConstants({ system, mint, julep: null, purpose: "trajectories" });
    const prepared = await this.prepare("mint_prior", constants);
    const prior = this.upload("prior", packPrior(mint));
    return await this.#potential(
      prepared,
      [prior],
      system,
      positions,
      count,
      (offset) => Uint32Array.of(offset).buffer,
    );
  }

  /** The pair drift of positions (count, N, n) with one table of g, `width` apart: (count, N, n). */
  async pairVelocity(
    { N, n, table, width }: { N: number; n: 2 | 3; table: ArrayLike<number>; width: number },
    positions: Float32Array,
    count: number,
  ): Promise<Float32Array> {
    const system = { particles: N, dimension: n, pairKernel: { kind: 0 as const, parameters: [] } };
    const constants = problemConstants({
      system,
      mint: null,
      julep: null,
      purpose: "trajectories",
      drift: { cells: table.length - 1, width },
    });
    const prepared = await this.prepare("pair_velocity", constants);
    const { gradients } = await this.#potential(
      prepared,
      [this.upload("schedule", Float32Array.from(table))],
      system,
      positions,
      count,
      (offset) => Uint32Array.of(offset, 0).buffer,
    );
    return gradients;
  }

  async #potential(
    prepared: PreparedKernel,
    before: GPUBuffer[],
    { particles, dimension }: Pick<System, "particles" | "dimension">,
    positions: Float32Array,
    count: number,
    job: (offset: number) => ArrayBuffer,
  ): Promise<{ values: Float32Array; gradients: Float32Array }> {
    const size = particles * dimension;
    const values = new Float32Array(count);
    const gradients = new Float32Array(count * size);
    const most = Math.max(1, Math.floor(this.device.largestBinding / (4 * (size + 1))));
    for (let from = 0; from < count; from += most) {
      const n = Math.min(most, count - from);
      const x = this.upload("positions", positions.slice(from * size, (from + n) * size));
      const results = this.device.buffer("results", n * (size + 1));
      const [all] = await this.device.run(
        `${prepared.kernel.name} of ${n} systems, N = ${particles}, n = ${dimension}`,
        this.batch(prepared, n, [...before, x, results], job),
        [{ buffer: results, length: n * (size + 1) }],
      );
      for (let s = 0; s < n; s++) {
        const at = s * (size + 1);
        gradients.set(all.subarray(at, at + size), (from + s) * size);
        values[from + s] = all[at + size];
      }
    }
    return { values, gradients };
  }

  async #network(
    name: string,
    shape: NetworkShape,
    purpose: Purpose,
  ): Promise<PreparedKernel<ProblemConstants>> {
    const system = { ...shape, pairKernel: { kind: 0 as const, parameters: [] } };
    const julep = {
      gauge: "centre_of_mass" as const,
      forceClip: null,
      network: shape,
      drift: true,
      evenDrift: true,
      matrix: shape.channels > 0 ? "signed" as const : "none" as const,
    };
    return await this.prepare(
      name,
      problemConstants({ system, mint: null, julep, purpose }),
    );
  }

  /** b, c, h, s of states (positions N·n, then time), (count, outputs) in that order. */
  async egnn(
    shape: NetworkShape,
    parameters: ArrayLike<number>,
    states: Float32Array<ArrayBuffer>,
    count: number,
  ): Promise<{ outputs: Float32Array; width: number }> {
    const prepared = await this.#network("egnn", shape, "trajectories");
    const { outputs: width } = prepared.constants;
    const buffers = [
      this.upload("parameters", packEgnn(shape, parameters)),
      this.upload("states", states),
      this.device.buffer("results", count * width),
    ];
    const [outputs] = await this.device.run(
      `egnn of ${count} states, N = ${shape.particles}, H = ${shape.hidden}`,
      this.batch(prepared, count, buffers, (offset) => Uint32Array.of(offset).buffer),
      [{ buffer: buffers[2], length: count * width }],
    );
    return { outputs, width };
  }

  /** Gradient by the parameters; `states` holds positions, time and adjoints of every state. */
  async egnnBackward(
    shape: NetworkShape,
    parameters: ArrayLike<number>,
    states: Float32Array<ArrayBuffer>,
    count: number,
  ): Promise<Float32Array> {
    const prepared = await this.#network("egnn_backward", shape, "gradient");
    const { size } = prepared.constants.network;
    const most = Math.min(this.slotCount(count, size), this.groupsAtOnce(prepared));
    const perGroup = Math.ceil(count / most);
    const groups = Math.ceil(count / perGroup);
    const slots = this.device.buffer("slots", groups * size);
    const sums = this.device.buffer("sums", size);
    const buffers = this.withScratch(prepared, [
      this.upload("parameters", packEgnn(shape, parameters)),
      this.upload("states", states),
      slots,
    ], groups);
    const job = Uint32Array.of(count, perGroup, size).buffer;
    const [gradient] = await this.device.run(
      `egnn_backward of ${count} states, N = ${shape.particles}, H = ${shape.hidden}`,
      [
        { kernel: prepared.kernel, job, buffers, groups },
        await this.reduction(slots, groups, size, sums),
      ],
      [{ buffer: sums, length: size }],
      [slots],
    );
    return gradient;
  }

  /** The dispatch that adds `groups` slots of `size` numbers. */
  async reduction(
    slots: GPUBuffer,
    groups: number,
    size: number,
    sums: GPUBuffer,
  ): Promise<Dispatch> {
    const kernel = await this.device.kernel("reduce", plainConstants, "buffer");
    const job = Uint32Array.of(size, groups).buffer;
    return { kernel, job, buffers: [slots, sums], groups: Math.ceil(size / 64) };
  }

  /** matrix_exponential.wgsl on a batch; inputs and results as its bindings say. */
  async matrixExponential(
    shape: { particles: number; dimension: 2 | 3; channels: number },
    inputs: Float32Array<ArrayBuffer>,
    count: number,
    tau: number,
  ): Promise<Float32Array> {
    const { particles: N, dimension: n, channels: C } = shape;
    // The scratch of the network is larger than what this kernel keeps.
    const network = { ...shape, layers: 1, hidden: 8, lengthScale: 1, anchored: false };
    const prepared = await this.#network("matrix_exponential", network, "gradient");
    const length = count * (N * n + N * C + C + 1);
    const results = this.device.buffer("results", length);
    const [out] = await this.device.run(
      `matrix_exponential of ${count} systems, N = ${N}, C = ${C}`,
      [{
        kernel: prepared.kernel,
        job: Float32Array.of(tau, 0).buffer,
        buffers: this.withScratch(prepared, [this.upload("inputs", inputs), results], count),
        groups: count,
      }],
      [{ buffer: results, length }],
    );
    return out;
  }
}

/**
 * The owner of the GPU device: compiles kernels once, keeps buffers by name, records work in one
 * command buffer, reads back in one map, and turns every way of failing into a thrown error.
 */
import { type AdapterFacts, adapterLimits, findAdapter } from "./adapter.ts";
import { DeviceLostError, GpuError } from "./errors.ts";
import { composeShader, type ShaderBinding } from "./shader.ts";

/** Jobs of the dispatches of one command buffer stand at multiples of this in the uniform buffer. */
const UNIFORM_STRIDE = 256;

export interface DeviceOptions {
  /** Keep to WebGPU's default limits, as on a device that offers no more. */
  readonly defaultLimits?: boolean;
  /** Bytes of a binding at most, as on a device with less. */
  readonly largestBinding?: number;
  /** Turns of loops that a thread may take in one dispatch, as on a device that stops them. */
  readonly turns?: number;
  /** Changes the text of a kernel before it is compiled: for tests of the tests. */
  readonly mutate?: (kernel: string, code: string) => string;
}

/** A compiled kernel. */
export interface Kernel {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly bindings: readonly ShaderBinding[];
}

/** Turns of loops in one dispatch at most, below the 65535 of llvmpipe. */
const TURNS_IN_SOFTWARE = 50000;

/** One dispatch. */
export interface Dispatch {
  readonly kernel: Kernel;
  /** The job's fields as they stand in the kernel's structure. */
  readonly job: ArrayBuffer;
  /** Buffers of bindings 1, 2, ... */
  readonly buffers: readonly GPUBuffer[];
  readonly groups: number;
}

/** A copy between buffers, in numbers of four bytes. */
export interface Copy {
  readonly from: GPUBuffer;
  readonly at: number;
  readonly to: GPUBuffer;
  readonly toAt: number;
  readonly length: number;
}

/** Sets a buffer to zero. */
export interface Clear {
  readonly clear: GPUBuffer;
}

/** What a command buffer is made of, in its order. */
export type Command = Dispatch | Copy | Clear;

/** A range of a buffer to bring back as float32. */
export interface ReadBack {
  readonly buffer: GPUBuffer;
  /** In numbers of four bytes. */
  readonly offset?: number;
  readonly length: number;
}

export class GpuDevice {
  readonly facts: AdapterFacts;
  readonly #device: GPUDevice;
  readonly #kernels = new Map<string, Promise<Kernel>>();
  readonly #buffers = new Map<string, GPUBuffer>();
  readonly #mutate: DeviceOptions["mutate"];
  readonly #most: number;
  /** Turns of loops that a thread may take in one dispatch. */
  readonly turns: number;
  #lost: string | null = null;
  #fault: string | null = null;
  #destroyed = false;

  private constructor(device: GPUDevice, facts: AdapterFacts, options: DeviceOptions) {
    this.#device = device;
    this.facts = facts;
    this.#mutate = options.mutate;
    this.#most = options.largestBinding ?? Infinity;
    this.turns = options.turns ?? (facts.software ? TURNS_IN_SOFTWARE : Infinity);
    device.lost.then(({ reason, message }) => {
      this.#lost = `${reason || "unknown"}${message ? `: ${message}` : ""}`;
    });
    device.addEventListener("uncapturederror", (event) => {
      (event as Event).preventDefault();
      this.#fault ??= (event as GPUUncapturedErrorEvent).error.message;
    });
  }

  /** Throws GpuError with the reason where there is no adapter or it gives no device. */
  static async open(options: DeviceOptions = {}): Promise<GpuDevice> {
    const found = await findAdapter();
    if (found.adapter === null) throw new GpuError(`no GPU adapter: ${found.reason}`);
    const requiredLimits: Record<string, number> = {};
    if (!options.defaultLimits) {
      for (const name of adapterLimits) requiredLimits[name] = found.facts.limits[name];
    }
    const device = await found.adapter.requestDevice({ label: "mintjulep", requiredLimits });
    return new GpuDevice(device, found.facts, options);
  }

  get limits(): GPUSupportedLimits {
    return this.#device.limits;
  }

  /** True once the device is gone. */
  get lost(): boolean {
    return this.#lost !== null;
  }

  /** Bytes that one storage binding may have. */
  get largestBinding(): number {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize, this.#most);
  }

  /** The kernel of a file in shaders/ for these constants; compiled once for each text. */
  kernel(name: string, constants: string, scratch: "workgroup" | "buffer"): Promise<Kernel> {
    const shader = composeShader(name, constants, scratch);
    const code = this.#mutate ? this.#mutate(name, shader.code) : shader.code;
    const known = this.#kernels.get(code);
    if (known) return known;
    const made = this.#compile(name, code, shader.bindings);
    this.#kernels.set(code, made);
    return made;
  }

  async #compile(name: string, code: string, bindings: readonly ShaderBinding[]): Promise<Kernel> {
    return await this.#guarded(`compiling ${name}`, async () => {
      const module = this.#device.createShaderModule({ label: name, code });
      const { messages } = await module.getCompilationInfo();
      const bad = messages.find((m) => m.type === "error");
      if (bad) {
        const line = code.split("\n")[bad.lineNum - 1] ?? "";
        throw new GpuError(`${name}.wgsl:${bad.lineNum}:${bad.linePos} ${bad.message} (${line})`);
      }
      const layout = this.#device.createBindGroupLayout({
        label: name,
        entries: bindings.map(({ binding, type }) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type, hasDynamicOffset: type === "uniform" },
        })),
      });
      const pipeline = await this.#device.createComputePipelineAsync({
        label: name,
        layout: this.#device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      return { name, pipeline, layout, bindings };
    });
  }

  /** The buffer of this name, at least `length` numbers long; what it held may be gone. */
  buffer(name: string, length: number): GPUBuffer {
    const size = 4 * Math.max(4, Math.ceil(length / 4) * 4);
    if (size > this.largestBinding) {
      throw new GpuError(`${name} needs ${size} bytes, the device binds ${this.largestBinding}`);
    }
    const known = this.#buffers.get(name);
    if (known && known.size >= size) return known;
    known?.destroy();
    const buffer = this.#device.createBuffer({
      label: name,
      // A little more than needed, so that slowly growing jobs do not make one each time.
      size: Math.min(known ? Math.ceil(size * 1.25 / 16) * 16 : size, this.largestBinding),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** Destroys the buffer of this name. */
  release(name: string): void {
    this.#buffers.get(name)?.destroy();
    this.#buffers.delete(name);
  }

  /** Copies numbers to a buffer. */
  write(buffer: GPUBuffer, numbers: Float32Array<ArrayBuffer>, at = 0): void {
    if (numbers.length > 0) this.#device.queue.writeBuffer(buffer, 4 * at, numbers);
  }

  /**
   * Records all commands in one command buffer, submits it once and reads back in one map. `label`
   * names kernel and shapes: it begins the message of whatever goes wrong.
   *
   * @param clear buffers set to zero first
   * @returns one Float32Array for each of `reads`
   * @throws DeviceLostError when the device is or gets lost, GpuError on any other failure
   */
  async run(
    label: string,
    commands: readonly Command[],
    reads: readonly ReadBack[],
    clear: readonly GPUBuffer[] = [],
  ): Promise<Float32Array[]> {
    return await this.#guarded(label, async () => {
      const device = this.#device;
      const uniforms = this.#uniformBuffer(
        commands.flatMap((command) => "kernel" in command ? [command.job] : []),
      );
      const encoder = device.createCommandEncoder({ label });
      for (const buffer of clear) encoder.clearBuffer(buffer);
      this.#record(encoder, label, commands, uniforms);
      const total = reads.reduce((sum, { length }) => sum + length, 0);
      const staging = device.createBuffer({
        label: `read back ${label}`,
        size: Math.max(16, 4 * total),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      let at = 0;
      for (const { buffer, offset = 0, length } of reads) {
        if (length > 0) encoder.copyBufferToBuffer(buffer, 4 * offset, staging, 4 * at, 4 * length);
        at += length;
      }
      device.queue.submit([encoder.finish({ label })]);
      try {
        await staging.mapAsync(GPUMapMode.READ);
        const all = new Float32Array(staging.getMappedRange());
        let from = 0;
        const out = reads.map(({ length }) => all.slice(from, from += length));
        staging.unmap();
        return out;
      } finally {
        staging.destroy();
        uniforms.destroy();
      }
    });
  }

  /** Dispatches that follow one another share a pass; copies stand between passes. */
  #record(
    encoder: GPUCommandEncoder,
    label: string,
    commands: readonly Command[],
    uniforms: GPUBuffer,
  ): void {
    const groups = new Map<string, GPUBindGroup>();
    let pass: GPUComputePassEncoder | null = null;
    let dispatched = 0;
    for (const command of commands) {
      if (!("kernel" in command)) {
        pass?.end();
        pass = null;
        if ("clear" in command) encoder.clearBuffer(command.clear);
        else {
          const { from, at, to, toAt, length } = command;
          if (length > 0) encoder.copyBufferToBuffer(from, 4 * at, to, 4 * toAt, 4 * length);
        }
        continue;
      }
      const { kernel, buffers, groups: count } = command;
      const key = `${kernel.name} ${buffers.map((b) => b.label).join(" ")}`;
      let bindGroup = groups.get(key);
      if (!bindGroup) {
        bindGroup = this.#bindGroup(kernel, uniforms, buffers);
        groups.set(key, bindGroup);
      }
      pass ??= encoder.beginComputePass({ label });
      pass.setPipeline(kernel.pipeline);
      pass.setBindGroup(0, bindGroup, [UNIFORM_STRIDE * dispatched++]);
      pass.dispatchWorkgroups(count);
    }
    pass?.end();
  }

  #uniformBuffer(jobs: readonly ArrayBuffer[]): GPUBuffer {
    const bytes = new Uint8Array(UNIFORM_STRIDE * Math.max(1, jobs.length));
    jobs.forEach((job, k) => bytes.set(new Uint8Array(job), k * UNIFORM_STRIDE));
    const buffer = this.#device.createBuffer({
      label: "jobs",
      size: bytes.length,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    this.#device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  }

  #bindGroup(kernel: Kernel, uniforms: GPUBuffer, buffers: readonly GPUBuffer[]): GPUBindGroup {
    return this.#device.createBindGroup({
      label: kernel.name,
      layout: kernel.layout,
      entries: kernel.bindings.map(({ binding, type }) => ({
        binding,
        resource: type === "uniform"
          ? { buffer: uniforms, size: UNIFORM_STRIDE }
          : { buffer: buffers[binding - 1] },
      })),
    });
  }

  /** Runs `work` inside error scopes; whatever fails is thrown with `label` before it. */
  async #guarded<T>(label: string, work: () => Promise<T>): Promise<T> {
    if (this.#lost !== null) throw this.#lossOf(label);
    const device = this.#device;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("internal");
    let result: { value: T } | undefined;
    let thrown: unknown;
    try {
      result = { value: await work() };
    } catch (error) {
      thrown = error;
    }
    const scoped: string[] = [];
    for (let k = 0; k < 3; k++) {
      const error = await device.popErrorScope().catch((e) => e as Error);
      if (error) scoped.push(error.message);
    }
    if (thrown !== undefined || scoped.length > 0) {
      // The news of a loss may come a turn later than the failure it caused.
      await Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
    if (this.#lost !== null) throw this.#lossOf(label);
    const fault = scoped[0] ?? this.#fault;
    this.#fault = null;
    if (thrown instanceof GpuError) throw thrown;
    if (fault !== undefined && fault !== null) throw new GpuError(`${label}: ${fault}`);
    if (thrown !== undefined) {
      throw new GpuError(`${label}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
    return result!.value;
  }

  #lossOf(label: string): DeviceLostError {
    return new DeviceLostError(`${label}: the GPU device was lost (${this.#lost})`);
  }

  /** Destroys the device with everything on it. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const buffer of this.#buffers.values()) buffer.destroy();
    this.#buffers.clear();
    this.#device.destroy();
  }
}

/** Memory of one kernel instance: an arena above the module's own data, for the host to hand out. */
import type { KernelExports } from "./exports.ts";

const PAGE = 65536;
const ALIGNMENT = 16;

/**
 * A bump allocator. Nothing is freed singly: `mark()` remembers the top, `release(mark)` goes back to
 * it. Fresh memory is not cleared. Views are made on each call and go stale when the memory grows, so
 * fetch them after the last `alloc` before their use.
 */
export class KernelMemory {
  readonly #memory: WebAssembly.Memory;
  #top: number;

  constructor(exports: Pick<KernelExports, "memory" | "heapBase">) {
    this.#memory = exports.memory;
    this.#top = align(exports.heapBase());
  }

  /** Address of `bytes` new bytes, 16-aligned. Throws RangeError when the memory cannot grow. */
  alloc(bytes: number): number {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new RangeError(`Cannot allocate ${bytes} bytes of kernel memory`);
    }
    const address = this.#top;
    const top = align(address + bytes);
    const missing = top - this.#memory.buffer.byteLength;
    if (missing > 0) this.#grow(missing, bytes);
    this.#top = top;
    return address;
  }

  /** The present top, for `release`. */
  mark(): number {
    return this.#top;
  }

  /** Frees everything allocated since `mark`. */
  release(mark: number): void {
    if (mark > this.#top) throw new RangeError("release(mark): the mark lies above the top");
    this.#top = mark;
  }

  f32(address: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#buffer, address, length);
  }

  f64(address: number, length: number): Float64Array<ArrayBuffer> {
    return new Float64Array(this.#buffer, address, length);
  }

  i32(address: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.#buffer, address, length);
  }

  get #buffer(): ArrayBuffer {
    return this.#memory.buffer as ArrayBuffer;
  }

  #grow(missing: number, bytes: number): void {
    const needed = Math.ceil(missing / PAGE);
    // By half again where there is room, so that many small allocations grow it seldom.
    const generous = Math.max(needed, this.#memory.buffer.byteLength / PAGE >> 1);
    for (const pages of [generous, needed]) {
      try {
        this.#memory.grow(pages);
        return;
      } catch { /* less, or the error below */ }
    }
    throw new RangeError(
      `Cannot allocate ${bytes} bytes of kernel memory above the ${this.#top} in use ` +
        "(WebAssembly memory ends at 4 GiB)",
    );
  }
}

const align = (address: number): number => Math.ceil(address / ALIGNMENT) * ALIGNMENT;

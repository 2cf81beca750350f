/**
 * The network's activations along trajectories, kept in the worker that ran them, so that the
 * gradient need not evaluate the network again. A tape is only ever a copy of what would be computed
 * anew: the gradient has the same bits with and without.
 */
import type { SampleRange } from "../backend.ts";
import type { KernelMemory } from "./memory.ts";

/** Most bytes that tapes may take in one worker; trajectories beyond it are evaluated twice. */
const BUDGET = 768 * 2 ** 20;

/** What tells the tapes of a set of trajectories from those of any other. */
export interface TapedPaths extends SampleRange {
  readonly times: Float64Array;
  /** (blocks, 2), see GradientJob. */
  readonly windows: Int32Array;
}

export class Tapes {
  readonly #memory: KernelMemory;
  readonly #kept = new Map<string, { paths: TapedPaths; address: number }>();
  #bytes = 0;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
  }

  /** Forgets all tapes; their memory is the caller's to release. */
  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }

  /** Space for the tapes of `paths`, `bytes` for each state; 0 when there is no room. */
  make(paths: TapedPaths, bytes: number): number {
    let states = 0;
    for (let b = 1; b < paths.windows.length; b += 2) states += paths.windows[b] + 1;
    if (this.#bytes + states * bytes > BUDGET) return 0;
    let address: number;
    try {
      address = this.#memory.alloc(states * bytes);
    } catch (error) {
      if (error instanceof RangeError) return 0; // A small machine: evaluate twice.
      throw error;
    }
    this.#bytes += states * bytes;
    this.#kept.set(name(paths), { paths, address });
    return address;
  }

  /** Address of the tapes of `paths`; 0 when there are none. */
  find(paths: TapedPaths): number {
    const found = this.#kept.get(name(paths));
    if (!found || !same(found.paths.windows, paths.windows)) return 0;
    return same(found.paths.times, paths.times) ? found.address : 0;
  }
}

const name = ({ seed, first, count }: SampleRange): string => `${seed} ${first} ${count}`;

function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

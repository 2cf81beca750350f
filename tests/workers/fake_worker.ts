/** A pool's worker with an executor whose seeds choose what happens; see `behaviours`. */
import type { Executor, PriorDraw, Problem } from "../../src/backends/backend.ts";
import { AbortedError, InputError } from "../../src/errors.ts";
import { serve } from "../../src/workers/serve.ts";

/** (module (func (export "f") unreachable)) */
const trap = new WebAssembly.Instance(
  new WebAssembly.Module(Uint8Array.from(
    atob("AGFzbQEAAAABBAFgAAADAgEABwUBAWYAAAoFAQMAAAs="),
    (c) => c.charCodeAt(0),
  )),
).exports.f as () => void;

export const behaviours = {
  normal: 1,
  inputError: 2,
  rangeError: 3,
  abortedError: 4,
  trap: 5,
  uncaught: 6,
  trapOnce: 7,
  slow: 8,
  closeItself: 9,
  thrownString: 10,
  notCloneable: 11,
  tellWorker: 12,
} as const;

let problem: Problem;
let lastResult: Float64Array | undefined;
const worker = Math.random();
const memory = new WebAssembly.Memory({ initial: 1 });

function draw(seed: number, first: number, count: number): PriorDraw | Promise<PriorDraw> {
  const shared = problem.mint!.parameters;
  switch (seed) {
    case behaviours.inputError:
      throw new InputError("--samples: cannot be 0");
    case behaviours.rangeError:
      throw new RangeError("too far");
    case behaviours.abortedError:
      throw new AbortedError("enough");
    case behaviours.trap:
      shared[1]++;
      trap();
      break;
    case behaviours.uncaught:
      shared[1]++;
      setTimeout(() => {
        throw new TypeError("uncaught in the worker");
      });
      return new Promise(() => {});
    case behaviours.trapOnce:
      if (shared[1]++ === 0) trap();
      break;
    case behaviours.slow:
      shared[1]++;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
      break;
    case behaviours.closeItself:
      globalThis.close();
      break;
    case behaviours.thrownString:
      throw "a plain string";
    case behaviours.notCloneable:
      return { positions: () => {} } as unknown as PriorDraw;
  }
  if (seed === behaviours.tellWorker) shared[0] = worker;
  const logDensity = Float64Array.from({ length: count }, (_, i) => first + i);
  lastResult = logDensity;
  // A view into a WebAssembly memory cannot be given away: the pool has to copy it.
  const positions = new Float64Array(memory.buffer, 64, count).fill(seed);
  // Every result tells which problem it was made with.
  return { logDensity, positions, energies: new Float64Array(count).fill(shared[0]) };
}

const executor = {
  name: "reference",
  prepare(next: Problem) {
    if ("particles" in next.system && next.system.particles === 0) {
      throw new InputError("system.particles: must be at least 2");
    }
    problem = next;
  },
  drawPrior: ({ seed, first, count }: { seed: number; first: number; count: number }) =>
    draw(seed, first, count),
  priorLogDensity: (positions: Float64Array, count: number) =>
    positions.map((x) => x * count).subarray(0, count),
  mintGradient: () => Float64Array.of(lastResult!.byteLength),
  trajectoryGradient: (job: { states: Float32Array; times: Float64Array }) => ({
    parameters: Float64Array.from(job.states),
    logStepSize: job.times,
  }),
  dispose() {},
} as unknown as Executor;

if ("WorkerGlobalScope" in globalThis) {
  serve(async (name) => {
    await Promise.resolve();
    if (name === "wasm") throw new InputError("Backend wasm: this machine has no SIMD");
    return executor;
  });
}

/**
 * What the WebAssembly module exports, as the host sees it: addresses and integers are numbers, an
 * f32x4 block stands at a 16-aligned address. Every kernel adds its own lines; the kernels' files
 * under assembly/ say what they do.
 */
export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  /** First byte the host may use. */
  heapBase(): number;

  // math.ts: `count` f32x4 from x to out (mathSincos writes cos and sin in turn, 2·count).
  mathExp(x: number, out: number, count: number): void;
  mathLog(x: number, out: number, count: number): void;
  mathTanh(x: number, out: number, count: number): void;
  mathSincos(u: number, out: number, count: number): void;
  mathI0e(x: number, out: number, count: number): void;
  mathI1e(x: number, out: number, count: number): void;

  // threefry.ts: `samples` is the address of four sample numbers (i32x4).
  wordsAt(
    out: number,
    count: number,
    key0: number,
    key1: number,
    samples: number,
    first: number,
  ): void;
  normalsAt(
    out: number,
    count: number,
    key0: number,
    key1: number,
    samples: number,
    first: number,
  ): void;

  // matrix_exponential.ts
  exponentialScratchBytes(dimension: number, channels: number): number;
  exponentialDisplacement(
    h: number,
    s: number,
    x: number,
    tau: number,
    out: number,
    particles: number,
    dimension: number,
    channels: number,
    scratch: number,
  ): void;
  exponentialAdjoint(
    h: number,
    s: number,
    x: number,
    tau: number,
    yAdjoint: number,
    hAdjoint: number,
    sAdjoint: number,
    particles: number,
    dimension: number,
    channels: number,
    scratch: number,
  ): void;

  // julep.ts: `job` is the address of a JulepJob, packed by src/backends/wasm/julep.ts.
  julepScratchBytes(particles: number, dimension: number, channels: number): number;
  julepTrajectories(
    job: number,
    blocks: number,
    first: number,
    x: number,
    logRatio: number,
    increments: number,
    states: number,
    forces: number,
  ): void;
  julepGradient(
    job: number,
    blocks: number,
    states: number,
    forces: number,
    coefficients: number,
    windows: number,
    gradient: number,
    stepGradient: number,
  ): void;
}

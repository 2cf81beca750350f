/**
 * Pair energies and gradients, one core: Lennard-Jones at N = 13, 55, 512 and the double well at N = 4.
 * Against C of the same algorithm and layout at 128-bit width (bar: >= 0.9), and against plain
 * TypeScript in float64 (bar: >= 4.5).
 */
import { LANES } from "../src/backends/backend.ts";
import { type KernelInstance, loadKernels, simdFeatures } from "../src/backends/wasm/module.ts";
import { toBlocks } from "../src/backends/wasm/julep.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { type BenchReport, createReport } from "./harness.ts";
import { native } from "./native.ts";

interface Case {
  readonly name: string;
  readonly kind: 0 | 2;
  readonly particles: number;
  readonly dimension: 2 | 3;
  readonly parameters: readonly number[];
  /** Blocks of four systems in a call: enough work for one call, little enough for the cache. */
  readonly blocks: number;
}

const lennardJones = (particles: number, blocks: number): Case => ({
  name: `Lennard-Jones N=${particles}`,
  kind: 2,
  particles,
  dimension: 3,
  parameters: [2, 1, 0.5],
  blocks,
});

const cases: Case[] = [
  lennardJones(13, 32),
  lennardJones(55, 8),
  lennardJones(512, 1),
  {
    name: "double well N=4",
    kind: 0,
    particles: 4,
    dimension: 2,
    parameters: [4, 0, -4, 0.9],
    blocks: 128,
  },
];

const T = 0.7;

export async function run(report: BenchReport): Promise<void> {
  const { peers, description } = native();
  report(`pair energies: one core; C peer: ${description}`);
  const relaxed = simdFeatures().relaxedSimd ? await loadKernels({ variant: "relaxed" }) : null;
  const plain = await loadKernels({ variant: "plain" });
  for (const shape of cases) {
    const { particles: N, dimension: n, blocks } = shape;
    const count = blocks * LANES;
    const size = N * n;
    const x = scattered(N, n, count);
    const results = new Map<string, Float64Array | Float32Array>();
    const jobs: Record<string, () => void> = {};
    if (relaxed) jobs["wasm relaxed"] = wasmJob(relaxed, shape, x, results);
    jobs["wasm plain"] = wasmJob(plain, shape, x, results);
    if (peers) {
      const parameters = Float32Array.from(shape.parameters);
      const blocked = new Float32Array(count * size);
      const gradient = new Float32Array(count * size);
      const energies = new Float32Array(count);
      for (const array of [blocked, gradient, energies]) checkAligned(array);
      toBlocks(x, count, size, blocked);
      results.set("C 128-bit", energies);
      jobs["C 128-bit"] = () =>
        peers.pair_energies_batch(
          shape.kind,
          parameters,
          blocked,
          gradient,
          energies,
          N,
          T,
          blocks,
        );
    }
    const gradient = new Float64Array(size * count);
    const energies = new Float64Array(count);
    results.set("TypeScript float64", energies);
    jobs["TypeScript float64"] = shape.kind === 0
      ? () => doubleWellFloat64(x, gradient, energies, N, count, shape.parameters)
      : () => lennardJonesFloat64(x, gradient, energies, N, count, shape.parameters);
    report.compare(shape.name, jobs, {
      unit: "M pairs/s",
      work: count * N * (N - 1) / 2 / 1e6,
    });
    checkEqual(shape.name, results);
  }
}

/** A job on the kernel's own memory; `results` gets its energies. */
function wasmJob(
  { exports, memory, variant }: KernelInstance,
  { kind, particles: N, dimension: n, parameters, blocks }: Case,
  x: Float64Array,
  results: Map<string, Float64Array | Float32Array>,
): () => void {
  const length = blocks * LANES * N * n;
  const parametersAt = memory.alloc(4 * parameters.length);
  const xAt = memory.alloc(4 * length);
  const gradientAt = memory.alloc(4 * length);
  const energiesAt = memory.alloc(4 * blocks * LANES);
  memory.f32(parametersAt, parameters.length).set(parameters);
  toBlocks(x, blocks * LANES, N * n, memory.f32(xAt, length));
  const run = () =>
    exports.pairEnergiesBatch(kind, parametersAt, xAt, gradientAt, energiesAt, N, n, T, blocks);
  run();
  results.set(`wasm ${variant}`, memory.f32(energiesAt, blocks * LANES).slice());
  return run;
}

/** A jittered grid, neighbours about 1.1 apart (double well: 4). */
function scattered(N: number, n: number, count: number): Float64Array {
  const random = new RandomStream(1, Stream.test, 0);
  const spacing = n === 2 ? 4 : 1.1;
  const side = Math.ceil(N ** (1 / n));
  return Float64Array.from({ length: count * N * n }, (_, at) => {
    const cell = Math.floor(Math.floor((at % (N * n)) / n) / side ** (at % n)) % side;
    return Math.fround(spacing * (cell + 0.06 * random.normal()));
  });
}

/** All contestants must have computed the same thing. */
function checkEqual(name: string, results: Map<string, Float64Array | Float32Array>): void {
  const exact = results.get("TypeScript float64")!;
  for (const [contestant, energies] of results) {
    energies.forEach((energy, s) => {
      if (!(Math.abs(energy - exact[s]) <= 1e-4 * (1 + Math.abs(exact[s])))) {
        throw new Error(`${name}: ${contestant} computed ${energy}, float64 ${exact[s]}`);
      }
    });
  }
}

function checkAligned(array: Float32Array<ArrayBuffer>): void {
  if (Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(array))) % 16 !== 0) {
    throw new Error("the C peer's arrays must be 16-aligned");
  }
}

/** Plain TypeScript as fast as it comes: scalars, one pass over the pairs, nothing allocated. */
function lennardJonesFloat64(
  x: Float64Array,
  gradient: Float64Array,
  energies: Float64Array,
  N: number,
  count: number,
  parameters: readonly number[],
): void {
  const [epsilon, k, alpha] = parameters;
  const core = alpha * (1 - T) * (1 - T);
  gradient.fill(0);
  for (let s = 0; s < count; s++) {
    const start = 3 * N * s, end = start + 3 * N;
    let energy = 0, cx = 0, cy = 0, cz = 0;
    for (let i = start; i < end; i += 3) {
      const xi = x[i], yi = x[i + 1], zi = x[i + 2];
      let gx = gradient[i], gy = gradient[i + 1], gz = gradient[i + 2];
      for (let j = i + 3; j < end; j += 3) {
        const dx = xi - x[j], dy = yi - x[j + 1], dz = zi - x[j + 2];
        const r2 = dx * dx + dy * dy + dz * dz;
        const q = 1 / (r2 * r2 * r2 + core);
        energy += q * (q - 2);
        const qr2 = q * r2;
        const slope = qr2 * qr2 * (q - 1);
        gx += slope * dx;
        gy += slope * dy;
        gz += slope * dz;
        gradient[j] -= slope * dx;
        gradient[j + 1] -= slope * dy;
        gradient[j + 2] -= slope * dz;
      }
      gradient[i] = gx;
      gradient[i + 1] = gy;
      gradient[i + 2] = gz;
      cx += xi;
      cy += yi;
      cz += zi;
    }
    cx /= N;
    cy /= N;
    cz /= N;
    let squares = 0;
    for (let i = start; i < end; i += 3) {
      const dx = x[i] - cx, dy = x[i + 1] - cy, dz = x[i + 2] - cz;
      squares += dx * dx + dy * dy + dz * dz;
      gradient[i] = -12 * epsilon * gradient[i] + k * dx;
      gradient[i + 1] = -12 * epsilon * gradient[i + 1] + k * dy;
      gradient[i + 2] = -12 * epsilon * gradient[i + 2] + k * dz;
    }
    energies[s] = epsilon * energy + 0.5 * k * squares;
  }
}

function doubleWellFloat64(
  x: Float64Array,
  gradient: Float64Array,
  energies: Float64Array,
  N: number,
  count: number,
  parameters: readonly number[],
): void {
  const [offset, a, b, c] = parameters;
  gradient.fill(0);
  for (let s = 0; s < count; s++) {
    const start = 2 * N * s, end = start + 2 * N;
    let energy = 0;
    for (let i = start; i < end; i += 2) {
      const xi = x[i], yi = x[i + 1];
      let gx = gradient[i], gy = gradient[i + 1];
      for (let j = i + 2; j < end; j += 2) {
        const dx = xi - x[j], dy = yi - x[j + 1];
        const r = Math.sqrt(dx * dx + dy * dy);
        const d = r - offset, d2 = d * d;
        energy += d * (a + d * (b + d2 * c));
        const slope = (a + d * (2 * b + 4 * d2 * c)) / r;
        gx += slope * dx;
        gy += slope * dy;
        gradient[j] -= slope * dx;
        gradient[j + 1] -= slope * dy;
      }
      gradient[i] = gx;
      gradient[i + 1] = gy;
    }
    energies[s] = energy;
  }
}

if (import.meta.main) await run(createReport());

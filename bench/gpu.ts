/**
 * Usage: deno task bench:gpu [--quick] [--write]
 *
 * Everything a machine with a GPU can tell, in one command and without a network: kernels, a training
 * iteration and the sampling rate on WebGPU, against WebAssembly on all cores and, where python3 has
 * them, against JAX (which takes the GPU by itself) and PyTorch. Ratios first: above 1 WebGPU is faster.
 * --write keeps bench/results/<adapter>.json and the table in bench/README.md. Software adapters, and
 * --quick, take small shapes.
 */
import { adapterName, findAdapter } from "../src/backends/webgpu/adapter.ts";
import { GpuDevice } from "../src/backends/webgpu/device.ts";
import type { Dispatch } from "../src/backends/webgpu/device.ts";
import { problemConstants } from "../src/backends/webgpu/constants.ts";
import { GpuKernels } from "../src/backends/webgpu/kernels.ts";
import { packEgnn } from "../src/backends/webgpu/egnn.ts";
import { GpuMolecule } from "../src/backends/webgpu/molecule.ts";
import { MoleculeKernel } from "../src/backends/wasm/molecule_energies.ts";
import type { LennardJonesConfig } from "../src/config/config.ts";
import { namedMolecule } from "../src/systems/molecule/presets.ts";
import { egnnOutputSize, packEgnn as packForWasm } from "../src/backends/wasm/egnn.ts";
import { loadKernels } from "../src/backends/wasm/module.ts";
import { LANES } from "../src/backends/backend.ts";
import { preset } from "../src/config/presets.ts";
import { egnnLayout, initialiseEgnn } from "../src/julep/egnn.ts";
import type { NetworkShape } from "../src/julep/model.ts";
import { initialiseJulep } from "../src/julep/train.ts";
import { normals, Stream, streamKey } from "../src/math/random.ts";
import { initialiseMint } from "../src/mint/start.ts";
import { RunJobs } from "../src/run/jobs.ts";
import { clusterPath } from "../src/path/cluster.ts";
import { drawForward } from "../src/sampling/draw.ts";
import { drawPaths } from "../src/sampling/path_draw.ts";
import { createSystem } from "../src/systems/create.ts";
import { ExecutorPool } from "../src/workers/pool.ts";
import { gpuPeak } from "./gpu_peak.ts";
import { figures } from "./harness.ts";
import { Peer } from "./peers.ts";
import { ourIteration } from "./training.ts";

interface Row {
  readonly what: string;
  /** WebGPU's speed in `unit`. */
  readonly gpu: number;
  readonly unit: string;
  /** Time of the other over WebGPU's. */
  readonly over: Record<string, number>;
  /** Of the measured float32 peak, where operations can be counted. */
  readonly ofPeak?: number;
}

const found = await findAdapter();
if (found.adapter === null) {
  console.error(`bench:gpu needs a GPU adapter: ${found.reason}`);
  Deno.exit(1);
}
const { facts } = found;
const quick = facts.software || Deno.args.includes("--quick");
const cores = navigator.hardwareConcurrency;
const rows: Row[] = [];

function add(row: Row): void {
  rows.push(row);
  const over = Object.entries(row.over).map(([name, r]) => `${figures(r)} x ${name}`).join(", ");
  const peak = row.ofPeak === undefined ? "" : `, ${figures(100 * row.ofPeak)} % of the peak`;
  console.log(`${row.what}: ${over || "alone"}   (${figures(row.gpu)} ${row.unit}${peak})`);
}

const random = (length: number, sample: number, scale = 1) => {
  const out = new Float64Array(length);
  normals(out, streamKey(1, Stream.test), sample, 0);
  return Float32Array.from(out, (v) => scale * v);
};

/** Seconds of one pass over the dispatches, overhead of submission and map taken off. */
async function secondsOf(device: GpuDevice, dispatches: Dispatch[], read: GPUBuffer) {
  const time = async (passes: number) => {
    const all = Array.from({ length: passes }, () => dispatches).flat();
    const from = performance.now();
    await device.run("bench", all, [{ buffer: read, length: 1 }]);
    return (performance.now() - from) / 1000;
  };
  await time(1);
  const [few, many] = quick ? [1, 3] : [2, 22];
  const rounds: number[] = [];
  for (let k = 0; k < 5; k++) rounds.push((await time(many) - await time(few)) / (many - few));
  return rounds.sort((a, b) => a - b)[2];
}

/** Seconds of one call, the fastest of a few. */
function fastest(run: () => void): number {
  run();
  let best = Infinity;
  for (let k = 0; k < 5; k++) {
    const from = performance.now();
    run();
    best = Math.min(best, (performance.now() - from) / 1000);
  }
  return best;
}

async function pairEnergies(kernels: GpuKernels, N: number, count: number): Promise<void> {
  const config = { ...preset("lj13").system, particles: N } as const;
  const system = createSystem(config);
  const side = Math.ceil(Math.cbrt(N));
  const size = 3 * N;
  const jitter = random(count * size, N, 0.1);
  const x = Float32Array.from(jitter, (v, at) => {
    const i = Math.floor(at % size / 3);
    return v + 1.1 * (Math.floor(i / side ** (at % 3)) % side);
  });
  const constants = problemConstants({ system, mint: null, julep: null, purpose: "trajectories" });
  const prepared = await kernels.prepare("pair_energies", constants);
  const results = kernels.device.buffer("results", count * (size + 1));
  const dispatches = kernels.batch(
    prepared,
    count,
    [kernels.upload("positions", x), results],
    (offset) => {
      const job = new ArrayBuffer(8);
      new Float32Array(job)[0] = 1;
      new Uint32Array(job)[1] = offset;
      return job;
    },
  );
  const gpu = await secondsOf(kernels.device, dispatches, results);
  const { exports, memory } = await loadKernels();
  const { kind, parameters } = system.pairKernel;
  const blocks = Math.ceil(count / LANES);
  const upload = (values: ArrayLike<number>) => {
    const at = memory.alloc(4 * values.length);
    memory.f32(at, values.length).set(values);
    return at;
  };
  const [p, positions] = [upload(parameters), upload(x)];
  const gradient = memory.alloc(16 * blocks * size);
  const energies = memory.alloc(16 * blocks);
  const wasm = fastest(() =>
    exports.pairEnergiesBatch(kind, p, positions, gradient, energies, N, 3, 1, blocks)
  );
  const pairs = count * N * (N - 1) / 2;
  add({
    what: `pair energies and gradients, N = ${N}, ${count} systems`,
    gpu: pairs / gpu / 1e6,
    unit: "M pairs/s",
    over: { "one core": wasm / gpu, [`${cores} cores`]: wasm / gpu / cores },
  });
}

async function network(kernels: GpuKernels, name: string, count: number, peak: number) {
  const { particles, dimension, lengthScale } = createSystem(preset(name).system);
  const shape: NetworkShape = {
    particles,
    dimension,
    layers: 3,
    hidden: 64,
    channels: 2,
    lengthScale,
    anchored: false,
  };
  const parameters = initialiseEgnn(shape, 1);
  const { size } = egnnLayout(shape);
  const outputs = egnnOutputSize(shape);
  const width = particles * dimension + 1;
  const { device } = kernels;
  const julep = {
    gauge: "centre_of_mass",
    forceClip: null,
    network: shape,
    drift: true,
    evenDrift: true,
    matrix: "signed",
  } as const;
  const system = { particles, dimension, pairKernel: { kind: 0, parameters: [] } } as const;
  const packed = kernels.upload("parameters", packEgnn(shape, parameters));
  const forward = await kernels.prepare(
    "egnn",
    problemConstants({ system, mint: null, julep, purpose: "trajectories" }),
  );
  const results = device.buffer("results", count * outputs);
  const states = kernels.upload("states", random(count * width, 3, 1.5));
  const forwardSeconds = await secondsOf(
    device,
    kernels.batch(
      forward,
      count,
      [packed, states, results],
      (offset) => Uint32Array.of(offset).buffer,
    ),
    results,
  );
  const backward = await kernels.prepare(
    "egnn_backward",
    problemConstants({ system, mint: null, julep, purpose: "gradient" }),
  );
  const most = Math.min(kernels.slotCount(count, size), kernels.groupsAtOnce(backward));
  const perGroup = Math.ceil(count / most);
  const groups = Math.ceil(count / perGroup);
  const slots = device.buffer("slots", groups * size);
  const sums = device.buffer("sums", size);
  const withAdjoints = kernels.upload("states", random(count * (width + outputs), 4, 1.5));
  const bothSeconds = await secondsOf(device, [
    {
      kernel: backward.kernel,
      job: Uint32Array.of(count, perGroup, size, 0).buffer,
      buffers: kernels.withScratch(backward, [packed, withAdjoints, slots], groups),
      groups,
    },
    await kernels.reduction(slots, groups, size, sums),
  ], sums);

  const { exports, memory } = await loadKernels();
  const blocks = Math.ceil(Math.min(count, 100) / LANES);
  const share = count / (blocks * LANES);
  const { address, scratch, tape } = packForWasm(exports, memory, shape, parameters);
  const upload = (values: Float32Array) => {
    const at = memory.alloc(4 * values.length);
    memory.f32(at, values.length).set(values);
    return at;
  };
  const x = upload(random(blocks * LANES * (width - 1), 3, 1.5));
  const t = upload(new Float32Array(blocks * LANES).fill(0.4));
  const out = memory.alloc(4 * blocks * LANES * outputs);
  const adjoint = upload(random(blocks * LANES * outputs, 4));
  const gradient = memory.alloc(4 * size);
  const wasmForward = share *
    fastest(() => exports.egnnForwardBatch(address, x, t, out, scratch, blocks));
  const wasmBoth = share *
    fastest(() =>
      exports.egnnForwardBackwardBatch(
        address,
        x,
        t,
        out,
        adjoint,
        gradient,
        scratch,
        tape,
        blocks,
      )
    );
  const flop = 2 * 3 * 64 * 64 * (particles * (particles - 1) + 5 * particles) * count;
  const rate = (seconds: number, wasm: number, what: string, operations: number) =>
    add({
      what: `egnn ${what}, ${name}, ${count} states`,
      gpu: count / seconds,
      unit: "states/s",
      over: { "one core": wasm / seconds, [`${cores} cores`]: wasm / seconds / cores },
      ofPeak: operations / seconds / 1e9 / peak,
    });
  rate(forwardSeconds, wasmForward, "forward", flop);
  rate(bothSeconds, wasmBoth, "forward + backward", 3 * flop);
}

async function iteration(name: string, samples: number, steps: number): Promise<void> {
  const options = { system: name, samples, steps, threads: cores, gradientFraction: 1 };
  const seconds = async (contender: { iteration(): Promise<{ seconds: number }> }) => {
    const times: number[] = [];
    for (let k = 0; k < 3; k++) times.push((await contender.iteration()).seconds);
    return times.sort((a, b) => a - b)[1];
  };
  const over: Record<string, number> = {};
  const readBackEvery = quick ? 3 : 10;
  let gpu: number;
  {
    await using ours = await ourIteration(options, "webgpu", readBackEvery);
    gpu = await seconds(ours);
  }
  {
    await using wasm = await ourIteration(options, "wasm");
    over[`WebAssembly, ${cores} cores`] = await seconds(wasm) / gpu;
  }
  if (!quick) {
    for (const script of ["jax_iteration.py", "torch_iteration.py"]) {
      const peer = await Peer.start(script, options);
      if (typeof peer === "string") {
        console.log(`  ${script}, ${name}: no peer here: ${peer}`);
        continue;
      }
      await using contender = peer;
      const { framework, version, mode } = peer.info;
      over[`${framework} ${version} ${mode}`] = await seconds(contender) / gpu;
    }
  }
  add({
    what: `training iteration, ${name}, ${samples} samples x ${steps} steps, ` +
      `read back every ${readBackEvery}`,
    gpu: 1 / gpu,
    unit: "iterations/s",
    over,
  });
}

async function sampling(name: string, samples: number, steps: number): Promise<void> {
  const config = preset(name);
  const system = createSystem(config.system);
  const mint = initialiseMint(system, config.mint, config.seed);
  const julep = initialiseJulep(system, config.julep, config.seed);
  const rate = async (backend: "webgpu" | "wasm", count: number) => {
    await using pool = await ExecutorPool.start({
      backend,
      workers: backend === "webgpu" ? 1 : cores,
    });
    const jobs = new RunJobs(pool, config.system);
    jobs.mint = mint;
    const run = jobs.runTrajectories(julep);
    await drawForward(run, system, Math.min(64, count), { seed: 1, steps });
    const { seconds } = await drawForward(run, system, count, { seed: 2, steps });
    return count / seconds;
  };
  const gpu = await rate("webgpu", samples);
  const wasm = await rate("wasm", Math.max(64, Math.ceil(samples / 8)));
  add({
    what: `sampling, ${name}, ${steps} steps`,
    gpu,
    unit: "samples/s",
    over: { [`WebAssembly, ${cores} cores`]: gpu / wasm },
  });
}

/** Annealed paths of a cluster without a network: one submission for each population. */
async function paths(particles: number, samples: number, levels: number): Promise<void> {
  const config = { ...preset("lj13").system, particles } as LennardJonesConfig;
  const system = createSystem(config);
  const path = clusterPath(config, { kernel: "underdamped", levels });
  const rate = async (backend: "webgpu" | "wasm", count: number) => {
    await using pool = await ExecutorPool.start({
      backend,
      workers: backend === "webgpu" ? 1 : cores,
    });
    const run = new RunJobs(pool, config).runPaths(path);
    await drawPaths(run, system, count, { seed: 1 });
    const { seconds } = await drawPaths(run, system, count, { seed: 2 });
    return count / seconds;
  };
  const gpu = await rate("webgpu", samples);
  add({
    what: `underdamped paths, N = ${particles}, ${levels} levels, ${samples} samples`,
    gpu,
    unit: "samples/s",
    over: { [`WebAssembly, ${cores} cores`]: gpu / await rate("wasm", samples) },
  });
}

/** Energies and forces of alanine dipeptide with OBC1, read-back included. */
async function molecule(kernels: GpuKernels, count: number): Promise<void> {
  const { forceField, positions } = namedMolecule("aldp")!;
  const size = positions.length;
  const shaken = random(count * size, 9, 0.003);
  const x = Float64Array.from(shaken, (v, a) => positions[a % size] + v);
  const gpu = new GpuMolecule(kernels, forceField, "obc1");
  await gpu.energies(x, count);
  const from = performance.now();
  await gpu.energies(x, count);
  const seconds = (performance.now() - from) / 1000;
  const wasm = new MoleculeKernel(await loadKernels(), forceField, "obc1");
  const core = fastest(() => wasm.energies(x, count));
  add({
    what: `energies and forces of aldp, OBC1, ${count} conformations`,
    gpu: count / seconds,
    unit: "conformations/s",
    over: { "one core": core / seconds, [`${cores} cores`]: core / seconds / cores },
  });
}

const START = "<!-- bench:gpu -->";

/** The table of this adapter, in place of what stood between its marks in bench/README.md. */
function writeResults(name: string, peak: number): void {
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  const directory = new URL("results/", import.meta.url);
  Deno.mkdirSync(directory, { recursive: true });
  const machine = { cores, deno: Deno.version.deno, adapter: facts, peakGflops: peak };
  const json = JSON.stringify({ machine, rows }, null, 2) + "\n";
  Deno.writeTextFileSync(new URL(`${slug}.json`, directory), json);
  const readme = new URL("README.md", import.meta.url);
  const text = Deno.readTextFileSync(readme).split(`\n${START}`)[0];
  const lines = rows.map(({ what, gpu, unit, over, ofPeak }) => {
    const ratios = Object.entries(over).map(([k, r]) => `${figures(r)} (${k})`).join(", ");
    const share = ofPeak === undefined ? "" : `${figures(100 * ofPeak)} %`;
    return `| ${what} | ${ratios} | ${figures(gpu)} ${unit} | ${share} |`;
  });
  Deno.writeTextFileSync(
    readme,
    `${text}\n${START}\n\n## WebGPU on ${name}\n\n` +
      `\`deno task bench:gpu --write\`; measured float32 peak ${figures(peak)} GFLOP/s. ` +
      `Time of the other over WebGPU's; above 1 WebGPU is faster.\n\n` +
      `| | ratio | WebGPU | of the peak |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`,
  );
  console.log(`written: bench/results/${slug}.json, bench/README.md`);
}

const name = adapterName(facts);
const peak = await gpuPeak(quick ? 64 : 8192);
console.log(`${name}${facts.software ? " (software)" : ""}: peak ${figures(peak)} GFLOP/s\n`);
const device = await GpuDevice.open();
const kernels = new GpuKernels(device);
for (const N of [13, 55, 512]) {
  await pairEnergies(kernels, N, quick ? Math.ceil(2000 / N) : Math.ceil(1e6 / N));
}
for (const system of quick ? ["dw4", "lj13"] : ["dw4", "lj13", "lj55"]) {
  await network(kernels, system, quick ? 8 : system === "lj55" ? 1024 : 8192, peak);
}
await molecule(kernels, quick ? 256 : 65536);
device.destroy();
const [samples, steps] = quick ? [16, 8] : [100, 100];
for (const system of quick ? ["dw4"] : ["dw4", "lj13", "lj55"]) {
  await iteration(system, samples, steps);
}
for (const system of quick ? ["dw4"] : ["dw4", "lj13", "lj55"]) {
  await sampling(system, quick ? 64 : system === "lj55" ? 1024 : 8192, steps);
}
for (const N of quick ? [13] : [13, 55]) {
  await paths(N, quick ? 64 : 16384, quick ? 20 : 100);
}
if (Deno.args.includes("--write")) writeResults(name, peak);
Deno.exit(0);

/**
 * The kernels' conformance in a page: the same WGSL on the browser's own WebGPU (Dawn), against the same
 * float64 reference. Bundled and opened by tools/browser.ts, which reads what `suite` resolves to.
 */
import { egnnBackward, egnnForward } from "../../src/backends/reference/egnn.ts";
import {
  addExponentialDisplacement,
  type LowRank,
} from "../../src/backends/reference/matrix_exponential.ts";
import { moleculeEnergies } from "../../src/backends/reference/molecule_energies.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WebGpuExecutor } from "../../src/backends/webgpu/executor.ts";
import { GpuDevice } from "../../src/backends/webgpu/device.ts";
import { GpuKernels } from "../../src/backends/webgpu/kernels.ts";
import { GpuMolecule } from "../../src/backends/webgpu/molecule.ts";
import type { LennardJonesConfig, MoleculeSoftCore } from "../../src/config/config.ts";
import { withMethod } from "../../src/config/methods.ts";
import { preset } from "../../src/config/presets.ts";
import { egnnLayout, egnnOutput, initialiseEgnn } from "../../src/julep/egnn.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { normals, RandomStream, Stream, streamKey, threefry2x32 } from "../../src/math/random.ts";
import { drawMint, MintDensity } from "../../src/mint/mixture.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { clusterPath } from "../../src/path/cluster.ts";
import type { PathKernelName } from "../../src/path/model.ts";
import { createSystem } from "../../src/systems/create.ts";
import { MoleculeEnergy } from "../../src/systems/molecule/energy.ts";
import { softening } from "../../src/systems/molecule/soften.ts";
import { aldp } from "../../src/systems/molecule/presets.ts";

/** One comparison: the largest error and what it may be. */
export interface Comparison {
  readonly name: string;
  readonly error: number;
  readonly tolerance: number;
}

export interface Outcome {
  readonly adapter: string;
  readonly comparisons: readonly Comparison[];
}

const noise = (length: number, seed: number, scale = 1) => {
  const random = new RandomStream(seed, Stream.test, 0);
  return Float64Array.from({ length }, () => Math.fround(scale * random.normal()));
};
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let square = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    square += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(square / norm);
};

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(b).reduce((w, v, s) => a[s] === v ? w : Math.max(w, Math.abs(v - a[s])), 0);

async function threefry(kernels: GpuKernels): Promise<Comparison[]> {
  const key = streamKey(2 ** 40 + 9, Stream.forward);
  const count = 5000;
  const got = await kernels.threefry(key, 5, 17, count);
  const expected = new Float64Array(2 * count);
  normals(expected, key, 5, 17);
  const words = new Uint32Array(2);
  let different = 0;
  for (let p = 0; p < count; p++) {
    threefry2x32(key[0], key[1], 5, 17 + p, words);
    if (words[0] !== got.words[2 * p] || words[1] !== got.words[2 * p + 1]) different++;
  }
  const worst = expected.reduce((w, z, i) => Math.max(w, Math.abs(z - got.normals[i])), 0);
  return [
    { name: "threefry, words that differ", error: different, tolerance: 0 },
    { name: "threefry, normals", error: worst, tolerance: 1e-6 },
  ];
}

async function potentials(kernels: GpuKernels, name: string): Promise<Comparison[]> {
  const config = preset(name);
  if (name === "dw4") config.mint.components = 6;
  const system = createSystem(config.system);
  const mint = initialiseMint(system, config.mint, 4);
  const q = new MintDensity(mint);
  const count = 12;
  const size = system.particles * system.dimension;
  const x = drawMint(q, 1, 0, count);
  const t = Math.fround(0.6);
  const pairs = await kernels.pairEnergies(system, Float32Array.from(x), count, t);
  const prior = await kernels.mintPrior(mint, Float32Array.from(x), count);
  const energies = new Float64Array(count);
  const densities = new Float64Array(count);
  const forces = new Float64Array(count * size);
  const slopes = new Float64Array(count * size);
  for (let s = 0; s < count; s++) {
    const here = x.slice(s * size, (s + 1) * size);
    energies[s] = system.energyAndGradient(here, forces.subarray(s * size, (s + 1) * size), t);
    densities[s] = q.logDensityAndGradient(here, slopes.subarray(s * size, (s + 1) * size));
  }
  return [
    { name: `pair_energies, ${name}`, error: distance(pairs.values, energies), tolerance: 1e-5 },
    { name: `pair gradients, ${name}`, error: distance(pairs.gradients, forces), tolerance: 1e-5 },
    { name: `orbit_vmf, ${name}`, error: distance(prior.values, densities), tolerance: 1e-5 },
    { name: `prior gradients, ${name}`, error: distance(prior.gradients, slopes), tolerance: 1e-4 },
  ];
}

async function network(kernels: GpuKernels): Promise<Comparison[]> {
  const shape = {
    particles: 5,
    dimension: 3 as const,
    layers: 2,
    hidden: 16,
    channels: 3,
    lengthScale: 1.7,
    anchored: true,
  };
  const jitter = noise(egnnLayout(shape).size, 8, 0.1);
  const parameters = initialiseEgnn(shape, 3).map((p, i) => Math.fround(p + jitter[i]));
  const count = 6;
  const size = 15;
  const x = noise(count * size, 9, 1.5);
  const first: number[] = [];
  const second: number[] = [];
  const expected: number[] = [];
  const gradient = new Float64Array(parameters.length);
  for (let s = 0; s < count; s++) {
    const here = x.slice(s * size, (s + 1) * size);
    const t = Math.fround(s / count);
    const out = egnnOutput(shape);
    const adjoint = egnnOutput(shape);
    let seed = 20 + 4 * s;
    for (const part of [adjoint.b, adjoint.c, adjoint.h, adjoint.s]) {
      part.set(noise(part.length, seed++));
    }
    egnnForward(shape, parameters, here, t, out);
    egnnBackward(shape, parameters, here, t, adjoint, gradient);
    first.push(...here, t);
    second.push(...here, t, ...adjoint.b, ...adjoint.c, ...adjoint.h, ...adjoint.s);
    expected.push(...out.b, ...out.c, ...out.h, ...out.s);
  }
  const { outputs } = await kernels.egnn(shape, parameters, Float32Array.from(first), count);
  const got = await kernels.egnnBackward(shape, parameters, Float32Array.from(second), count);
  return [
    { name: "egnn", error: distance(outputs, expected), tolerance: 5e-6 },
    { name: "egnn_backward", error: distance(got, gradient), tolerance: 2e-5 },
  ];
}

async function exponential(kernels: GpuKernels): Promise<Comparison[]> {
  const [N, n, C] = [13, 3, 3] as const;
  const a: LowRank = {
    h: noise(N * C, 1, 0.7),
    s: noise(C, 2),
    particles: N,
    dimension: n,
    channels: C,
  };
  const x = noise(N * n, 3);
  const expected = new Float64Array(N * n);
  addExponentialDisplacement(a, x, 0.125, expected);
  const inputs = Float32Array.from([...x, ...a.h, ...a.s, ...noise(N * n, 4)]);
  const shape = { particles: N, dimension: n, channels: C };
  const got = await kernels.matrixExponential(shape, inputs, 1, 0.125);
  return [{ name: "matrix_exponential", error: distance(got, expected), tolerance: 2e-5 }];
}

/** Whole trajectories and their gradient, dw4 and lj13. */
async function julep(name: string, steps: number): Promise<Comparison[]> {
  const config = preset(name);
  config.julep.network.enabled = true;
  Object.assign(config.julep.network, { layers: 2, hidden: 16 });
  if (name === "dw4") config.mint.components = 6;
  // Nothing is fitted here, and the softest levels do best without a flow.
  if (config.julep.path) {
    Object.assign(config.julep.path, { variant: "robust", flow: "drift" });
    config.mint.broad.scale = Math.sqrt(0.5);
  }
  const system = createSystem(config.system);
  const model = initialiseJulep(system, config.julep, 4);
  const jitter = noise(model.parameters.length, 11, name === "dw4" ? 0.02 : 0.002);
  const problem = {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: { ...model, parameters: model.parameters.map((p, i) => p + jitter[i]) },
  };
  const reference = new ReferenceExecutor();
  const gpu = await WebGpuExecutor.create();
  reference.prepare(problem);
  await gpu.prepare(problem);
  const count = 4;
  const times = uniformTimes(steps);
  const path = { seed: 5, first: 0, count, times, direction: "forward", keep: true } as const;
  const exact = reference.trajectories(path);
  const got = await gpu.trajectories(path);
  const worst = largest(got.logWeights, exact.logWeights);
  const gradient = {
    seed: 5,
    first: 0,
    count,
    times,
    coefficients: noise(steps * count, 12),
    stepCoefficients: noise(steps * count, 13),
    windows: Int32Array.of(1, steps - 2),
  };
  const want = reference.trajectoryGradient({
    ...gradient,
    states: exact.states!,
    forces: exact.forces!,
  });
  const have = await gpu.trajectoryGradient({
    ...gradient,
    states: got.states!,
    forces: got.forces!,
  });
  gpu.dispose();
  return [
    { name: `julep, log-weights of ${name}, ${steps} steps`, error: worst, tolerance: 1e-3 },
    {
      name: `julep_gradient, ${name}`,
      error: distance(have.parameters, want.parameters),
      tolerance: 1e-3,
    },
    {
      name: `julep_gradient, step sizes of ${name}`,
      error: distance(have.logStepSize, want.logStepSize),
      tolerance: 1e-3,
    },
  ];
}

/** largest, but of a hundredth of the number where a path collided and has a log-weight of thousands. */
function largestOfPaths(got: ArrayLike<number>, exact: ArrayLike<number>): number {
  const errors = Array.from(
    exact,
    (e, a) => Math.abs(got[a] - e) / Math.max(1, Math.abs(e) / 100),
  );
  return largest(errors, errors.map(() => 0));
}

/** Annealing paths both ways, islands with moves, and chains. */
async function paths(kernel: PathKernelName): Promise<Comparison[]> {
  const system = preset("lj13").system as LennardJonesConfig;
  const path = clusterPath(system, { kernel, levels: 12, leapfrogs: 2 });
  const problem = { system, mint: null, julep: null, path };
  const reference = new ReferenceExecutor();
  const gpu = await WebGpuExecutor.create();
  reference.prepare(problem);
  await gpu.prepare(problem);
  const job = { seed: 5, first: 0, count: 4 };
  const exact = reference.paths({ ...job, direction: "forward" });
  const got = await gpu.paths({ ...job, direction: "forward" });
  const positions = Float64Array.from(exact.positions);
  const back = { ...job, direction: "backward", positions } as const;
  const moves = { transitions: 1, leapfrogs: 2, stepFactor: 1 };
  const island = { seed: 8, island: 3, population: 16, threshold: 0.9, moves };
  const chains = {
    ...{ ...job, positions, leapfrogs: 3, stepSize: 0.02, targetAcceptance: 0.8 },
    ...{ warmup: 3, draws: 2, thin: 2 },
  };
  const out = [
    { name: `path, ${kernel}`, error: largestOfPaths(got.logWeights, exact.logWeights) },
    {
      name: `path, ${kernel}, backward`,
      error: largest((await gpu.paths(back)).logWeights, reference.paths(back).logWeights),
    },
    {
      name: `path, ${kernel}, island`,
      error: largest((await gpu.island(island)).logWeights, reference.island(island).logWeights),
    },
    {
      name: "hmc",
      error: largest((await gpu.chains(chains)).positions, reference.chains(chains).positions),
    },
  ].map((one) => ({ ...one, tolerance: 1e-3 }));
  gpu.dispose();
  return out;
}

/** The comparators: paths both ways, and the gradient that each is trained by. */
async function diffusion(method: "pis" | "dds"): Promise<Comparison[]> {
  // Steps short enough that an untrained path is stable, and rounding does not grow along it.
  const config = withMethod(preset("dw4"), method);
  if (method === "pis") config.julep.stepSize.initial = 0.2;
  else config.julep.diffusion!.targetForce = false;
  const system = createSystem(config.system);
  const model = initialiseJulep(system, config.julep, 4);
  const jitter = noise(model.parameters.length, 11, 0.01);
  const problem = {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: { ...model, parameters: model.parameters.map((p, i) => p + jitter[i]) },
  };
  const reference = new ReferenceExecutor();
  const gpu = await WebGpuExecutor.create();
  reference.prepare(problem);
  await gpu.prepare(problem);
  const [steps, count] = [20, 6];
  const times = uniformTimes(steps);
  const path = { seed: 5, first: 4, count, times, direction: "forward", keep: true } as const;
  const exact = reference.trajectories(path);
  const got = await gpu.trajectories(path);
  const positions = Float64Array.from(exact.positions);
  const back = { ...path, keep: false, direction: "backward", positions } as const;
  const gradient = {
    ...{ seed: 5, first: 4, count, times },
    coefficients: noise(steps * count, 12),
    stepCoefficients: new Float64Array(steps * count),
    windows: Int32Array.of(0, steps, 2, 5),
    throughPath: method === "pis",
  };
  const kept = ({ states, forces }: typeof exact) => ({ states: states!, forces: forces! });
  const want = reference.trajectoryGradient({ ...gradient, ...kept(exact) });
  const have = await gpu.trajectoryGradient({ ...gradient, ...kept(got) });
  const out = [
    {
      name: `controlled_diffusion, ${method}`,
      error: largest(got.logWeights, exact.logWeights),
      tolerance: 1e-3,
    },
    {
      name: `controlled_diffusion, ${method}, backward`,
      error: largest(
        (await gpu.trajectories(back)).logWeights,
        reference.trajectories(back).logWeights,
      ),
      tolerance: 1e-3,
    },
    {
      name: `controlled_diffusion_gradient, ${method}`,
      error: distance(have.parameters, want.parameters),
      tolerance: 5e-4,
    },
  ];
  gpu.dispose();
  return out;
}

/** Energies and forces, as they are and under both soft cores. */
async function molecule(kernels: GpuKernels): Promise<Comparison[]> {
  const { forceField, positions } = aldp();
  const jitter = noise(4 * positions.length, 14, 0.004);
  const x = jitter.map((v, a) => v + positions[a % positions.length]);
  const kernel = new GpuMolecule(kernels, forceField, "obc2");
  const exactEnergy = new MoleculeEnergy(forceField, "obc2");
  const cores: (MoleculeSoftCore | null)[] = [
    null,
    { kind: "shifted", alpha: 1, bonded: 0.1 },
    { kind: "beutler", alpha: 0.5, bonded: 1 },
  ];
  const out: Comparison[] = [];
  for (const core of cores) {
    const soft = core && softening(core, 0.4);
    const got = await kernel.energies(x, 4, soft);
    const exact = moleculeEnergies(exactEnergy, x, 4, soft);
    const name = core ? `, soft core ${core.kind}` : "";
    out.push(
      {
        name: `molecule_energies${name}`,
        error: distance(got.terms, exact.terms),
        tolerance: 1e-5,
      },
      {
        name: `molecule forces${name}`,
        error: distance(got.gradients, exact.gradients),
        tolerance: 1e-4,
      },
    );
  }
  return out;
}

/** Densities of the other families of the prior. */
async function families(kernels: GpuKernels): Promise<Comparison[]> {
  const out: Comparison[] = [];
  for (const family of ["pvmf", "orbit_gaussian"] as const) {
    const config = preset("dw4");
    Object.assign(config.mint, { components: 3, family });
    const mint = initialiseMint(createSystem(config.system), config.mint, 4);
    const q = new MintDensity(mint);
    const x = drawMint(q, 1, 0, 8);
    const got = await kernels.mintPrior(mint, Float32Array.from(x), 8);
    const exact = Array.from({ length: 8 }, (_, s) => q.logDensity(x.slice(8 * s, 8 * s + 8)));
    out.push({ name: family, error: distance(got.values, exact), tolerance: 1e-5 });
  }
  return out;
}

async function run(): Promise<Outcome> {
  const device = await GpuDevice.open({ defaultLimits: true });
  const kernels = new GpuKernels(device);
  const { vendor, architecture, device: name, description } = device.facts;
  const comparisons = [
    ...await threefry(kernels),
    ...await potentials(kernels, "dw4"),
    ...await potentials(kernels, "lj13"),
    ...await network(kernels),
    ...await exponential(kernels),
    ...await families(kernels),
    ...await molecule(kernels),
    ...await paths("underdamped"),
    ...await paths("adjusted"),
    ...await diffusion("pis"),
    ...await diffusion("dds"),
    ...await julep("dw4", 20),
    ...await julep("lj13", 100),
  ];
  device.destroy();
  return { adapter: [vendor, architecture, name, description].join(" ").trim(), comparisons };
}

/** What tools/browser.ts waits for. */
const suite = { run };
Object.assign(globalThis, { suite });

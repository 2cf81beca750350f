/** A device that offers little does the work in more pieces, with the same result. */
import assert from "node:assert/strict";
import type {
  ChainsResult,
  GradientJob,
  PathResult,
  TrajectoryJob,
  TrajectoryResult,
} from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WebGpuExecutor, type WebGpuOptions } from "../../src/backends/webgpu/executor.ts";
import { loadConfig } from "../../src/config/load.ts";
import { preset } from "../../src/config/presets.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { clusterPath } from "../../src/path/cluster.ts";
import { lennardJones, scattered } from "../path/helpers.ts";
import { gpuTest } from "../conformance/gpu.ts";

const STEPS = 24;
const COUNT = 22;

function problem() {
  const config = preset("dw4");
  Object.assign(config.mint, { components: 3, starts: 8 });
  Object.assign(config.julep.network, { layers: 1, hidden: 8 });
  const system = createSystem(config.system);
  const julep = initialiseJulep(system, config.julep, 4);
  const random = new RandomStream(11, Stream.test, 0);
  return {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: { ...julep, parameters: julep.parameters.map((p) => p + 0.1 * random.normal()) },
  };
}

const path: TrajectoryJob = {
  seed: 5,
  first: 8,
  count: COUNT,
  times: uniformTimes(STEPS),
  direction: "forward",
  keep: true,
};

async function run(executor: WebGpuExecutor | ReferenceExecutor) {
  await executor.prepare(problem());
  const paths = await executor.trajectories(path);
  const random = new RandomStream(3, Stream.test, 1);
  const numbers = () => Float64Array.from({ length: STEPS * COUNT }, () => random.normal());
  const job: GradientJob = {
    ...path,
    states: paths.states!,
    forces: paths.forces!,
    coefficients: numbers(),
    stepCoefficients: numbers(),
    windows: Int32Array.from({ length: 2 * Math.ceil(COUNT / 4) }, (_, i) => i % 2 ? 4 : 1),
  };
  const gradient = await executor.trajectoryGradient(job);
  executor.dispose();
  return { ...paths, gradient };
}

const variants: Record<string, WebGpuOptions> = {
  "all limits": {},
  "the default limits": { defaultLimits: true },
  // Not all samples' states fit into one batch, nor all workgroups' gradients.
  // Neither a state of a trajectory nor one of the gradient fits into one dispatch.
  "loops of 1000 turns": { turns: 1000 },
  "bindings of 24 KiB": { defaultLimits: true, largestBinding: 24 * 1024 },
};

gpuTest("trajectories and gradients are the same within any limits", async () => {
  const exact = await run(new ReferenceExecutor());
  let first: Awaited<ReturnType<typeof run>> | undefined;
  for (const [name, options] of Object.entries(variants)) {
    const got = await run(await WebGpuExecutor.create(options));
    exact.logWeights.forEach((W, s) => {
      assert.ok(Math.abs(got.logWeights[s] - W) <= 1e-3, `${name}: ${got.logWeights[s]}, ${W}`);
    });
    for (const key of ["parameters", "logStepSize"] as const) {
      const norm = Math.hypot(...exact.gradient[key]);
      const error = Math.hypot(...got.gradient[key].map((g, i) => g - exact.gradient[key][i]));
      assert.ok(norm > 1e-6 && error <= 2e-4 * norm, `${name}, ${key}: ${error} of ${norm}`);
    }
    first ??= got;
    assert.deepEqual(got.logWeights, first.logWeights, `${name}: samples do not know their batch`);
    assert.deepEqual(got.positions, first.positions);
  }
});

gpuTest(
  "a comparator's paths and gradients in many pieces, within the default limits",
  async () => {
    const config = loadConfig("dw4", ["julep.stepSize.initial=0.2"], "pis");
    Object.assign(config.julep.network, { layers: 1, hidden: 8 });
    const system = createSystem(config.system);
    const julep = initialiseJulep(system, config.julep, 4);
    const random = new RandomStream(11, Stream.test, 0);
    const setUp = {
      system: config.system,
      mint: initialiseMint(system, config.mint, 4),
      julep: { ...julep, parameters: julep.parameters.map((p) => p + 0.01 * random.normal()) },
    };
    // Several batches, and a step's network in several dispatches.
    const options = { defaultLimits: true, largestBinding: 12 * 1024, turns: 1000 };
    const [steps, count] = [15, 14];
    const job: TrajectoryJob = { ...path, count, times: uniformTimes(steps) };
    const gradients: Float64Array[] = [];
    let exact: TrajectoryResult | undefined;
    for (const executor of [new ReferenceExecutor(), await WebGpuExecutor.create(options)]) {
      await executor.prepare(setUp);
      const paths = await executor.trajectories(job);
      exact ??= paths;
      exact.logWeights.forEach((W, s) => {
        assert.ok(Math.abs(paths.logWeights[s] - W) <= 1e-3, `${paths.logWeights[s]}, ${W}`);
      });
      const gradient = await executor.trajectoryGradient({
        ...job,
        states: paths.states!,
        forces: paths.forces!,
        coefficients: Float64Array.from({ length: steps * count }, (_, q) => 1 + q % 3),
        stepCoefficients: new Float64Array(steps * count),
        windows: new Int32Array(2 * Math.ceil(count / 4)),
        throughPath: true,
      });
      gradients.push(gradient.parameters);
      executor.dispose();
    }
    const norm = Math.hypot(...gradients[0]);
    const error = Math.hypot(...gradients[0].map((g, i) => g - gradients[1][i]));
    assert.ok(norm > 1e-6 && error <= 5e-4 * norm, `${error} of ${norm}`);
  },
);

gpuTest("annealing paths and chains are the same within any limits", async () => {
  const system = lennardJones(13);
  const path = clusterPath(system, { kernel: "underdamped", levels: 12 });
  const x = Float64Array.from(
    { length: 8 * 39 },
    (_, a) => scattered(13, 3, 1, 4, 1.1, 0.03)[a % 39],
  );
  let first: { paths: PathResult; chains: ChainsResult } | undefined;
  for (const [name, options] of Object.entries(variants)) {
    const executor = await WebGpuExecutor.create(options);
    await executor.prepare({ system, mint: null, julep: null, path });
    const range = { seed: 5, first: 8 };
    const paths = await executor.paths({ ...range, count: 100, direction: "forward" });
    const chains = await executor.chains({
      ...range,
      count: 8,
      positions: x,
      leapfrogs: 2,
      stepSize: 0.02,
      targetAcceptance: 0.8,
      warmup: 3,
      draws: 30,
      thin: 1,
    });
    executor.dispose();
    first ??= { paths, chains };
    assert.deepEqual(paths.logWeights, first.paths.logWeights, name);
    assert.deepEqual(paths.positions, first.paths.positions, name);
    assert.deepEqual(chains.positions, first.chains.positions, name);
    assert.deepEqual(chains.acceptance, first.chains.acceptance, name);
  }
});

gpuTest("a state cut into many dispatches has the bits of one that is not", async () => {
  const config = preset("lj13");
  Object.assign(config.julep.network, { layers: 2, hidden: 16 });
  config.julep.path!.flow = "none";
  const results = [];
  // Its tiles of edges: three in each of two layers.
  for (const turns of [undefined, 1500]) {
    const executor = await WebGpuExecutor.create({ turns });
    const system = createSystem(config.system);
    const julep = initialiseJulep(system, config.julep, 4);
    const random = new RandomStream(11, Stream.test, 0);
    await executor.prepare({
      system: config.system,
      mint: initialiseMint(system, config.mint, 4),
      julep: { ...julep, parameters: julep.parameters.map((p) => p + 0.02 * random.normal()) },
    });
    const job: TrajectoryJob = { ...path, count: 5, times: uniformTimes(4) };
    const paths = await executor.trajectories(job);
    const coefficients = Float64Array.from({ length: 20 }, () => random.normal());
    const gradient = await executor.trajectoryGradient({
      ...job,
      states: paths.states!,
      forces: paths.forces!,
      coefficients,
      stepCoefficients: coefficients,
      windows: Int32Array.of(0, 4, 1, 2),
    });
    results.push({ weights: paths.logWeights, gradient });
    executor.dispose();
  }
  assert.ok(Math.hypot(...results[0].gradient.parameters) > 0);
  assert.deepEqual(results[1], results[0]);
});

/**
 * Training and sampling with the webgpu backend: as with WebAssembly, the same every time, and whole
 * again after the device was lost.
 */
import assert from "node:assert/strict";
import type { Executor } from "../../src/backends/backend.ts";
import { createExecutor } from "../../src/backends/create.ts";
import { WebGpuExecutor } from "../../src/backends/webgpu/executor.ts";
import { preset } from "../../src/config/presets.ts";
import { initialiseJulep, type JulepJobs, JulepTraining } from "../../src/julep/train.ts";
import type { JulepModel } from "../../src/julep/model.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { draw, trainJulep, trainMint } from "../../src/run/stages.ts";
import { effectiveSampleSizeWithError } from "../../src/sampling/weights.ts";
import { createSystem } from "../../src/systems/create.ts";
import { ExecutorPool } from "../../src/workers/pool.ts";
import { gpuTest } from "../conformance/gpu.ts";

/** DW-4, small enough for software Vulkan. */
function small() {
  const config = preset("dw4");
  Object.assign(config.mint, { components: 6, iterations: 40, samples: 128, starts: 16 });
  Object.assign(config.julep, { steps: 10, samples: 24, iterations: 10, warmup: 2 });
  Object.assign(config.julep.network, { layers: 1, hidden: 16 });
  return config;
}
const config = small();
const system = createSystem(config.system);

/** The jobs of training on one executor. */
function jobsOn(executor: Executor, mint: MintModel, between?: () => void): JulepJobs {
  const prepare = (julep: JulepModel) => executor.prepare({ system: config.system, mint, julep });
  return {
    async trajectories(model, jobs) {
      await prepare(model);
      const results = [];
      for (const job of jobs) results.push(await executor.trajectories(job));
      between?.();
      return results;
    },
    async gradients(_, jobs) {
      const results = [];
      for (const job of jobs) results.push(await executor.trajectoryGradient(job));
      return results;
    },
  };
}

function training(mint: MintModel, executor: Executor, between?: () => void) {
  const loop = new JulepTraining(initialiseJulep(system, config.julep, 3), config.julep, 3);
  return { loop, jobs: jobsOn(executor, mint, between) };
}

gpuTest("two iterations of training follow the reference, and repeat to the bit", async () => {
  const mint = initialiseMint(system, config.mint, 3);
  const gpu = await createExecutor("webgpu");
  const run = async (executor: Executor) => {
    const { loop, jobs } = training(mint, executor);
    const reports = [await loop.step(jobs), await loop.step(jobs)];
    return { reports, parameters: loop.current.parameters };
  };
  const first = await run(gpu);
  assert.deepEqual(await run(gpu), first, "same seed, same device, same bits");
  const exact = await run(await createExecutor("reference"));
  exact.reports.forEach((report, i) => {
    const got = first.reports[i];
    for (const key of ["loss", "ess", "logZ", "gradientNorm"] as const) {
      const error = Math.abs(got[key] - report[key]);
      assert.ok(error <= 1e-3 * (1 + Math.abs(report[key])), `${key}: ${got[key]}, ${report[key]}`);
    }
  });
  gpu.dispose();
});

gpuTest(
  "a device lost in the middle of an iteration loses nothing where it may be opened again",
  async () => {
    const mint = initialiseMint(system, config.mint, 3);
    const iterations = 3;
    const run = async (executor: WebGpuExecutor, between?: (iteration: number) => void) => {
      let done = 0;
      const { loop, jobs } = training(mint, executor, () => between?.(done++));
      const reports = [];
      for (let i = 0; i < iterations; i++) reports.push(await loop.step(jobs));
      executor.dispose();
      return { reports, state: loop.state() };
    };
    const undisturbed = await run(await WebGpuExecutor.create());
    const executor = await WebGpuExecutor.create({ recover: true });
    // Destroyed when the trajectories stand on it and their gradient is still to come.
    const disturbed = await run(executor, (i) => i === 1 && executor.device.destroy());
    assert.deepEqual(disturbed, undisturbed);
  },
);

gpuTest(
  "a lost device is an error where nobody may open it again, and the state is whole",
  async () => {
    const mint = initialiseMint(system, config.mint, 3);
    const straight = training(mint, await createExecutor("webgpu"));
    for (let i = 0; i < 3; i++) await straight.loop.step(straight.jobs);

    const executor = await WebGpuExecutor.create();
    let done = 0;
    const broken = training(mint, executor, () => done++ === 1 && executor.device.destroy());
    await broken.loop.step(broken.jobs);
    await assert.rejects(
      broken.loop.step(broken.jobs),
      (error: Error) =>
        error.name === "DeviceLostError" &&
        /^julep_gradient of 8 samples, 10 steps, N = 4/.test(error.message),
    );
    const state = broken.loop.state();
    assert.equal(state.iteration, 1);
    const resumed = new JulepTraining(state.model, config.julep, 3, state);
    const jobs = jobsOn(await createExecutor("webgpu"), mint);
    while (resumed.iteration < 3) await resumed.step(jobs);
    assert.deepEqual(resumed.state(), straight.loop.state());
  },
);

gpuTest(
  "DW-4 trained on webgpu has the ESS of WebAssembly, and each samples what the other trained",
  async () => {
    const samples = 768;
    const runs = [];
    for (const backend of ["webgpu", "wasm"] as const) {
      await using pool = await ExecutorPool.start({ backend, workers: 1 });
      const context = { backend: pool, seed: 2666 };
      const mint = await trainMint(system, config.mint, context);
      const julep = await trainJulep(system, mint, config.julep, context);
      runs.push({ backend, mint, julep });
    }
    const drawn: Record<string, Float64Array> = {};
    for (const backend of ["webgpu", "wasm"] as const) {
      await using pool = await ExecutorPool.start({ backend, workers: 1 });
      for (const { backend: trainedOn, mint, julep } of runs) {
        const context = { backend: pool, seed: 11, samples, steps: config.julep.steps };
        drawn[`${trainedOn} on ${backend}`] = (await draw(system, mint, julep, context)).logWeights;
      }
    }
    const ess = (name: string) => effectiveSampleSizeWithError(drawn[name]);
    const [gpu, wasm] = [ess("webgpu on webgpu"), ess("wasm on wasm")];
    // Four standard errors of the difference: false alarm 6e-5.
    const error = 4 * Math.hypot(gpu.standardError, wasm.standardError);
    assert.ok(Math.abs(gpu.ess - wasm.ess) <= error, `${gpu.ess}, ${wasm.ess} ± ${error}`);
    // One checkpoint, the same random words: path by path the same weights on both backends.
    for (const trainedOn of ["webgpu", "wasm"]) {
      const [a, b] = ["webgpu", "wasm"].map((backend) => drawn[`${trainedOn} on ${backend}`]);
      const worst = a.reduce((w, v, s) => Math.max(w, Math.abs(v - b[s])), 0);
      assert.ok(worst <= 2e-3, `trained on ${trainedOn}: log-weights differ by ${worst}`);
    }
  },
);

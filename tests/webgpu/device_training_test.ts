/**
 * Training that stays on the device: as the float64 reference, the same bits however its iterations are
 * divided, resumed, or interrupted by a lost device.
 */
import assert from "node:assert/strict";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WebGpuExecutor } from "../../src/backends/webgpu/executor.ts";
import type { RunConfig } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { preset } from "../../src/config/presets.ts";
import {
  initialiseJulep,
  type JulepJobs,
  type JulepStepReport,
  JulepTraining,
  type JulepTrainingState,
} from "../../src/julep/train.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { gpuTest } from "../conformance/gpu.ts";

/** Small enough for software Vulkan; samples of no round number, so that blocks are not full. */
function small(name: string, change: (config: RunConfig) => void = () => {}): RunConfig {
  const config = preset(name);
  Object.assign(config.mint, { starts: 16 }, name === "dw4" ? { components: 6 } : {});
  Object.assign(config.julep, { steps: 10, samples: 22, iterations: 10, warmup: 2 });
  Object.assign(config.julep.network, { layers: 1, hidden: 16 });
  if (config.julep.path) {
    // The softest levels: so few steps without a flow end among collisions, where float32 and float64 part.
    Object.assign(config.julep.path, { variant: "robust", flow: "none" });
    config.mint.broad.scale = Math.sqrt(0.5);
  }
  change(config);
  return config;
}

function begin(config: RunConfig, state?: JulepTrainingState) {
  const system = createSystem(config.system);
  const mint = initialiseMint(system, config.mint, 3);
  const start = initialiseJulep(system, config.julep, 3);
  return { mint, loop: new JulepTraining(start, config.julep, 3, state) };
}

type Executor = WebGpuExecutor | ReferenceExecutor;

/** The jobs of training; `train` where the executor has it. */
function jobsOn(executor: Executor, config: RunConfig, mint: MintModel): JulepJobs {
  const prepare = (julep: JulepTraining["current"]) =>
    executor.prepare({ system: config.system, mint, julep });
  const each = async <J, R>(jobs: J[], work: (job: J) => R) => {
    const results: Awaited<R>[] = [];
    for (const job of jobs) results.push(await work(job));
    return results;
  };
  const jobs: JulepJobs = {
    async trajectories(model, list) {
      await prepare(model);
      return await each(list, (job) => executor.trajectories(job));
    },
    gradients: (_, list) => each(list, (job) => executor.trajectoryGradient(job)),
  };
  if (executor instanceof ReferenceExecutor) return jobs;
  return {
    ...jobs,
    async train(model, job) {
      await prepare(model);
      return await executor.train(job);
    },
  };
}

/** Iterations in batches of these sizes. */
async function run(config: RunConfig, executor: Executor, batches: number[]) {
  const { mint, loop } = begin(config);
  const jobs = jobsOn(executor, config, mint);
  const reports: JulepStepReport[] = [];
  for (const most of batches) {
    for (let left = most; left > 0;) {
      const done = await loop.advance(jobs, left);
      reports.push(...done);
      left -= done.length;
    }
  }
  return { reports, state: loop.state() };
}

/** Short steps: rounding must not grow along the path of an untrained control. */
function comparator(method: "pis" | "dds"): RunConfig {
  const config = loadConfig("dw4", ["julep.stepSize.initial=0.2"], method);
  Object.assign(config.julep, { steps: 5, samples: 6, iterations: 10, warmup: 2 });
  Object.assign(config.julep.network, { layers: 1, hidden: 8 });
  return config;
}

const configs: [string, RunConfig][] = [
  ["dw4", small("dw4")],
  [
    "dw4, total loss, random grid, all steps, no tilt",
    small("dw4", ({ julep }) => {
      Object.assign(julep, { loss: "total", grid: "random", gradientFraction: 1, tilt: 0 });
    }),
  ],
  [
    "dw4, grouped loss, anchor, fixed step size",
    small("dw4", ({ julep }) => {
      Object.assign(julep, { loss: "grouped", lossGroups: 3, gauge: "anchor", samples: 7 });
      julep.stepSize.learn = false;
    }),
  ],
  ["dw4, no network", small("dw4", ({ julep }) => julep.network.enabled = false)],
  ["dw4, dds", comparator("dds")],
  ["dw4, pis", comparator("pis")],
  ["lj13", small("lj13", ({ julep }) => Object.assign(julep, { steps: 6, samples: 9, tilt: 0 }))],
];

for (const [name, config] of configs) {
  gpuTest(`training on the device follows the reference, ${name}`, async () => {
    const executor = await WebGpuExecutor.create();
    const got = await run(config, executor, [2]);
    const exact = await run(config, new ReferenceExecutor(), [2]);
    exact.reports.forEach((report, i) => {
      for (const key of Object.keys(report) as (keyof JulepStepReport)[]) {
        const error = Math.abs(got.reports[i][key] - report[key]);
        assert.ok(
          error <= 1e-3 * (1 + Math.abs(report[key])),
          `iteration ${i}, ${key}: ${got.reports[i][key]}, ${report[key]}`,
        );
      }
    });
    // Adam's step is ±1 whatever a gradient's size; its moments tell how good the gradients are.
    for (const moment of ["m", "v"] as const) {
      const expected = exact.state.adam[moment];
      const norm = Math.hypot(...expected);
      const error = Math.hypot(...got.state.adam[moment].map((x, i) => x - expected[i]));
      assert.ok(norm > 1e-9 && error <= 1e-3 * norm, `${moment}: ${error} of ${norm}`);
    }
    assert.equal(got.state.adam.step, 2);
    executor.dispose();
  });
}

gpuTest("how iterations are divided, and where they are resumed, changes no bit", async () => {
  const config = small("dw4");
  const whole = await run(config, await WebGpuExecutor.create(), [5]);
  assert.deepEqual(await run(config, await WebGpuExecutor.create(), [1, 3, 1]), whole);

  const half = await run(config, await WebGpuExecutor.create(), [2]);
  const state = structuredClone(half.state);
  const { mint, loop } = begin(config, state);
  const jobs = jobsOn(await WebGpuExecutor.create({ defaultLimits: true }), config, mint);
  const rest = await loop.advance(jobs, 3);
  assert.deepEqual(loop.state(), whole.state);
  assert.deepEqual([...half.reports, ...rest], whole.reports);
});

gpuTest("a device lost between or within batches loses nothing", async () => {
  const config = small("dw4");
  const whole = await run(config, await WebGpuExecutor.create(), [4]);

  // Opened again: the job is done again from the state it came with.
  const executor = await WebGpuExecutor.create({ recover: true });
  const { mint, loop } = begin(config);
  const jobs = jobsOn(executor, config, mint);
  const reports = await loop.advance(jobs, 2);
  const pending = loop.advance(jobs, 2);
  executor.device.destroy();
  reports.push(...await pending);
  assert.deepEqual({ reports, state: loop.state() }, whole);

  // Not opened again: an error, and the state of the last batch.
  const fragile = await WebGpuExecutor.create();
  const broken = begin(config);
  const first = await broken.loop.advance(jobsOn(fragile, config, broken.mint), 2);
  fragile.device.destroy();
  await assert.rejects(
    broken.loop.advance(jobsOn(fragile, config, broken.mint), 2),
    (error: Error) =>
      error.name === "DeviceLostError" && /^training \(2 iterations\) of 22/.test(error.message),
  );
  assert.equal(broken.loop.iteration, 2);
  const resumed = begin(config, broken.loop.state());
  const rest = await resumed.loop.advance(
    jobsOn(await WebGpuExecutor.create(), config, resumed.mint),
    2,
  );
  assert.deepEqual({ reports: [...first, ...rest], state: resumed.loop.state() }, whole);
});

gpuTest("batches of samples whose states do not fit one binding train alike", async () => {
  const config = small("dw4", ({ julep }) => {
    Object.assign(julep, { gradientFraction: 1, samples: 44 });
    julep.network.hidden = 8;
  });
  const whole = await run(config, await WebGpuExecutor.create(), [2]);
  // Parameters and moments are 16 KiB, the samples' states 30 KiB.
  const cut = await run(config, await WebGpuExecutor.create({ largestBinding: 20 * 1024 }), [2]);
  cut.reports.forEach((report, i) => {
    const { loss } = whole.reports[i];
    assert.ok(Math.abs(report.loss - loss) <= 1e-4 * (1 + loss), `${report.loss}, ${loss}`);
  });
  const [a, b] = [cut, whole].map(({ state }) => state.adam.m);
  assert.ok(Math.hypot(...a.map((x, i) => x - b[i])) <= 1e-3 * Math.hypot(...b));
});

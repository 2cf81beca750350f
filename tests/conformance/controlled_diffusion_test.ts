/** The comparators' paths and gradients: every backend against the float64 reference. */
import assert from "node:assert/strict";
import type { GradientJob, Problem, TrajectoryJob } from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { loadConfig } from "../../src/config/load.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { eachBackend } from "./backends.ts";

const cases: [string, string, string[]][] = [
  ["dw4", "pis", gentle(0.2)],
  ["dw4", "dds", ["julep.diffusion.targetForce=false"]],
  [
    "lj13",
    "dds",
    [
      ...gentle(0.02),
      "julep.forceClip=20",
      "julep.diffusion.finalStepSize=0.1",
      ...["julep.network.layers=2", "julep.network.hidden=16"],
    ],
  ],
];

/** Steps short enough that an untrained path is stable, and rounding does not grow along it. */
function gentle(stepSize: number): string[] {
  return [`julep.stepSize.initial=${stepSize}`];
}

for (const [preset, method, overrides] of cases) {
  const config = loadConfig(preset, overrides, method);
  const name = [preset, method, ...overrides].join(", ");
  const system = createSystem(config.system);
  const julep = initialiseJulep(system, config.julep, 4);
  const random = new RandomStream(11, Stream.test, 0);
  const setUp: Problem = {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: { ...julep, parameters: julep.parameters.map((p) => p + 0.01 * random.normal()) },
  };
  const reference = new ReferenceExecutor();
  reference.prepare(setUp);
  const [steps, count] = preset === "dw4" ? [20, 6] : [8, 6];
  const forward = (keep = false): TrajectoryJob => ({
    seed: 5,
    first: 4,
    count,
    times: uniformTimes(steps),
    direction: "forward",
    keep,
  });
  const expected = reference.trajectories(forward(true));
  const close = (got: Float64Array, want: Float64Array, what: string) =>
    want.forEach((v, s) =>
      assert.ok(
        v === got[s] || Math.abs(got[s] - v) <= 1e-3 * Math.max(1, Math.abs(v) * 1e-2),
        `${what} ${s}: ${got[s]} against ${v}`,
      )
    );

  eachBackend(`diffusion: log-weights of paths both ways, ${name}`, async (executor) => {
    await executor.prepare(setUp);
    const got = await executor.trajectories(forward(true));
    close(got.logWeights, expected.logWeights, "forward");
    const constant = expected.logWeights[0] -
      sum(expected.increments!, steps, 0, count);
    for (let s = 0; s < count; s++) {
      const total = sum(got.increments!, steps, s, count) + constant;
      assert.ok(Math.abs(total - got.logWeights[s]) < 2e-3, "the increments sum to W");
    }
    const back: TrajectoryJob = {
      ...forward(),
      direction: "backward",
      positions: Float64Array.from(expected.positions),
    };
    close(
      (await executor.trajectories(back)).logWeights,
      reference.trajectories(back).logWeights,
      "backward",
    );
  });

  for (const throughPath of [false, true]) {
    // Each form is a shader of its own, which takes seconds to compile: there PIS has the one and DDS
    // the other, as in training.
    const besides = throughPath === (method === "pis") ? [] : ["webgpu"];
    const what = throughPath ? "gradient through the path" : "gradient with states held fixed";
    eachBackend(
      `diffusion: ${what}, ${name}`,
      async (executor) => {
        await executor.prepare(setUp);
        // A device takes gradients along the paths it kept itself.
        const kept = executor.name === "webgpu"
          ? await executor.trajectories(forward(true))
          : expected;
        const random = new RandomStream(3, Stream.test, 1);
        const job: GradientJob = {
          seed: 5,
          first: 4,
          count,
          times: uniformTimes(steps),
          states: expected.states!,
          forces: expected.forces!,
          coefficients: Float64Array.from({ length: steps * count }, () => random.normal()),
          stepCoefficients: new Float64Array(steps * count),
          windows: Int32Array.of(0, steps, 2, 5),
          throughPath,
        };
        const want = reference.trajectoryGradient(job).parameters;
        const { states, forces } = kept;
        const own = { ...job, states: states!, forces: forces! };
        const got = (await executor.trajectoryGradient(own)).parameters;
        const norm = Math.hypot(...want);
        const error = Math.hypot(...got.map((g, i) => g - want[i]));
        assert.ok(norm > 1e-6 && error <= 5e-4 * norm, `error ${error} of norm ${norm}`);
      },
      {},
      besides,
    );
  }
}

function sum(increments: Float64Array, steps: number, sample: number, count: number): number {
  let total = 0;
  for (let i = 0; i < steps; i++) total += increments[i * count + sample];
  return total;
}

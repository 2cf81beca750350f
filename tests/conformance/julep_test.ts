/** Whole trajectories and their gradients: every backend against the float64 reference. */
import assert from "node:assert/strict";
import type { Executor, GradientJob, Problem, TrajectoryJob } from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import type { RunConfig } from "../../src/config/config.ts";
import { preset } from "../../src/config/presets.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { randomTimes, uniformTimes } from "../../src/julep/schedule.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { flowVelocity } from "../../src/julep/pair_path.ts";
import { randomFlow } from "../path/helpers.ts";
import { createSystem } from "../../src/systems/create.ts";
import { eachBackend } from "./backends.ts";

/** A problem with every parameter of the network moved off its start, so that no head is silent. */
function problem(config: RunConfig, noise: number): Problem {
  const system = createSystem(config.system);
  const julep = initialiseJulep(system, config.julep, 4);
  const random = new RandomStream(11, Stream.test, 0);
  const flow = config.julep.path?.flow;
  const fitted = flow === "drift"
    ? { pairDrift: flowVelocity(randomFlow(5, 300, 0.03, 0.05, 9)) }
    : EXACT.includes(config)
    ? { pairFlow: randomFlow(100, 60, 0.08, 0.02, 10) }
    : {};
  if (julep.path && EXACT.includes(config)) {
    // A distance at which some particles notice.
    Object.assign(julep.path.levels, { saturation: 2 });
  }
  return {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: {
      ...julep,
      parameters: julep.parameters.map((p) => p + noise * random.normal()),
      ...fitted,
    },
  };
}

function dw4(change: (config: RunConfig) => void = () => {}): RunConfig {
  const config = preset("dw4");
  config.mint.components = 6;
  change(config);
  return config;
}

function lj13(change: (config: RunConfig) => void = () => {}): RunConfig {
  const config = preset("lj13");
  change(config);
  return config;
}

/** The presets' own networks have a case each; the reference takes seconds for them. */
function smaller({ julep: { network } }: RunConfig): void {
  network.layers = 2;
  network.hidden = 16;
}

function forward(steps: number, count: number, keep = false, first = 0): TrajectoryJob {
  return { seed: 5, first, count, times: uniformTimes(steps), direction: "forward", keep };
}

/** Its paths are too short for weights. */
const GRADIENT_ALONE = "lj55, the preset's network";

/** With an exact pair flow. */
const EXACT = [
  lj13((c) => {
    c.julep.path!.flow = "exact";
    smaller(c);
  }),
  dw4(smaller),
  dw4((c) => {
    c.julep.gauge = "anchor";
    smaller(c);
  }),
];

const cases: [string, RunConfig, number, number][] = [
  ["lj13, an exact pair flow, confinement saturates, 100 steps", EXACT[0], 100, 4],
  ["dw4, an exact pair flow", EXACT[1], 30, 8],
  ["dw4, an exact pair flow, anchor gauge", EXACT[2], 30, 6],
  ["dw4, 100 steps", dw4(), 100, 12],
  [
    "dw4, anchor gauge",
    dw4((c) => {
      c.julep.gauge = "anchor";
      smaller(c);
    }),
    30,
    8,
  ],
  [
    "dw4, the paper's HHᵀ",
    dw4((c) => {
      c.julep.network.matrix = "positive";
      smaller(c);
    }),
    30,
    8,
  ],
  ["dw4, no network", dw4((c) => c.julep.network.enabled = false), 100, 12],
  [
    "dw4, clipped force, b off, no A",
    dw4((c) => {
      c.julep.forceClip = 5;
      c.julep.network.drift = false;
      c.julep.network.matrix = "none";
      smaller(c);
    }),
    30,
    5,
  ],
  [
    "lj13, its own path and a pair drift, 100 steps",
    lj13((c) => Object.assign(c.julep.path!, { variant: "robust", flow: "drift" })),
    100,
    2,
  ],
  // On llvmpipe a state's gradient is more than one dispatch may do. So few steps end among collisions:
  // their weights say nothing, their gradient is as good as any.
  [GRADIENT_ALONE, preset("lj55"), 4, 1],
  [
    "lj13, the system's soft core",
    lj13((c) => {
      c.julep.path = null;
      c.julep.forceClip = 100;
      c.julep.stepSize.initial = 0.01;
      smaller(c);
    }),
    100,
    4,
  ],
];

/** The reference is slow; what it gives is computed once for all backends. */
function once<T>(compute: () => T): () => T {
  let value: { is: T } | undefined;
  return () => (value ??= { is: compute() }).is;
}

for (const [name, config, steps, count] of cases) {
  // A live network, gentle enough that the paths stay where the target is.
  const setUp = problem(config, name.startsWith("lj") ? 0.002 : 0.02);
  const reference = new ReferenceExecutor();
  reference.prepare(setUp);

  const paths = once(() => reference.trajectories(forward(steps, count)));
  // The long path is checked forward; backward and gradient take the same code for every length.
  const few = Math.min(steps, 12);
  const fewPaths = once(() => reference.trajectories(forward(few, count)));
  const backward = (positions: Float32Array): TrajectoryJob => ({
    ...forward(few, count),
    direction: "backward",
    positions: Float64Array.from(positions),
  });
  const backwardWeights = once(() =>
    reference.trajectories(backward(fewPaths().positions)).logWeights
  );
  const windows = Int32Array.from(
    { length: 2 * Math.ceil(count / 4) },
    (_, i) => i % 2 ? few - 3 : i / 2 % 3,
  );
  /** `announced`: the trajectories are told which windows the gradient will ask for. */
  const gradientJob = async (own: Executor, announced = false): Promise<GradientJob> => {
    const path = forward(few, count, true);
    const kept = await own.trajectories(announced ? { ...path, windows } : path);
    const random = new RandomStream(3, Stream.test, 1);
    const coefficients = () => Float64Array.from({ length: few * count }, () => random.normal());
    return {
      seed: path.seed,
      first: path.first,
      count,
      times: uniformTimes(few),
      states: kept.states!,
      forces: kept.forces!,
      coefficients: coefficients(),
      stepCoefficients: coefficients(),
      windows,
    };
  };
  const gradient = once(async () => reference.trajectoryGradient(await gradientJob(reference)));

  const weights = (name: string, test: Parameters<typeof eachBackend>[1], besides: string[] = []) =>
    name.includes(GRADIENT_ALONE) ? undefined : eachBackend(name, test, {}, besides);
  weights(`julep: log-weights within 1e-3 of the reference, ${name}`, async (executor) => {
    await executor.prepare(setUp);
    const expected = paths();
    const got = await executor.trajectories(forward(steps, count));
    let compared = 0;
    for (let s = 0; s < count; s++) {
      const W = expected.logWeights[s];
      if (!Number.isFinite(W)) {
        assert.equal(got.logWeights[s], W, `sample ${s}`);
        continue;
      }
      assert.ok(
        Math.abs(got.logWeights[s] - W) <= 1e-3,
        `sample ${s}: ${got.logWeights[s]} against ${W}`,
      );
      compared++;
    }
    assert.ok(compared >= count / 2, "most paths are finite");
  });

  weights(
    `julep: backward log-weights within 1e-3 of the reference, ${name}`,
    async (executor) => {
      await executor.prepare(setUp);
      const expected = backwardWeights();
      const got = (await executor.trajectories(backward(fewPaths().positions))).logWeights;
      expected.forEach((W, s) => {
        assert.ok(W === got[s] || Math.abs(got[s] - W) <= 1e-3, `${s}: ${got[s]} against ${W}`);
      });
    },
  );

  eachBackend(`julep: gradient of the loss against the reference, ${name}`, async (executor) => {
    await executor.prepare(setUp);
    const expected = await gradient();
    const got = await executor.trajectoryGradient(await gradientJob(executor));
    for (const key of ["parameters", "logStepSize"] as const) {
      const norm = Math.hypot(...expected[key]);
      const error = Math.hypot(...got[key].map((g, i) => g - expected[key][i]));
      assert.ok(error <= 2e-4 * norm, `${key}: error ${error} of norm ${norm}`);
      if (expected[key].length) assert.ok(norm > 1e-6, `${key} has a gradient`);
    }
  });

  weights(
    `julep: activations held for the gradient change no bit, ${name}`,
    async (executor) => {
      await executor.prepare(setUp);
      const without = await executor.trajectoryGradient(await gradientJob(executor));
      const job = await gradientJob(executor, true);
      for (let k = 0; k < 2; k++) assert.deepEqual(await executor.trajectoryGradient(job), without);
      // What is held is forgotten when the executor is prepared again, and never used for other
      // windows.
      await executor.prepare(setUp);
      assert.deepEqual(await executor.trajectoryGradient(job), without);
      const other = {
        ...await gradientJob(executor, true),
        windows: windows.map((w, i) => i % 2 ? w : 0),
      };
      const taped = await executor.trajectoryGradient(other);
      await executor.prepare(setUp);
      assert.deepEqual(await executor.trajectoryGradient(other), taped);
    },
    // A device holds states alone, whatever the problem: one shows it.
    name === "dw4, anchor gauge" ? [] : ["webgpu"],
  );
}

eachBackend("julep: splitting a job changes no bit", async (executor) => {
  const config = dw4();
  await executor.prepare(problem(config, 0.02));
  const whole = await executor.trajectories(forward(10, 21));
  for (const [first, count] of [[0, 4], [4, 8], [12, 9]]) {
    const part = await executor.trajectories(forward(10, count, false, first));
    const size = 8;
    assert.deepEqual(part.logWeights, whole.logWeights.slice(first, first + count));
    assert.deepEqual(part.positions, whole.positions.slice(first * size, (first + count) * size));
  }
});

eachBackend(
  "julep: a job on a random grid, kept states rebuild the increments' sum",
  async (executor) => {
    await executor.prepare(problem(dw4(), 0.02));
    const job = { ...forward(20, 6, true), times: randomTimes(20, 9, 0) };
    const { increments, logWeights } = await executor.trajectories(job);
    for (let s = 0; s < 6; s++) {
      let sum = 0;
      for (let i = 0; i < 20; i++) sum += increments![i * 6 + s];
      assert.ok(Math.abs(sum - logWeights[s]) < 5e-3, `${sum} against ${logWeights[s]}`);
    }
  },
);

eachBackend(
  "julep: rotating, reflecting or relabelling changes W by less than 1e-4",
  async (executor) => {
    await executor.prepare(problem(dw4((c) => c.julep.network.enabled = false), 0));
    const size = 8;
    const count = 64;
    const target = Float64Array.from((await executor.trajectories(forward(20, count))).positions);
    // The prior's density and the target are what W takes from the configuration itself.
    const weights = async (x: Float64Array) => {
      const log = await executor.priorLogDensity(x, count);
      const { energies } = await executor.energies({ positions: x, count, t: 1 });
      return log.map((l, s) => -energies[s] - l);
    };
    const before = await weights(target.slice());
    const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
    const maps: Record<string, (x: Float64Array) => void> = {
      rotation: (x) => {
        for (let at = 0; at < x.length; at += 2) {
          [x[at], x[at + 1]] = [cos * x[at] - sin * x[at + 1], sin * x[at] + cos * x[at + 1]];
        }
      },
      reflection: (x) => {
        for (let at = 0; at < x.length; at += 2) x[at] = -x[at];
      },
      relabelling: (x) => {
        for (let s = 0; s < count; s++) {
          const one = x.slice(s * size, (s + 1) * size);
          [2, 0, 3, 1].forEach((from, to) =>
            x.set(one.subarray(2 * from, 2 * from + 2), s * size + 2 * to)
          );
        }
      },
    };
    for (const [name, map] of Object.entries(maps)) {
      const moved = target.slice();
      map(moved);
      (await weights(moved)).forEach((w, s) =>
        assert.ok(Math.abs(w - before[s]) < 1e-4, `${name}, sample ${s}: ${w} against ${before[s]}`)
      );
    }
  },
);

eachBackend(
  "julep: a path that leaves the finite numbers weighs nothing and spoils no neighbour",
  async (executor) => {
    const setUp = problem(dw4(), 0.02);
    await executor.prepare(setUp);
    const fine = await executor.trajectories(forward(10, 4));
    const positions = Float64Array.from(fine.positions);
    const job = (x: Float64Array) => ({
      ...forward(10, 4),
      direction: "backward" as const,
      positions: x,
    });
    const before = (await executor.trajectories(job(positions.slice()))).logWeights;
    positions.fill(NaN, 8, 16);
    const after = (await executor.trajectories(job(positions))).logWeights;
    assert.equal(after[1], -Infinity);
    for (const s of [0, 2, 3]) assert.equal(after[s], before[s]);
  },
);

eachBackend("julep: no samples, no trouble", async (executor) => {
  await executor.prepare(problem(dw4(), 0.02));
  assert.equal((await executor.trajectories(forward(10, 0))).logWeights.length, 0);
});

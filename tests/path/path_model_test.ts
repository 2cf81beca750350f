/** Presets, checks, retiming and fits of paths. */
import assert from "node:assert/strict";
import type { Problem } from "../../src/backends/backend.ts";
import { WasmExecutor } from "../../src/backends/wasm/executor.ts";
import { InputError } from "../../src/errors.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { checkPath } from "../../src/path/check.ts";
import { clusterPath, clusterRule } from "../../src/path/cluster.ts";
import {
  FEATURES,
  FeatureTables,
  fitCoefficients,
  radialFeatures,
  solvePositive,
  tableOf,
} from "../../src/path/fit.ts";
import { fitPath } from "../../src/path/fitted.ts";
import { mixturePath } from "../../src/path/mixture.ts";
import { gradientsPerSample, type PairPathLevels, type PathModel } from "../../src/path/model.ts";
import { pickLevels } from "../../src/path/pick.ts";
import { retimePath } from "../../src/path/retime.ts";
import { pairFlow } from "../../src/backends/reference/pair_flow.ts";
import {
  levelEnergy,
  type LevelProblem,
  saturate,
  softLennardJones,
} from "../../src/backends/reference/level_energy.ts";
import { createSystem } from "../../src/systems/create.ts";
import { dw4, lennardJones, randomFlow, scattered } from "./helpers.ts";

const near = (a: number, b: number, tolerance: number, what = "") =>
  assert.ok(Math.abs(a - b) <= tolerance, `${what} ${a}, expected ${b}`);

Deno.test("clusterPath: any number of levels, ending on the target itself", () => {
  for (const particles of [2, 13, 38, 55, 150]) {
    for (const kernel of ["underdamped", "adjusted"] as const) {
      for (const levels of [2, 7, 100, 1000]) {
        for (const variant of ["tuned", "robust", "two_sided"] as const) {
          const system = { ...lennardJones(particles), epsilon: 1.3, oscillator: 0.7 };
          const path = clusterPath(system, { kernel, levels, variant });
          checkPath(path, system);
          const { depth, attraction, softness, confinement } = path.levels as PairPathLevels;
          const last = [depth, attraction, softness, confinement].map((v) => v[levels - 1]);
          last.forEach((v, a) => near(v, [1.3, 1, 0, 0.7][a], 1e-12));
          // The target's energy, number for number.
          const x = scattered(particles, 3, 1, 3);
          const gradient = new Float64Array(x.length);
          const u = softLennardJones(last[0], last[1], last[2], last[3], x, gradient);
          assert.ok(Number.isFinite(u));
        }
      }
    }
  }
});

Deno.test("clusterPath: 100 levels for LJ-13 are the tuned ones; the rule's ends", () => {
  const path = clusterPath(lennardJones(13), {
    kernel: "underdamped",
    levels: 100,
    variant: "tuned",
  });
  const { depth, attraction, softness, confinement, priorVariance } = path.levels as PairPathLevels;
  // Levels 0, 10, 50 and 90 as tuned: e (in units of 2), s, a, k, Δ, γ, clip.
  const tuned: Record<number, number[]> = {
    0: [0.026, 1.02, 0.263, 2.7, 0.0707, 1.8, 21],
    10: [0.06, 1.22, 0.188, 2.98, 0.0638, 2.9, 31],
    50: [0.159, 1.78, 0.131, 2.74, 0.0338, 7.8, 74],
    90: [0.948, 0.99, 0.0009, 0.94, 0.0113, 5.9, 161],
  };
  for (const [level, expected] of Object.entries(tuned)) {
    const k = Number(level);
    const row = [depth[k] / 2, attraction[k], softness[k], confinement[k]];
    [...row, path.stepSize[k], path.friction[k], path.clip[k]].forEach((v, a) =>
      near(v / expected[a], 1, 0.04, `level ${k}, parameter ${a}:`)
    );
  }
  assert.equal(priorVariance, 0.45);
  near(clusterRule(55, "tuned").priorVariance, 1, 1e-12);
  near(clusterRule(55, "robust").confinementExponent, 0.25, 1e-12);
  const adjusted = clusterPath(lennardJones(13), { kernel: "adjusted", levels: 200 });
  assert.equal(gradientsPerSample(adjusted), 1000);
  // Tuned from both ends: LJ-13 has its own knots, LJ-55 the others with four times their clip.
  const of = (particles: number, variant: "robust" | "two_sided") =>
    clusterPath(lennardJones(particles), { kernel: "underdamped", levels: 100, variant });
  const both = of(13, "two_sided");
  const pair = both.levels as PairPathLevels;
  near(pair.depth[50] / 2, 0.151, 1e-12);
  near(both.stepSize[99], 0.00797, 1e-12);
  assert.deepEqual([pair.priorVariance, pair.saturation], [0.432, 5.8]);
  const [large, robust] = [of(55, "two_sided"), of(55, "robust")];
  large.clip.forEach((c, k) => near(c / robust.clip[k], 4, 1e-12));
  large.levels.kind === "pair_path" &&
    large.levels.depth.forEach((e, k) =>
      near(e, (robust.levels as PairPathLevels).depth[k], 1e-12)
    );
});

Deno.test("a confinement that saturates: its value, its gradient, none at the target", () => {
  // Two particles r apart are r/2 from their middle each.
  for (const r of [0.3, 2, 40]) {
    const x = Float64Array.of(r / 2 + 1, 2, 3, -r / 2 + 1, 2, 3);
    const gradient = new Float64Array(6);
    const square = r * r / 4;
    const exact = 0.8 * (square / (1 + square / 1.69) - square);
    near(saturate(0.8, 1.3, x, gradient) / exact, 1, 1e-12, `r = ${r}:`);
    // What is left grows no further than ½ κ′ R² for each particle.
    near(0.8 * square + exact, 0.8 * 1.69 * square / (1.69 + square), 1e-12 * square);
  }
  const path = clusterPath(lennardJones(13), { ...underdamped(40), saturation: 1.4 });
  const { levels } = path;
  const plain = { ...(levels as PairPathLevels), saturation: null };
  const system = createSystem(lennardJones(13));
  const problem = (levels: PairPathLevels): LevelProblem => ({
    system,
    levels,
    priorLogDensity: () => NaN,
  });
  const x = scattered(13, 3, 1, 8);
  const gradient = new Float64Array(39);
  const scratch = new Float64Array(39);
  for (const level of [0, 20, 39]) {
    levelEnergy(problem(levels as PairPathLevels), level, x, gradient);
    for (const a of [0, 17, 38]) {
      const at = (h: number) =>
        levelEnergy(problem(levels as PairPathLevels), level, x.with(a, x[a] + h), scratch);
      const slope = (at(1e-5) - at(-1e-5)) / 2e-5;
      near(gradient[a], slope, 1e-6 * (1 + Math.abs(slope)), `level ${level}, ∂U/∂x[${a}]:`);
    }
  }
  // The prior and the target know nothing of it; other levels do.
  const difference = (level: number) =>
    levelEnergy(problem(levels as PairPathLevels), level, x, scratch) -
    levelEnergy(problem(plain), level, x, scratch);
  assert.equal(difference(-1), 0);
  assert.equal(difference(39), 0);
  assert.ok(difference(20) < -1, `${difference(20)}`);
});

const underdamped = (levels: number) => ({ kernel: "underdamped" as const, levels });

Deno.test("paths that cannot be are refused in one line", () => {
  const options = { kernel: "underdamped", levels: 10 } as const;
  const refuse = (make: () => unknown, message: RegExp) =>
    assert.throws(make, (error) => error instanceof InputError && message.test(error.message));
  refuse(() => clusterPath(lennardJones(13), { ...options, levels: 1 }), /^path\.levels .* got 1$/);
  refuse(
    () => clusterPath({ ...lennardJones(13), oscillator: 0 }, options),
    /^system\.oscillator must be above 0/,
  );
  refuse(
    () => clusterPath(lennardJones(13), { ...options, kernel: "adjusted", leapfrogs: 0 }),
    /^path\.leapfrogs .* got 0$/,
  );
  refuse(
    () =>
      checkPath(clusterPath(lennardJones(13), { ...options, saturation: -1 }), lennardJones(13)),
    /^path\.levels\.saturation must be above 0, got -1$/,
  );
  refuse(() => mixturePath({ ...options, stepSize: NaN }), /^path\.stepSize .* got NaN$/);
  const path = clusterPath(lennardJones(13), options);
  refuse(() => checkPath(path, dw4), /pair_path.* got double_well$/);
  const changed = (change: (p: PathModel) => PathModel) => () =>
    checkPath(change(structuredClone(path)), lennardJones(13));
  refuse(
    changed((p) => ({ ...p, stepSize: p.stepSize.with(3, -1) })),
    /^path\.stepSize\[3\] must be above 0, got -1$/,
  );
  refuse(
    changed((p) => ({ ...p, clip: p.clip.slice(1) })),
    /^path\.clip must have 10 levels, got 9$/,
  );
  refuse(changed((p) => ({ ...p, leapfrogs: 2 })), /^path\.leapfrogs must be 0/);
  refuse(
    changed((p) => {
      const flow = randomFlow(10, 20, 0.1, 0.1, 1);
      return { ...p, flow: { ...flow, tables: flow.tables.with(25, 9) } };
    }),
    /^path\.flow\.tables\[26\] must rise/,
  );
});

Deno.test("retimePath: levels go where the spread is; the ends stay", () => {
  const path = clusterPath(lennardJones(13), { kernel: "underdamped", levels: 100 });
  const same = retimePath(path, new Float64Array(100).fill(0.3));
  const [before, after] = [path, same].map((p) => (p.levels as PairPathLevels).depth);
  before.forEach((v, k) => near(Math.log(after[k] / v), 0, 0.02));
  const spread = Float64Array.from({ length: 100 }, (_, k) => k >= 60 && k < 80 ? 1 : 0.1);
  const moved = retimePath(path, spread, 200);
  checkPath(moved, lennardJones(13));
  const levels = moved.levels as PairPathLevels;
  assert.equal(levels.softness[199], 0);
  near(levels.depth[199], 2, 1e-12);
  // 20 of 100 levels carried 20/28 of the spread: (20/28 + 20/100)/2 of the new ones, less smoothing.
  const inside = levels.depth.filter((d) => d > before[60] && d < before[79]).length;
  assert.ok(inside > 75 && inside < 95, `${inside} of 200 levels`);
  const times = (retimePath(
    mixturePath({ kernel: "adjusted", levels: 10, stepSize: 0.1 }),
    Float64Array.from({ length: 10 }, (_, k) => 10 - k),
  ).levels as { times: Float64Array }).times;
  assert.ok(times[4] < 0.5 && times[9] === 1 && times.every((t, k) => k === 0 || t > times[k - 1]));
  assert.throws(() => pickLevels(path, Int32Array.of(3, 50)), RangeError);
});

Deno.test("features: A_m is the derivative of log|J| − U along the flow", () => {
  const tables = new FeatureTables(3, 1);
  const random = new RandomStream(5, Stream.test, 0);
  const x = scattered(5, 3, 1, 6);
  const gradient = new Float64Array(15);
  const energy = (y: Float64Array) => softLennardJones(0.3, 1.2, 0.2, 2, y, new Float64Array(15));
  softLennardJones(0.3, 1.2, 0.2, 2, x, gradient);
  const features = new Float64Array(FEATURES);
  tables.add(x, gradient, 0, 15, 3, features, 0);
  const theta = Float64Array.from({ length: FEATURES }, () => random.normal());
  const change = (scale: number) => {
    const y = x.slice();
    const flow = { cells: 900, width: 0.01, tables: tableOf(theta, scale, 1) };
    return pairFlow(flow, 0, y, 3) - energy(y);
  };
  const slope = (change(2e-4) - change(-2e-4)) / 4e-4;
  const linear = features.reduce((sum, a, m) => sum + a * theta[m], 0);
  // Cells of 0.01 and the nearest row of the tables limit the agreement.
  near(linear / slope, 1, 0.03, "A·θ over the numeric derivative");
});

Deno.test("fits: coefficients come back from clean and from contaminated data", () => {
  const random = new RandomStream(7, Stream.test, 0);
  const theta = Float64Array.from({ length: FEATURES }, () => random.normal());
  const n = 2000;
  const features = Float64Array.from({ length: n * FEATURES }, () => random.normal());
  const target = Float64Array.from({ length: n }, (_, s) => {
    let sum = 3;
    for (let m = 0; m < FEATURES; m++) sum += theta[m] * features[s * FEATURES + m];
    // One in two hundred is a collision.
    return s % 200 === 0 ? 1e6 : sum + 0.1 * random.normal();
  });
  const found = fitCoefficients(features, target, null, 1e-6);
  theta.forEach((t, m) => near(found[m], t, 0.03, `θ[${m}]`));
  const solved = solvePositive(Float64Array.of(4, 0, 2, 3), Float64Array.of(2, 5));
  near(solved[0], -0.5, 1e-14);
  near(solved[1], 2, 1e-14);
  const value = new Float64Array(FEATURES);
  const radial = new Float64Array(FEATURES);
  const up = new Float64Array(FEATURES);
  radialFeatures(1.13, value, radial);
  radialFeatures(1.13 + 1e-6, up, new Float64Array(FEATURES));
  value.forEach((v, m) => near(1.13 * (up[m] - v) / 1e-6, radial[m], 1e-4));
});

Deno.test("fitPath: a fitted flow raises the ESS of short paths many times over", async () => {
  const executor = await WasmExecutor.create();
  const system = lennardJones(13);
  const run = (path: PathModel) => {
    executor.prepare({ system, mint: null, julep: null, path } satisfies Problem);
    return executor;
  };
  const start = clusterPath(system, { kernel: "underdamped", levels: 40 });
  const rounds: number[] = [];
  const { path, fit } = await fitPath(
    start,
    { seed: 1, population: 512, threshold: 0, retimings: 1, progress: (r) => rounds.push(r) },
    (model, job) => run(model).fitFlow(job),
  );
  assert.deepEqual(rounds, [0, 1]);
  assert.ok(fit.explained.every((e) => e >= 0 && e <= 1));
  assert.ok(fit.scale.every((s) => [0, 0.5, 1].includes(s)));
  // The spread of W, which even a few samples tell, not the ESS, which they do not.
  const spread = (model: PathModel) => {
    const W = run(model).paths({ seed: 3, first: 0, count: 400, direction: "forward" })
      .logWeights.sort();
    return W[360] - W[40];
  };
  const [without, withFlow] = [spread({ ...path, flow: null }), spread(path)];
  assert.ok(withFlow < 0.7 * without, `10 to 90 % of W: ${withFlow}, without flow ${without}`);
  executor.dispose();
});

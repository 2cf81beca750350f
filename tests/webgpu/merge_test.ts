/** Jobs merged for a GPU give what the jobs one by one give. */
import assert from "node:assert/strict";
import type {
  ChainsJob,
  ChainsResult,
  GradientJob,
  PathJob,
  PathResult,
  TrajectoryJob,
  TrajectoryResult,
} from "../../src/backends/backend.ts";
import {
  mergeChains,
  mergeGradients,
  mergePaths,
  mergeTrajectories,
  splitChains,
  splitGradients,
  splitPaths,
  splitTrajectories,
} from "../../src/run/merge.ts";

const times = Float64Array.of(0, 0.5, 1);
const N = 3; // numbers of one sample

/** Numbers that name their sample, so that a mistake in the cutting shows. */
function answer(job: TrajectoryJob): TrajectoryResult {
  const samples = Array.from({ length: job.count }, (_, s) => job.first + s);
  return {
    positions: Float32Array.from(samples.flatMap((s) => [s, s + 0.25, s + 0.5])),
    priorPositions: Float32Array.from(samples.flatMap((s) => [-s, -s, -s])),
    energies: Float64Array.from(samples, (s) => 10 * s),
    logWeights: Float64Array.from(samples, (s) => 100 * s),
    increments: Float64Array.from([...samples, ...samples.map((s) => s + 1000)]),
    states: Float64Array.of(7),
    forces: new Float64Array(0),
  };
}

const job = (first: number, count: number): TrajectoryJob => ({
  seed: 5,
  first,
  count,
  times,
  direction: "backward",
  keep: true,
  positions: new Float64Array(N * count).fill(first),
  windows: Int32Array.from({ length: 2 * Math.ceil(count / 4) }, (_, i) => first + i),
});

Deno.test("merge: trajectories, any sizes, give each job its own samples", () => {
  const jobs = [job(0, 8), job(8, 8), job(16, 6), job(40, 4), job(44, 4)];
  for (const largest of [8, 16, 20, 1000]) {
    const merged = mergeTrajectories(jobs, largest);
    for (const { job: { count }, counts } of merged) {
      assert.ok(count <= largest);
      assert.equal(counts.reduce((sum, n) => sum + n), count);
    }
    const results = merged.flatMap((part) => splitTrajectories(part, answer(part.job)));
    assert.deepEqual(results, jobs.map(answer));
    assert.deepEqual(
      merged.flatMap((part) => [...part.job.positions!]),
      jobs.flatMap((part) => [...part.positions!]),
    );
    assert.deepEqual(
      merged.flatMap((part) => [...part.job.windows!]),
      jobs.flatMap((part) => [...part.windows!]),
    );
  }
  // A gap, or a job that is not whole blocks, ends a run.
  assert.deepEqual(mergeTrajectories(jobs, 1000).map((m) => m.counts), [[8, 8, 6], [4, 4]]);
  assert.deepEqual(mergeTrajectories([], 8), []);
});

Deno.test("merge: gradients along one store are one job, its columns in the samples' order", () => {
  const gradient = (first: number, count: number, store: number): GradientJob => ({
    seed: 5,
    first,
    count,
    times,
    states: Float64Array.of(store),
    forces: new Float64Array(0),
    coefficients: Float64Array.from({ length: 2 * count }, (_, i) => first + i % count),
    stepCoefficients: new Float64Array(2 * count).fill(first),
    windows: Int32Array.from({ length: 2 * Math.ceil(count / 4) }, () => first),
  });
  const merged = mergeGradients([gradient(0, 8, 1), gradient(8, 8, 1), gradient(16, 4, 2)]);
  assert.deepEqual(merged.map(({ counts }) => counts), [[8, 8], [4]]);
  const row = Array.from({ length: 16 }, (_, s) => s);
  assert.deepEqual([...merged[0].job.coefficients], [...row, ...row]);
  assert.deepEqual([...merged[0].job.windows], [0, 0, 0, 0, 8, 8, 8, 8]);
  const results = splitGradients(merged[0], {
    parameters: Float64Array.of(1, 2),
    logStepSize: Float64Array.of(3),
  });
  const sum = results.reduce((total, r) => total + r.parameters[1], 0);
  assert.deepEqual([results.length, sum], [2, 2]);
});

Deno.test("merge: paths give each job its own samples, increments and its share of the cost", () => {
  const K = 2;
  const answer = ({ first, count }: PathJob): PathResult => {
    const samples = Array.from({ length: count }, (_, s) => first + s);
    return {
      positions: Float32Array.from(samples.flatMap((s) => [s, s + 0.25, s + 0.5])),
      priorPositions: Float32Array.from(samples.flatMap((s) => [-s, -s, -s])),
      energies: Float64Array.from(samples, (s) => 10 * s),
      logWeights: Float64Array.from(samples, (s) => 100 * s),
      acceptance: Float64Array.of(0.5, 0.6),
      increments: Float64Array.from([...samples, ...samples.map((s) => s + 1000)]),
      cost: { gradients: K * count, energies: count, flowPasses: 0 },
    };
  };
  const job = (first: number, count: number, direction: "forward" | "backward"): PathJob => ({
    seed: 5,
    first,
    count,
    direction,
    keepIncrements: true,
    ...(direction === "backward" && { positions: new Float64Array(N * count).fill(first) }),
  });
  for (const way of ["forward", "backward"] as const) {
    const jobs = [job(0, 8, way), job(8, 8, way), job(16, 6, way)];
    for (const largest of [8, 16, 1000]) {
      const merged = mergePaths(jobs, largest);
      assert.ok(merged.every(({ job }) => job.count <= largest));
      assert.deepEqual(
        merged.flatMap((part) => splitPaths(part, answer(part.job))),
        jobs.map(answer),
      );
      assert.deepEqual(
        merged.flatMap((part) => [...part.job.positions ?? []]),
        jobs.flatMap((part) => [...part.positions ?? []]),
      );
    }
    assert.equal(mergePaths(jobs, 1000).length, 1);
  }
  assert.equal(mergePaths([job(0, 8, "forward"), job(8, 8, "backward")], 1000).length, 2);
});

Deno.test("merge: chains give each job its own states", () => {
  const draws = 2;
  const answer = ({ first, count }: ChainsJob): ChainsResult => {
    const chains = Array.from({ length: count }, (_, c) => first + c);
    const states = chains.flatMap((c) => [c, c + 0.5]);
    return {
      positions: Float32Array.from(states.flatMap((s) => [s, s, s])),
      energies: Float64Array.from(states),
      acceptance: Float64Array.from(chains, (c) => c / 100),
      stepSize: Float64Array.from(chains, (c) => c / 10),
      cost: { gradients: 30 * count, energies: draws * count, flowPasses: 0 },
    };
  };
  const job = (first: number, thin = 3): ChainsJob => ({
    seed: 5,
    first,
    count: 4,
    positions: new Float64Array(4 * N).fill(first),
    leapfrogs: 3,
    stepSize: 0.1,
    targetAcceptance: 0.8,
    warmup: 10,
    draws,
    thin,
  });
  const jobs = [job(0), job(4), job(8)];
  const merged = mergeChains(jobs, 1000);
  assert.equal(merged.length, 1);
  assert.deepEqual([...merged[0].job.positions], jobs.flatMap((part) => [...part.positions]));
  assert.deepEqual(splitChains(merged[0], answer(merged[0].job)), jobs.map(answer));
  // Chains of other settings go by themselves.
  assert.equal(mergeChains([job(0), job(4, 2)], 1000).length, 2);
});

/** HMC chains on the target: every backend against the float64 reference. */
import assert from "node:assert/strict";
import type { ChainsJob } from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import type { DoubleWellConfig, LennardJonesConfig } from "../../src/config/config.ts";
import { dw4, lennardJones, scattered } from "../path/helpers.ts";
import { eachBackend } from "./backends.ts";
import { tolerances } from "./tolerances.ts";

const cases: [string, DoubleWellConfig | LennardJonesConfig, number, number][] = [
  ["dw4", dw4, 4, 0.05],
  ["lj13", lennardJones(13), 1.1, 0.02],
  ["lj55", lennardJones(55), 1.1, 0.02],
];

for (const [name, system, spacing, stepSize] of cases) {
  eachBackend(`HMC chains on ${name}: as in float64, whatever the split`, async (executor) => {
    const n = system.kind === "double_well" ? 2 : 3;
    const size = system.particles * n;
    const positions = scattered(system.particles, n, 8, 12, spacing, 0.03);
    const job = (first: number, count: number): ChainsJob => ({
      seed: 3,
      first,
      count,
      positions: positions.slice(first * size, (first + count) * size),
      leapfrogs: 3,
      stepSize,
      targetAcceptance: 0.7,
      warmup: 3,
      draws: 2,
      thin: 2,
    });
    const reference = new ReferenceExecutor();
    const problem = { system, mint: null, julep: null };
    reference.prepare(problem);
    await executor.prepare(problem);
    const exact = reference.chains(job(0, 8));
    const got = await executor.chains(job(0, 8));
    got.positions.forEach((v, a) => {
      const error = Math.abs(v - exact.positions[a]);
      assert.ok(error <= tolerances.hmcPositions.value, `positions differ by ${error}`);
    });
    got.energies.forEach((u, a) => assert.ok(Math.abs(u - exact.energies[a]) < 0.05));
    got.acceptance.forEach((p, a) => assert.ok(Math.abs(p - exact.acceptance[a]) < 1e-3));
    got.stepSize.forEach((h, a) => assert.ok(Math.abs(h / exact.stepSize[a] - 1) < 1e-3));
    assert.deepEqual(got.cost, exact.cost);
    const parts = [await executor.chains(job(0, 4)), await executor.chains(job(4, 4))];
    assert.deepEqual(parts.flatMap((p) => [...p.positions]), [...got.positions]);
  });
}

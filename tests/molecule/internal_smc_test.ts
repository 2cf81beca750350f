/** Sequential Monte Carlo of molecules in internal coordinates. */
import assert from "node:assert/strict";
import { nextTime } from "../../src/backends/internal_smc.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WasmExecutor } from "../../src/backends/wasm/executor.ts";
import { preset } from "../../src/config/presets.ts";
import { InputError } from "../../src/errors.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { makeInternal } from "../../src/run/internal.ts";
import { silent } from "../../src/run/progress.ts";
import { islandFigures } from "../../src/sampling/islands.ts";
import { createSystem } from "../../src/systems/create.ts";

const { system: aldp, internal } = preset("aldp-vacuum");
const settings = { ...internal!, prior: "laplace" as const, starts: 40, levels: 6, leapfrogs: 4 };
const { model } = await makeInternal(createSystem(aldp), { ...settings, stepSize: 0.4 }, 1, silent);
const problem = { system: aldp, mint: null, julep: null, internal: model };

Deno.test("islands find log Z of alanine dipeptide in vacuum from a mixture of minima", async () => {
  const executor = await WasmExecutor.create();
  executor.prepare(problem);
  // Levels from a pilot with other random numbers: fixed when the islands run.
  const adapt = { conditionalEss: 0.9, maximum: 100 };
  const pilot = executor.island({ seed: 77, island: 0, population: 400, threshold: 0.9, adapt });
  const times = pilot.times!;
  assert.equal(times.at(-1), 1);
  assert.ok(times.every((t, k) => t > (k ? times[k - 1] : 0)) && times.length >= 5, `${times}`);
  executor.prepare({ ...problem, internal: { ...model, times, levels: times.length } });
  const islands = Array.from({ length: 8 }, (_, island) => {
    const result = executor.island({ seed: 3, island, population: 400, threshold: 0.9 });
    assert.deepEqual(result.times, times);
    assert.equal(result.cost.gradients, 400 * (1 + 4 * times.length));
    assert.ok(result.distinctAncestors < 400 && result.effectiveAncestors > 20);
    return { ...result, population: 400, resampled: result.resampled.length };
  });
  assert.ok(islands.every(({ resampled }) => resampled >= 1));
  const { logZ, logZStdErr } = islandFigures(islands);
  // An independent program's figure; 4.4 standard errors: a false alarm in 1e5 seeds.
  assert.ok(
    Math.abs(logZ + 196.744) < 4.4 * Math.hypot(logZStdErr, 0.005),
    `${logZ} ± ${logZStdErr}`,
  );
  assert.ok(logZStdErr < 0.1, `${logZStdErr}`);
});

Deno.test("an island that never resamples is its paths, on every backend", async () => {
  for (const executor of [new ReferenceExecutor(), await WasmExecutor.create()]) {
    executor.prepare(problem);
    const island = executor.island({ seed: 5, island: 2, population: 8, threshold: 0 });
    const paths = await executor.paths({ seed: 5, first: 16, count: 8, direction: "forward" });
    island.logWeights.forEach((w, s) => {
      assert.ok(Math.abs(w - paths.logWeights[s]) < 1e-9, `${w}, ${paths.logWeights[s]}`);
    });
    assert.deepEqual(island.positions, paths.positions);
    assert.deepEqual(island.ancestors, Int32Array.from({ length: 8 }, (_, s) => s));
    assert.equal(island.resampled.length, 0);
    // All weights equal after each resampling: it happens at every level but where the ESS is full.
    const always = executor.island({ seed: 5, island: 2, population: 8, threshold: 1 });
    assert.equal(always.resampled.length, 6);
    assert.throws(
      () => executor.island({ seed: 5, island: 0, population: 7, threshold: 1 }),
      InputError,
    );
  }
});

Deno.test("nextTime() takes the step of the conditional ESS asked for", () => {
  const random = new RandomStream(4, Stream.test, 0);
  const work = Float64Array.from({ length: 500 }, () => 30 * random.normal());
  const logWeights = Float64Array.from({ length: 500 }, () => random.normal());
  const t = nextTime(work, logWeights, 0.1, 0.7);
  const sum = (power: number) =>
    work.reduce((a, v, s) => a + Math.exp(logWeights[s] + power * (t - 0.1) * v), 0);
  const conditional = sum(1) ** 2 / (sum(2) * sum(0));
  assert.ok(Math.abs(conditional - 0.7) < 1e-6, `${conditional}`);
  assert.equal(nextTime(work.map((v) => 1e-3 * v), logWeights, 0.1, 0.7), 1);
  // Samples of no weight do not count, nor do energies that are not numbers.
  const some = logWeights.slice();
  some[3] = -Infinity;
  work[3] = 1e9;
  work[7] = NaN;
  assert.ok(nextTime(work, some, 0.1, 0.7) > 0.1);
});

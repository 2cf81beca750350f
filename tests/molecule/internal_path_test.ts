/** Adjusted annealing in internal coordinates: exact weights both ways, independent of the split. */
import assert from "node:assert/strict";
import type { Executor } from "../../src/backends/backend.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WasmExecutor } from "../../src/backends/wasm/executor.ts";
import { preset } from "../../src/config/presets.ts";
import { InputError } from "../../src/errors.ts";
import { logSumExp } from "../../src/math/special.ts";
import type { InternalModel } from "../../src/path/internal_sampler.ts";
import { makeInternal, withStepSize } from "../../src/run/internal.ts";
import { RunJobs } from "../../src/run/jobs.ts";
import { silent } from "../../src/run/progress.ts";
import { systematicResample } from "../../src/sampling/resample.ts";
import { createSystem } from "../../src/systems/create.ts";
import type { MoleculeConfig } from "../../src/config/config.ts";
import { frames, text } from "./data.ts";
import { ExecutorPool } from "../../src/workers/pool.ts";
import { chair, cyclohexane } from "./small.ts";
import { readPrmtop } from "../../src/systems/molecule/prmtop.ts";

const { system: aldp, internal } = preset("aldp-vacuum");
const small = { ...internal!, starts: 6, cells: 8, subcells: 6, levels: 8, leapfrogs: 2 };

/** Alanine dipeptide with a coarse prior, made once. */
const { model } = await makeInternal(createSystem(aldp), small, 1, silent);

function prepared(executor: Executor, changes: Partial<InternalModel> = {}): Executor {
  executor.prepare({ system: aldp, mint: null, julep: null, internal: { ...model, ...changes } });
  return executor;
}

const meanAndError = (logWeights: Float64Array): { value: number; error: number } => {
  const n = logWeights.length;
  const value = logSumExp(logWeights) - Math.log(n);
  const variance = logWeights.reduce((sum, w) => sum + (Math.exp(w - value) - 1) ** 2, 0) / n;
  return { value, error: Math.sqrt(variance / n) };
};

Deno.test("log Z of alanine dipeptide in vacuum from a coarse prior, forward and backward", async () => {
  // A coarse grid costs ESS, never correctness.
  const executor = prepared(await WasmExecutor.create(), { stepSize: 0.5 });
  const job = { seed: 3, first: 0, count: 3000, direction: "forward" as const };
  const forward = await executor.paths(job);
  const { value, error } = meanAndError(forward.logWeights);
  // An independent program's figure; 4.4 standard errors: a false alarm in 1e5 seeds.
  assert.ok(Math.abs(value + 196.744) < 4.4 * Math.hypot(error, 0.005), `${value} ± ${error}`);
  assert.ok(error < 0.04, `${error}`);
  // Backward from (nearly) target samples: E_p[e^{−W}] = 1/Z.
  const chosen = systematicResample(forward.logWeights, 1500, 9);
  const positions = Float64Array.from(
    [...chosen].flatMap((s) => [...forward.positions.subarray(66 * s, 66 * (s + 1))]),
  );
  const backward = await executor.paths({
    ...job,
    seed: 4,
    count: 1500,
    direction: "backward",
    positions,
  });
  const back = meanAndError(backward.logWeights.map((w) => -w));
  const both = Math.hypot(back.error, error, 1 / Math.sqrt(1500));
  assert.ok(Math.abs(back.value - 196.744) < 4.4 * both, `${back.value} ± ${both}`);
});

Deno.test("paths do not depend on the split into jobs; backends agree", async () => {
  const job = { seed: 5, direction: "forward" as const };
  const reference = prepared(new ReferenceExecutor());
  const wasm = prepared(await WasmExecutor.create());
  const exact = await reference.paths({ ...job, first: 0, count: 12 });
  const fast = await wasm.paths({ ...job, first: 0, count: 12 });
  for (const [executor, all] of [[reference, exact], [wasm, fast]] as const) {
    for (const [first, count] of [[0, 4], [4, 8]]) {
      const part = await executor.paths({ ...job, first, count });
      assert.deepEqual(part.logWeights, all.logWeights.slice(first, first + count));
      assert.deepEqual(part.positions, all.positions.slice(66 * first, 66 * (first + count)));
    }
  }
  const error = exact.logWeights.map((w, s) => Math.abs(w - fast.logWeights[s]));
  // One acceptance in 1e4 may fall on different sides of its random number: none does here.
  assert.ok(Math.max(...error) < 1e-3, `${error}`);
  const backward = { ...job, first: 0, count: 12, direction: "backward" as const };
  const positions = Float64Array.from(exact.positions);
  const [back, fastBack] = await Promise.all(
    [reference, wasm].map((executor) => executor.paths({ ...backward, positions })),
  );
  const apart = back.logWeights.map((w, s) => Math.abs(w - fastBack.logWeights[s]));
  assert.ok(Math.max(...apart) < 1e-3, `${apart}`);
  const other = await reference.paths({ ...job, seed: 6, first: 0, count: 12 });
  assert.notDeepEqual(other.logWeights, exact.logWeights);
});

Deno.test("energies are those of the positions, and cost one gradient a leapfrog", async () => {
  const executor = prepared(new ReferenceExecutor());
  const { positions, energies, cost, logWeights } = await executor.paths({
    seed: 1,
    first: 0,
    count: 8,
    direction: "forward",
  });
  const system = createSystem(aldp);
  for (let s = 0; s < 8; s++) {
    const exact = system.energy(Float64Array.from(positions.subarray(66 * s, 66 * (s + 1))));
    assert.ok(Math.abs(energies[s] - exact) < 1e-3, `${energies[s]}, ${exact}`);
  }
  assert.ok(logWeights.every(Number.isFinite));
  assert.equal(cost.gradients, 8 * (1 + 8 * 2));
});

Deno.test("a mixture of minima serves molecules with other numbers of soft torsions", async () => {
  const config: MoleculeConfig = {
    kind: "molecule",
    temperature: 300,
    solvent: "none",
    forceField: readPrmtop(text("disulphide.prmtop"), "x"),
  };
  const system = createSystem(config);
  const settings = {
    ...small,
    starts: 3,
    reference: [...frames("disulphide")[0].positions],
    levels: 1,
  };
  const made = await makeInternal(system, settings, 1, silent);
  assert.equal(made.model.prior.kind, "laplace");
  const refused = (changes: Partial<typeof settings> | { reference: null }, pattern: RegExp) =>
    assert.rejects(() => makeInternal(system, { ...settings, ...changes }, 1, silent), (error) => {
      assert.ok(error instanceof InputError);
      assert.match(error.message, pattern);
      return true;
    });
  await refused({ prior: "torsion_grid" }, /holds 1 to 3 soft torsions, the molecule has \d/);
  await refused({ reference: null }, /internal\.reference is null: a molecule from a file needs/);
  await refused({ reference: [1, 2, 3] }, /internal\.reference must have 132 numbers, got 3/);
});

Deno.test("the time step shrinks until a pilot's moves are accepted, and stays where they are", async () => {
  await using pool = await ExecutorPool.start({ backend: "wasm", workers: 1 });
  const ring: MoleculeConfig = {
    kind: "molecule",
    temperature: 300,
    solvent: "none",
    forceField: cyclohexane,
  };
  const settings = { ...internal!, starts: 20, reference: [...chair] };
  const made = await makeInternal(createSystem(ring), settings, 1, silent);
  const taken = await withStepSize(made, 1, new RunJobs(pool, ring), silent);
  assert.ok(taken.model.stepSize < 0.5 * settings.stepSize, `${taken.model.stepSize}`);
  assert.ok(taken.evaluationsOf!.stepSize > 0);
  const dipeptide = { model, evaluations: 0 };
  const kept = await withStepSize(dipeptide, 1, new RunJobs(pool, aldp), silent);
  assert.equal(kept.model.stepSize, model.stepSize);
});

/**
 * The promise: E[e^W] = Z whatever is learnt. Prior, network and step size are set at random, never
 * trained, and log Z must come out. Each check fails by chance with probability 6e-5 (four standard
 * errors); seeds are fixed. Any drift is exact so long as both kernels' densities are; what must not
 * pass is a wrong density: a σ of k⁻ that is 1 % too small fails every case here (tried).
 */
import assert from "node:assert/strict";
import type { RunConfig, SystemConfig } from "../../src/config/config.ts";
import { preset } from "../../src/config/presets.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { MintTraining } from "../../src/mint/train.ts";
import { RunJobs } from "../../src/run/jobs.ts";
import { drawBackward, drawForward } from "../../src/sampling/draw.ts";
import { exactValues } from "../../src/sampling/exact.ts";
import { essFromReference, logPartitionFromBothEnds } from "../../src/sampling/diagnostics.ts";
import { resampledPositions } from "../../src/sampling/resample.ts";
import { warnings } from "../../src/sampling/warnings.ts";
import { effectiveSampleSize, logPartitionFunction } from "../../src/sampling/weights.ts";
import { createSystem } from "../../src/systems/create.ts";
import { ExecutorPool } from "../../src/workers/pool.ts";

/** Σ_{i<j} a r²: a Gaussian, U = a N |x|² on the centre-of-mass-free subspace. */
const gaussian: SystemConfig = {
  kind: "double_well",
  particles: 4,
  dimension: 2,
  offset: 0,
  linear: 0,
  quadratic: 0.25,
  quartic: 0,
  temperature: 1,
};
/** (dof/2) log(π/(aN)) + (n/2) log N in the anchored measure. */
const gaussianLogZ = 3 * Math.log(Math.PI / (0.25 * 4)) + Math.log(4);

/** A prior trained for a moment: far from perfect, wide enough for finite variance. */
async function roughPrior(config: RunConfig, jobs: RunJobs, iterations: number) {
  const system = createSystem(config.system);
  const training = new MintTraining(initialiseMint(system, config.mint, 7), config.mint, 7);
  while (training.iteration < iterations) await training.step(jobs);
  return training.model;
}

function configFor(system: SystemConfig): RunConfig {
  const config = preset("dw4");
  config.system = system;
  config.mint = { ...config.mint, components: 8, samples: 256, iterations: 150 };
  config.mint.broad.weight = 0.1;
  config.julep.network.hidden = 16;
  config.julep.network.layers = 2;
  return config;
}

for (
  // The last number: how far parameters are moved. DW-4 is larger, and A acts on positions.
  const [name, system, logZ, amplitude] of [
    ["Gaussian", gaussian, gaussianLogZ, 0.05],
    ["DW-4", preset("dw4").system, exactValues(preset("dw4").system)!.logZ!.value, 0.03],
  ] as const
) {
  Deno.test(`E[e^W] = Z on ${name} for untrained and random networks alike`, async () => {
    const config = configFor(system);
    const physics = createSystem(system);
    await using pool = await ExecutorPool.start({ backend: "wasm" });
    const jobs = new RunJobs(pool, system);
    jobs.mint = await roughPrior(config, jobs, 150);
    const failures: string[] = [];
    for (const gauge of ["centre_of_mass", "anchor"] as const) {
      // HHᵀ of an untrained network stretches DW-4 by so much that no weight is left to check.
      for (
        const matrix of name === "DW-4" ? ["signed"] as const : ["signed", "positive"] as const
      ) {
        for (const noise of [0, amplitude]) {
          const julep = { ...config.julep, gauge, network: { ...config.julep.network, matrix } };
          const model = initialiseJulep(physics, julep, 3);
          const random = new RandomStream(21, Stream.test, 0);
          const { logWeights } = await drawForward(
            jobs.runTrajectories({
              ...model,
              parameters: model.parameters.map((p) => p + noise * random.normal()),
              logStepSize: model.logStepSize.map((l) => l + 0.3 * random.normal()),
            }),
            physics,
            20_000,
            { seed: 31, steps: 12 },
          );
          const estimate = logPartitionFunction(logWeights);
          const error = (estimate.logZ - logZ) / estimate.standardError;
          const ess = effectiveSampleSize(logWeights);
          assert.ok(ess > 0.02, `${gauge} ${matrix} ${noise}: ESS ${ess} carries no estimate`);
          assert.ok(estimate.standardError < 0.08);
          if (Math.abs(error) > 4) failures.push(`${gauge} ${matrix} ${noise}: ${error} sigma`);
        }
      }
    }
    assert.deepEqual(failures, []);
  });
}

Deno.test("forward and backward paths of a random transport agree on log Z (false alarms: 6e-5)", async () => {
  const config = configFor(preset("dw4").system);
  const system = createSystem(config.system);
  await using pool = await ExecutorPool.start({ backend: "wasm" });
  const jobs = new RunJobs(pool, config.system);
  jobs.mint = await roughPrior(config, jobs, 150);
  const model = initialiseJulep(system, config.julep, 3);
  const random = new RandomStream(22, Stream.test, 0);
  const julep = { ...model, parameters: model.parameters.map((p) => p + 0.05 * random.normal()) };
  const run = jobs.runTrajectories(julep);
  const drawn = await drawForward(run, system, 20_000, { seed: 32, steps: 12 });
  const target = resampledPositions(drawn.positions, drawn.logWeights, 8, 5000, 33);
  const back = await drawBackward(run, system, Float64Array.from(target), { seed: 34, steps: 12 });
  const both = logPartitionFromBothEnds(drawn.logWeights, back.logWeights);
  const exact = exactValues(config.system)!.logZ!.value;
  // The resampled targets share the forward set's error: its standard error is added.
  const error = both.standardError + logPartitionFunction(drawn.logWeights).standardError;
  assert.ok(Math.abs(both.logZ - exact) < 4 * error, `${both.logZ} ± ${error} against ${exact}`);
});

Deno.test("without symmetrisation the own ESS lies, and the warnings say so", async () => {
  const honest = configFor(preset("dw4").system);
  const lying = structuredClone(honest);
  lying.mint.symmetrise = false;
  lying.mint.broad.weight = 0;
  lying.julep.network.enabled = false;
  const system = createSystem(honest.system);
  await using pool = await ExecutorPool.start({ backend: "wasm" });
  const jobs = new RunJobs(pool, honest.system);
  // Target samples, from the symmetrised prior.
  const model = initialiseJulep(system, { ...honest.julep, network: lying.julep.network }, 3);
  jobs.mint = await roughPrior(honest, jobs, 150);
  const good = await drawForward(jobs.runTrajectories(model), system, 10_000, {
    seed: 41,
    steps: 25,
  });
  const target = resampledPositions(good.positions, good.logWeights, 8, 3000, 42);
  jobs.mint = await roughPrior(lying, jobs, 150);
  const run = jobs.runTrajectories(model);
  const drawn = await drawForward(run, system, 10_000, { seed: 43, steps: 25 });
  const back = await drawBackward(run, system, Float64Array.from(target), { seed: 44, steps: 25 });
  const exact = exactValues(honest.system)!.logZ!.value;
  const ess = effectiveSampleSize(drawn.logWeights);
  const seen = essFromReference(back.logWeights, exact).ess;
  assert.ok(seen < 0.1 * ess, `own ESS ${ess}, from the target ${seen}`);
  const { logZ } = logPartitionFunction(drawn.logWeights);
  assert.ok(logZ < exact - 0.5, `log Z ${logZ} hides what is missing`);
  const found = warnings({
    logWeights: drawn.logWeights,
    logWeightsFromReference: back.logWeights,
    priorMissesLabellings: true,
  }).join("\n");
  assert.match(found, /labellings/);
  assert.match(found, /log Z/);
});

import assert from "node:assert/strict";
import type { MintConfig } from "../src/config/config.ts";
import { preset } from "../src/config/presets.ts";
import { adamUpdate, clipNorm, cosineSchedule, newAdamState } from "../src/math/adam.ts";
import { descend } from "../src/math/lbfgs.ts";
import { addRepulsion, temperedWeights } from "../src/mint/loss.ts";
import { distinctStarts, initialiseMint, minimisedStarts } from "../src/mint/start.ts";
import { MintDensity } from "../src/mint/mixture.ts";
import { localMintJobs, MintTraining, weightExponent } from "../src/mint/train.ts";
import { logSumExp } from "../src/math/special.ts";
import { InputError } from "../src/errors.ts";
import { createSystem } from "../src/systems/create.ts";
import { randomMint } from "./mint_helpers.ts";

const dw4 = preset("dw4");
const system = createSystem(dw4.system);
const small: MintConfig = { ...dw4.mint, components: 4, starts: 8, iterations: 12, samples: 32 };

Deno.test("Adam's first steps are the learning rate along the gradient's signs", () => {
  const state = newAdamState(2);
  const parameters = Float64Array.of(1, -1);
  adamUpdate(state, parameters, Float64Array.of(3, -0.01), 0.1);
  assert.ok(Math.abs(parameters[0] - 0.9) < 1e-6 && Math.abs(parameters[1] + 0.9) < 1e-6);
  assert.equal(state.step, 1);
  const gradient = Float64Array.of(3, 4);
  assert.equal(clipNorm(gradient, 1), 5);
  assert.ok(Math.abs(gradient[0] - 0.6) < 1e-15 && Math.abs(gradient[1] - 0.8) < 1e-15);
  assert.equal(cosineSchedule(0, 100, 0.05), 1);
  assert.ok(Math.abs(cosineSchedule(100, 100, 0.05) - 0.05) < 1e-15);
  assert.equal(cosineSchedule(0, 100, 0.05, 4), 0.2);
});

Deno.test("descend finds the minimum of the Rosenbrock function", () => {
  const x = Float64Array.of(-1.2, 1);
  const value = descend(
    (at, gradient) => {
      const d = at[1] - at[0] * at[0];
      gradient[0] = -2 * (1 - at[0]) - 400 * at[0] * d;
      gradient[1] = 200 * d;
      return (1 - at[0]) ** 2 + 100 * d * d;
    },
    x,
    200,
    1,
  );
  assert.ok(value < 1e-12 && Math.abs(x[0] - 1) < 1e-5, `${value} at ${x}`);
});

Deno.test("weights are tempered just enough, and NaN weighs nothing", () => {
  const even = temperedWeights(Float64Array.of(1, 1, 1, NaN), 0.1);
  assert.equal(even.exponent, 1);
  assert.deepEqual([...even.weights], [1 / 3, 1 / 3, 1 / 3, 0]);
  assert.ok(Math.abs(even.logZ - (1 + Math.log(3 / 4))) < 1e-14);
  const steep = temperedWeights(Float64Array.from({ length: 100 }, (_, i) => 5 * i), 0.1);
  assert.ok(steep.exponent < 1 && steep.ess < 0.02);
  let [sum, squares] = [0, 0];
  for (const w of steep.weights) [sum, squares] = [sum + w, squares + w * w];
  assert.ok(Math.abs(sum - 1) < 1e-12 && Math.abs(1 / squares / 100 - 0.1) < 1e-6);
  const dead = temperedWeights(Float64Array.of(-Infinity, NaN), 0.1);
  assert.deepEqual([...dead.weights], [0, 0]);
});

Deno.test("the repulsion's gradient agrees with finite differences, n = 2 and 3", () => {
  for (const dimension of [2, 3] as const) {
    const model = randomMint({ particles: 4, dimension, components: 3, symmetrise: false });
    const gradient = new Float64Array(model.parameters.length);
    const value = addRepulsion(model, 0.7, gradient);
    assert.ok(value > 0);
    for (let i = 0; i < gradient.length; i++) {
      const at = (delta: number) => {
        const parameters = model.parameters.slice();
        parameters[i] += delta;
        return addRepulsion({ ...model, parameters }, 0.7, new Float64Array(gradient.length));
      };
      const difference = (at(1e-5) - at(-1e-5)) / 2e-5;
      assert.ok(Math.abs(difference - gradient[i]) < 1e-8, `${i}: ${difference} ${gradient[i]}`);
    }
  }
});

Deno.test("starts are minima of the energy, and copies are recognised", () => {
  const starts = minimisedStarts(system, 30, 400, 1);
  assert.equal(starts.length, 30);
  const gradient = new Float64Array(8);
  for (const start of starts) {
    system.energyAndGradient(start.positions, gradient);
    assert.ok(Math.hypot(...gradient) < 1e-4);
    assert.deepEqual([...start.positions.slice(0, 2)], [0, 0]);
  }
  const distinct = distinctStarts(starts, system.lengthScale);
  assert.ok(distinct.length >= 3 && distinct.length <= 12, `${distinct.length}`);
});

Deno.test("initialiseMint: fixed and automatic broad scale, no components, bad configurations", () => {
  const model = initialiseMint(system, small, 1);
  assert.ok(model.broadScale > 1 && model.broadScale < 5);
  assert.equal(model.parameters.length, 4 * 16);
  const many = initialiseMint(system, { ...small, components: 100 }, 1).parameters;
  const rows = Array.from({ length: 100 }, (_, k) => many.slice(16 * k, 16 * k + 16).join());
  assert.equal(new Set(rows).size, 100, "no two components start alike");
  const broad = initialiseMint(
    system,
    { ...small, components: 0, broad: { weight: 1, scale: 2 } },
    1,
  );
  assert.equal(broad.parameters.length, 0);
  assert.equal(broad.broadScale, 2);
  assert.throws(() => initialiseMint(system, { ...small, components: 0 }, 1), InputError);
});

Deno.test("the weights' exponent grows linearly from 1 after three tenths of training", () => {
  assert.equal(weightExponent(0, 100, 2), 1);
  assert.equal(weightExponent(30, 100, 2), 1);
  assert.ok(Math.abs(weightExponent(65, 100, 2) - 1.5) < 1e-12);
  assert.equal(weightExponent(100, 100, 2), 2);
});

Deno.test("the gradient of exponent 2 is that of log E_q[w²]", async () => {
  // One fixed set of points x_s drawn from q₀: log Σ_s w²q/q₀ with w = p/q, differentiated at q = q₀.
  const model = initialiseMint(system, small, 5);
  const jobs = localMintJobs(system);
  const { positions, logDensity, energies } = await jobs.draw(model, 5, 0, 64);
  const logWeights = logDensity.map((q, s) => -energies[s] - q);
  const { weights } = temperedWeights(logWeights.map((w) => 2 * w), 1e-9);
  const gradient = await jobs.gradient(model, { positions, weights, count: 64 });
  const objective = (parameters: Float64Array) => {
    const q = new MintDensity({ ...model, parameters });
    // Σ_s p²/(q q₀): the estimate of ∫p²/q from draws of q₀.
    return logSumExp(
      logDensity.map((q0, s) => -2 * energies[s] - q.logDensity(positions, 8 * s) - q0),
    );
  };
  for (let i = 0; i < gradient.length; i += 5) {
    const at = (delta: number) => {
      const parameters = model.parameters.slice();
      parameters[i] += delta;
      return objective(parameters);
    };
    const difference = (at(1e-4) - at(-1e-4)) / 2e-4;
    assert.ok(Math.abs(difference - gradient[i]) < 1e-5, `${i}: ${difference} ${gradient[i]}`);
  }
});

Deno.test("training raises the batch ESS", async () => {
  const config = { ...small, iterations: 80, samples: 128 };
  const training = new MintTraining(initialiseMint(system, config, 4), config, 4);
  const jobs = localMintJobs(system);
  const ess: number[] = [];
  while (training.iteration < 80) ess.push((await training.step(jobs)).ess);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  // 2 % before, about 30 % after.
  assert.ok(mean(ess.slice(-20)) > 0.1 + mean(ess.slice(0, 10)), `${ess}`);
});

Deno.test("training resumes to the same bits", async () => {
  const model = initialiseMint(system, small, 3);
  const jobs = localMintJobs(system);
  const whole = new MintTraining(model, small, 3);
  const reports = [];
  for (let i = 0; i < small.iterations; i++) reports.push(await whole.step(jobs));
  const first = new MintTraining(model, small, 3);
  for (let i = 0; i < 5; i++) await first.step(jobs);
  const second = new MintTraining(model, small, 3, structuredClone(first.state()));
  assert.equal(second.iteration, 5);
  while (second.iteration < small.iterations) await second.step(jobs);
  assert.deepEqual(second.state(), whole.state());
  assert.notDeepEqual(second.model.parameters, model.parameters);
  assert.ok(reports.every((r) => Number.isFinite(r.loss) && r.temperingExponent <= 2));
});

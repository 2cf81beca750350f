/** Julep in whitened internal coordinates: the prior's field, the network, gradients, the split. */
import assert from "node:assert/strict";
import { forceFactor } from "../../src/backends/internal_julep.ts";
import { ReferenceExecutor } from "../../src/backends/reference/executor.ts";
import { WasmExecutor } from "../../src/backends/wasm/executor.ts";
import type { GradientJob, Problem, TrajectoryJob } from "../../src/backends/backend.ts";
import { loadConfig } from "../../src/config/load.ts";
import { methodOf } from "../../src/config/methods.ts";
import type { JulepModel } from "../../src/julep/model.ts";
import { knotGradient, stepSizes, uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseWhitenedJulep } from "../../src/julep/start_whitened.ts";
import {
  displacement,
  initialiseWhitened,
  WhitenedNetwork,
  type WhitenedOutput,
  whitenedOutput,
  whitenedSize,
} from "../../src/julep/whitened.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { PriorScore } from "../../src/mint/molecule/score.ts";
import { InternalSampler } from "../../src/path/internal_sampler.ts";
import { makeInternal } from "../../src/run/internal.ts";
import { silent } from "../../src/run/progress.ts";
import { logPartitionFunction } from "../../src/sampling/weights.ts";
import { createSystem } from "../../src/systems/create.ts";
import type { Molecule } from "../../src/systems/molecule/molecule.ts";

const config = loadConfig("aldp-vacuum", [
  "internal.starts=6",
  "internal.cells=8",
  "julep.network.hidden=16",
], "internal-julep");
const molecule = createSystem(config.system) as Molecule;
const made = {
  torsion_grid: (await makeInternal(molecule, config.internal!, 1, silent)).model,
  laplace:
    (await makeInternal(molecule, { ...config.internal!, prior: "laplace" }, 1, silent)).model,
};
const n = 60;

/** Every parameter of the network off its start. */
function julepOf(scale: number, matrix: JulepModel["matrix"] = "signed"): JulepModel {
  const { network } = config.julep;
  const julep = initialiseWhitenedJulep(
    molecule,
    made.torsion_grid,
    { ...config.julep, network: { ...network, matrix } },
    2,
  );
  const random = new RandomStream(5, Stream.test, 0);
  return {
    ...julep,
    parameters: julep.parameters.map((p) => p + scale * random.normal()),
    logStepSize: julep.logStepSize.map((v) => v + 0.2 * random.normal()),
  };
}

function problem(julep: JulepModel): Problem {
  return { system: config.system, mint: null, julep, internal: made.torsion_grid };
}

const job = (count: number, steps: number, first = 0): TrajectoryJob => ({
  seed: 3,
  first,
  count,
  times: uniformTimes(steps),
  direction: "forward",
  keep: true,
});

Deno.test("--method internal-julep is a method of its own", () => {
  assert.equal(methodOf(config), "internal-julep");
  assert.throws(() => loadConfig("dw4", [], "internal-julep"), /is for molecules/);
  assert.throws(
    () =>
      loadConfig("aldp", [
        "julep.network.drift=false",
        "julep.network.evenDrift=false",
        "julep.network.matrix=signed",
      ], "internal-julep"),
    /julep\.network\.drift must be true with internal\.kernel julep/,
  );
});

for (const kind of ["torsion_grid", "laplace"] as const) {
  Deno.test(`the prior as a field: near log q, its own gradient, periodic (${kind})`, () => {
    const sampler = new InternalSampler(molecule, made[kind]);
    const { coordinates, scales } = sampler.energy;
    const score = new PriorScore(coordinates, made[kind].prior, sampler.prior);
    const gradient = new Float64Array(n);
    const unused = new Float64Array(n);
    const { prior } = made[kind];
    const soft = prior.kind === "torsion_grid"
      ? prior.soft.map((row) => coordinates.dihedralAt(row))
      : [];
    let compared = 0;
    let apart = 0;
    for (let k = 0; k < 12; k++) {
      const z = sampler.prior.draw(new RandomStream(1, Stream.test, k))!;
      const value = score.evaluate(z, gradient);
      apart += (value - sampler.prior.logDensity(z)) / 12;
      for (let i = 0; i < n; i++) {
        // The table is constant on sub-cells, its slope is not.
        if (soft.includes(i)) continue;
        const h = 1e-4 * scales[i];
        const at = (step: number) => {
          const moved = z.slice();
          moved[i] += step * h;
          return score.evaluate(moved, unused);
        };
        const numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
        // Terms of a share below e^-9 are in the value and not in the gradient.
        const error = Math.abs(gradient[i] - numeric) * scales[i];
        assert.ok(error < 2e-3 * (1 + Math.abs(numeric) * scales[i]), `${k} ${i}: ${error}`);
        compared++;
      }
      const turned = z.map((v, i) => i > 2 * 22 - 4 && i % 3 === 0 ? v - 2 * Math.PI : v);
      assert.ok(Math.abs(score.evaluate(turned, unused) - value) < 1e-6);
    }
    assert.ok(compared >= 600);
    // Neighbouring cells of a coarse grid go over into each other.
    assert.ok(Math.abs(apart) < (kind === "laplace" ? 0.1 : 2), `${apart}`);
  });
}

Deno.test("the prior as a field: its parts may stand in any order", () => {
  for (const { prior, ...rest } of Object.values(made)) {
    const { coordinates } = new InternalSampler(molecule, { ...rest, prior }).energy;
    const row = coordinates.rotors[0].rows[0];
    const parts = [
      { weight: 0.7, widening: 1 },
      { weight: 0.2, widening: 1.2 },
      { weight: 0.1, widening: 1, stretched: { row, factor: 3 } },
    ];
    // Second, the harmonic density and the wider one of the same shape are not next to each other.
    const fields = [[0, 1, 2], [0, 2, 1]].map((order) => {
      const model = { ...prior, parts: order.map((p) => parts[p]) };
      const sampler = new InternalSampler(molecule, { ...rest, prior: model });
      const score = new PriorScore(coordinates, model, sampler.prior);
      return { sampler, score, gradient: new Float64Array(n) };
    });
    for (let k = 0; k < 4; k++) {
      const z = fields[0].sampler.prior.draw(new RandomStream(1, Stream.test, k))!;
      const [one, other] = fields.map(({ score, gradient }) => score.evaluate(z, gradient));
      assert.ok(Math.abs(one - other) < 1e-9, `${prior.kind} ${k}: ${one} ${other}`);
      const most = Math.max(...fields[0].gradient.map(Math.abs));
      fields[0].gradient.forEach((value, i) =>
        assert.ok(Math.abs(value - fields[1].gradient[i]) < 1e-9 * most, `${prior.kind} ${k} ${i}`)
      );
    }
  }
});

Deno.test("the slope along a soft torsion is that of the field, its table smoothed", () => {
  const sampler = new InternalSampler(molecule, made.torsion_grid);
  const { coordinates } = sampler.energy;
  const { prior } = made.torsion_grid;
  assert.ok(prior.kind === "torsion_grid");
  const score = new PriorScore(coordinates, prior, sampler.prior);
  const width = 2 * Math.PI / (prior.cells * prior.subcells);
  const [gradient, other] = [new Float64Array(n), new Float64Array(n)];
  const at = coordinates.dihedralAt(prior.soft[0]);
  const z = sampler.prior.draw(new RandomStream(1, Stream.test, 3))!;
  // From a sub-cell's middle to the next one's: the mean slope is the difference.
  z[at] = (Math.floor(z[at] / width) + 0.5) * width;
  const steps = 400;
  const start = score.evaluate(z, gradient);
  let sum = 0;
  for (let k = 0; k < steps; k++) {
    const moved = z.slice();
    moved[at] += (k + 0.5) * width / steps;
    score.evaluate(moved, other);
    sum += other[at] * width / steps;
  }
  const moved = z.slice();
  moved[at] += width;
  // Parabolas smooth the table: ⅛, ¾, ⅛ of neighbouring differences.
  const fine = prior.cells * prior.subcells;
  const place = (k: number) =>
    Math.floor((z[coordinates.dihedralAt(prior.soft[k])] + Math.PI) / width);
  const step = (k: number) => {
    const log = (f: number) => Math.log(prior.table[(f + fine) % fine + fine * place(1)]);
    return log(place(0) + k + 1) - log(place(0) + k);
  };
  const smoothed = (step(-1) + step(1) - 2 * step(0)) / 8;
  const difference = score.evaluate(moved, other) - start + smoothed;
  assert.ok(Math.abs(sum - difference) < 2e-3 * (1 + Math.abs(difference)), `${sum} ${difference}`);
});

Deno.test("whitened network: gradient against finite differences, b = c = 0 and s = 0 at first, periodic", () => {
  const shape = {
    features: [
      { kind: "linear", centre: 0.1, scale: 0.02 },
      { kind: "wrapped", centre: 2, scale: 0.3 },
      { kind: "periodic", symmetry: 3 },
      { kind: "periodic", symmetry: 1 },
    ],
    layers: 2,
    hidden: 8,
    outputScale: 1.7,
    channels: 2,
  } as const;
  const start = initialiseWhitened(shape, 4);
  assert.equal(start.length, whitenedSize(shape));
  const z = Float64Array.of(0.13, -2.1, 0.4, 1.9);
  const out = whitenedOutput(shape);
  new WhitenedNetwork(shape, start).forward(z, 0.3, out);
  assert.ok([...out.b, ...out.c, ...out.s].every((v) => v === 0));
  assert.ok(out.h.every((v) => v !== 0), "H and s both zero would never have a gradient");
  const random = new RandomStream(6, Stream.test, 0);
  const parameters = start.map((p) => p + 0.3 * random.normal());
  const adjoint = whitenedOutput(shape);
  const names = ["b", "c", "s", "h"] as const;
  for (const name of names) adjoint[name].forEach((_, k) => adjoint[name][k] = random.normal());
  const pairing = (values: Float64Array, place = z) => {
    new WhitenedNetwork(shape, values).forward(place, 0.3, out);
    return names.reduce(
      (sum, name) => sum + out[name].reduce((part, v, k) => part + v * adjoint[name][k], 0),
      0,
    );
  };
  const network = new WhitenedNetwork(shape, parameters);
  network.forward(z, 0.3, out);
  const gradient = new Float64Array(parameters.length);
  network.backward(adjoint, gradient);
  const norm = Math.hypot(...gradient);
  parameters.forEach((_, k) => {
    const at = (step: number) => pairing(parameters.map((p, i) => i === k ? p + 1e-4 * step : p));
    const numeric = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / 12e-4;
    assert.ok(Math.abs(gradient[k] - numeric) < 1e-8 * norm, `${k}: ${gradient[k]} ${numeric}`);
  });
  const turned = z.map((v, k) => k === 0 ? v : v + 2 * Math.PI * (k - 2.5 > 0 ? 1 : -2));
  assert.ok(Math.abs(pairing(parameters) - pairing(parameters, turned)) < 1e-10);
  // What A acts on has the same periods, and near the centres is the distance from them.
  const [here, there] = [new Float64Array(4), new Float64Array(4)];
  displacement(shape, z, here);
  displacement(shape, turned, there);
  here.forEach((v, k) => assert.ok(Math.abs(v - there[k]) < 1e-12));
  const expected = [0.03, 2 * Math.PI - 4.1, Math.sin(1.2) / 3, Math.sin(1.9)];
  here.forEach((v, k) => assert.ok(Math.abs(v - expected[k]) < 1e-12, `${k}: ${v}`));
});

Deno.test("the step is reversible for N(0, 1)", () => {
  for (const h of [0.01, 0.1, 0.4]) {
    const { factor, slope } = forceFactor(h);
    // y' = (1 − hφ) y + √(2h) ξ keeps variance 1.
    assert.ok(Math.abs((1 - h * factor) ** 2 + 2 * h - 1) < 1e-12);
    const at = (x: number) => x * forceFactor(x).factor;
    const d = 1e-5;
    const numeric = (at(h * (1 + d)) - at(h * (1 - d))) / (2 * d);
    assert.ok(Math.abs(numeric - slope) < 1e-8);
  }
});

/** e^{τA} w from the definition, A = H diag(s) Hᵀ as a matrix. */
function exponential({ s, h }: WhitenedOutput, w: Float64Array, tau: number): Float64Array {
  const C = s.length;
  const apply = (v: Float64Array) =>
    v.map((_, i) => {
      let sum = 0;
      for (let c = 0; c < C; c++) {
        for (let j = 0; j < n; j++) sum += h[i * C + c] * s[c] * h[j * C + c] * v[j];
      }
      return sum;
    });
  let term = w;
  let out = w;
  for (let k = 1; k < 30; k++) {
    term = apply(term).map((v) => v * tau / k);
    out = out.map((v, i) => v + term[i]);
  }
  return out;
}

/** L⁻¹ x. */
function solve(lower: Float64Array, x: Float64Array): Float64Array {
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    out[i] = x[i];
    for (let j = 0; j < i; j++) out[i] -= lower[i * n + j] * out[j];
    out[i] /= lower[i * n + i];
  }
  return out;
}

for (const matrix of ["none", "signed", "positive"] as const) {
  Deno.test(`gradient of the loss against finite differences, matrix ${matrix}`, () => {
    checkGradient(julepOf(0.1, matrix));
  });
}

function checkGradient(julep: JulepModel): void {
  const executor = new ReferenceExecutor();
  executor.prepare(problem(julep));
  const [steps, count] = [5, 4];
  const path = executor.trajectories(job(count, steps));
  const random = new RandomStream(8, Stream.test, 0);
  const coefficients = Float64Array.from({ length: steps * count }, () => random.normal());
  const windows = Int32Array.of(1, 3);
  const gradient = executor.trajectoryGradient({
    ...job(count, steps),
    states: path.states!,
    forces: path.forces!,
    coefficients,
    stepCoefficients: coefficients,
    windows,
  } as GradientJob);
  // The same from the definition: Σ κ (log k⁻ − log k⁺) with states and forces held fixed.
  const sampler = new InternalSampler(molecule, made.torsion_grid);
  const lower = choleskyOf(sampler);
  const state = (j: number, s: number) =>
    path.states!.subarray((j * count + s) * n, (j * count + s + 1) * n);
  const net = whitenedOutput(julep.whitened!);
  /** Largest change that A makes to a coordinate. */
  let turned = 0;
  const surrogate = (parameters: Float64Array, logStepSize: Float64Array): number => {
    const network = new WhitenedNetwork(julep.whitened!, parameters);
    const eps = stepSizes(logStepSize, job(count, steps).times);
    let sum = 0;
    for (let s = 0; s < count; s++) {
      for (let step = 1; step < 4; step++) {
        const h = eps[step] / steps;
        const { factor } = forceFactor(h);
        let ratio = 0;
        for (const sign of [1, -1]) {
          const j = sign > 0 ? step : step + 1;
          const [from, to] = sign > 0 ? [step, step + 1] : [step + 1, step];
          const z = new Float64Array(n);
          state(j, s).forEach((v, col) => {
            for (let row = col; row < n; row++) z[row] += lower[row * n + col] * v;
          });
          network.forward(z, j / steps, net);
          if (julep.matrix === "positive") net.s.fill(1);
          const w = new Float64Array(n);
          displacement(julep.whitened!, z, w);
          const white = solve(lower, w);
          const moved = exponential(net, white, sign * h);
          const force = path.forces!.subarray((j * count + s) * n, (j * count + s + 1) * n);
          for (let a = 0; a < n; a++) {
            turned = Math.max(turned, Math.abs(moved[a] - white[a]));
            const mean = state(from, s)[a] + moved[a] - white[a] +
              h * (sign * net.b[a] + net.c[a] + factor * force[a]);
            ratio += sign * (state(to, s)[a] - mean) ** 2 / (4 * h);
          }
        }
        sum += coefficients[step * count + s] * ratio;
      }
    }
    return sum;
  };
  const numeric = (values: Float64Array, at: number, use: (v: Float64Array) => number) => {
    const d = 1e-4;
    const value = (step: number) => use(values.map((v, i) => i === at ? v + step * d : v));
    return (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * d);
  };
  const norm = Math.hypot(...gradient.parameters);
  assert.ok(norm > 1e-2);
  assert.equal(julep.matrix === "none", julep.whitened!.channels === undefined);
  for (let k = 0; k < julep.parameters.length; k += 97) {
    const expected = numeric(julep.parameters, k, (p) => surrogate(p, julep.logStepSize));
    assert.ok(Math.abs(gradient.parameters[k] - expected) < 1e-6 * norm, `${k}`);
  }
  julep.logStepSize.forEach((_, k) => {
    const expected = numeric(julep.logStepSize, k, (e) => surrogate(julep.parameters, e));
    const error = Math.abs(gradient.logStepSize[k] - expected);
    assert.ok(error < 1e-6 * Math.hypot(...gradient.logStepSize), `ε ${k}: ${error}`);
  });
  assert.ok(julep.matrix === "none" ? turned === 0 : turned > 0.03, `${turned}`);
  // Increments: the same kernels, and U_t between.
  const eps = stepSizes(julep.logStepSize, job(count, steps).times);
  assert.equal(knotGradient(8, job(count, steps).times, eps).length, 8);
}

function choleskyOf({ prior }: InternalSampler): Float64Array {
  const a = prior.localCovariance();
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
      l[i * n + j] = i === j ? Math.sqrt(sum) : sum / l[j * n + j];
    }
  }
  return l;
}

Deno.test("increments add up to W, jobs may be split, WebAssembly agrees with the reference", async () => {
  const julep = julepOf(0.02);
  const reference = new ReferenceExecutor();
  const wasm = await WasmExecutor.create();
  reference.prepare(problem(julep));
  wasm.prepare(problem(julep));
  const exact = reference.trajectories(job(8, 6));
  const fast = wasm.trajectories(job(8, 6));
  for (let s = 0; s < 8; s++) {
    const w = exact.logWeights[s];
    // V's forces are float32 there: 63 coordinates, 6 steps; seen 1e-4.
    assert.ok(Math.abs(fast.logWeights[s] - w) < 1e-2, `${s}: ${fast.logWeights[s]} ${w}`);
  }
  for (const executor of [reference, wasm]) {
    const all = executor.trajectories(job(8, 6));
    const part = executor.trajectories(job(4, 6, 4));
    assert.deepEqual(part.logWeights, all.logWeights.slice(4));
    assert.deepEqual(part.positions, all.positions.slice(4 * 66));
  }
});

Deno.test("log Z of alanine dipeptide, whatever the network", async () => {
  const wasm = await WasmExecutor.create();
  wasm.prepare(problem(julepOf(0.03)));
  const { logWeights } = wasm.trajectories({ ...job(3000, 8), keep: false });
  const { logZ, standardError } = logPartitionFunction(logWeights);
  // As in internal_path_test.ts: an independent program's figure, a false alarm in 1e5 seeds.
  assert.ok(standardError < 0.1, `${standardError}`);
  assert.ok(Math.abs(logZ + 196.744) < 4.4 * Math.hypot(standardError, 0.005), `${logZ}`);
});

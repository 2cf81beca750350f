/**
 * The float64 gradient of the log-variance loss against finite differences of the loss, with the
 * kernels written out anew from their densities (dense matrix exponential, no displacements).
 */
import assert from "node:assert/strict";
import { trajectory, trajectoryGradient, type Transport } from "../src/backends/reference/julep.ts";
import { pairFlow } from "../src/backends/reference/pair_flow.ts";
import { egnnForward } from "../src/backends/reference/egnn.ts";
import { egnnOutput, initialiseEgnn } from "../src/julep/egnn.ts";
import type { JulepModel, NetworkShape } from "../src/julep/model.ts";
import { knotGradient, stepSizes } from "../src/julep/schedule.ts";
import { type PairVelocity, stepFlow } from "../src/julep/pair_path.ts";
import { RandomStream, Stream, streamKey } from "../src/math/random.ts";
import type { System } from "../src/systems/system.ts";
import { randomFlow } from "./path/helpers.ts";

const N = 4;
const n = 2;

/** U = Σ_{i<j} ¼ (r² − 2)²: smooth everywhere. */
const system = {
  particles: N,
  dimension: n,
  energyAndGradient(x: Float64Array, gradient: Float64Array): number {
    gradient.fill(0);
    let energy = 0;
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < i; j++) {
        const d = [x[i * n] - x[j * n], x[i * n + 1] - x[j * n + 1]];
        const excess = d[0] * d[0] + d[1] * d[1] - 2;
        energy += 0.25 * excess * excess;
        for (let a = 0; a < n; a++) {
          gradient[i * n + a] += excess * d[a];
          gradient[j * n + a] -= excess * d[a];
        }
      }
    }
    return energy;
  },
} as unknown as System;

/** log q = −½ Σ |x_i − x̄|². */
function priorLogDensity(x: Float64Array, gradient: Float64Array): number {
  let log = 0;
  for (let a = 0; a < n; a++) {
    let mean = 0;
    for (let i = 0; i < N; i++) mean += x[i * n + a] / N;
    for (let i = 0; i < N; i++) {
      gradient[i * n + a] = -(x[i * n + a] - mean);
      log -= 0.5 * (x[i * n + a] - mean) ** 2;
    }
  }
  return log;
}

function model(options: Partial<JulepModel> & { channels?: number; seed?: number }): JulepModel {
  const gauge = options.gauge ?? "centre_of_mass";
  const network: NetworkShape = {
    particles: N,
    dimension: n,
    layers: 2,
    hidden: 8,
    channels: options.channels ?? 2,
    lengthScale: 1.5,
    anchored: gauge === "anchor",
  };
  const parameters = initialiseEgnn(network, 3);
  const random = new RandomStream(options.seed ?? 5, Stream.test, 0);
  // Move every parameter off its start, so that no head is silent.
  for (let i = 0; i < parameters.length; i++) parameters[i] += 0.3 * random.normal();
  return {
    gauge,
    forceClip: options.forceClip ?? null,
    network,
    drift: options.drift ?? true,
    evenDrift: options.evenDrift ?? true,
    matrix: options.matrix ?? "signed",
    parameters,
    logStepSize: Float64Array.from([-2, -2.5, -1.8]),
    pairDrift: options.pairDrift,
    pairFlow: options.pairFlow,
  };
}

/** e^{M} by scaling and squaring of a long Taylor series, dense. */
function denseExponential(m: number[][]): number[][] {
  const size = m.length;
  const product = (a: number[][], b: number[][]) =>
    a.map((row) => row.map((_, j) => row.reduce((sum, v, k) => sum + v * b[k][j], 0)));
  const small = m.map((row) => row.map((v) => v / 1024));
  let term: number[][] = Array.from(
    { length: size },
    (_, i) => small.map((_, j) => i === j ? 1 : 0),
  );
  let sum = term;
  for (let k = 1; k < 20; k++) {
    term = product(term, small).map((row) => row.map((v) => v / k));
    sum = sum.map((row, i) => row.map((v, j) => v + term[i][j]));
  }
  for (let k = 0; k < 10; k++) sum = product(sum, sum);
  return sum;
}

/** Mean of k± straight from the definition. */
function kernelMean(
  p: Transport,
  x: Float64Array,
  force: Float64Array,
  t: number,
  sign: number,
  dt: number,
  eps: number,
): Float64Array {
  const { julep } = p;
  const C = julep.network!.channels;
  const out = egnnOutput(julep.network!);
  egnnForward(julep.network!, julep.parameters, x, t, out);
  const project = (v: Float64Array) => {
    const width = v.length / N;
    for (let a = 0; a < width; a++) {
      let mean = 0;
      for (let i = 0; i < N; i++) mean += v[i * width + a] / N;
      for (let i = 0; i < N; i++) {
        if (julep.gauge === "centre_of_mass") v[i * width + a] -= mean;
        else if (i === 0) v[i * width + a] = 0;
      }
    }
  };
  project(out.b);
  project(out.c);
  if (C) project(out.h);
  if (julep.matrix === "positive") out.s.fill(1);
  const matrix = Array.from({ length: N }, (_, i) =>
    Array.from({ length: N }, (_, j) => {
      let sum = 0;
      for (let c = 0; c < C; c++) sum += out.h[i * C + c] * out.s[c] * out.h[j * C + c];
      return sign * dt * eps * sum;
    }));
  const exponential = denseExponential(matrix);
  const velocity = julep.pairDrift && pairVelocityAt(julep.pairDrift, x, t);
  return x.map((_, at) => {
    const i = Math.floor(at / n);
    const a = at % n;
    let sum = 0;
    for (let j = 0; j < N; j++) sum += exponential[i][j] * x[j * n + a];
    const b = julep.drift ? out.b[at] : 0;
    const c = julep.evenDrift ? out.c[at] : 0;
    return sum + eps * dt * (sign * b + c + force[at]) + (velocity ? sign * dt * velocity[at] : 0);
  });
}

/** v_i = Σ_j g(r_ij) (x_i − x_j) with g bilinear in (t, r), from the definition. */
function pairVelocityAt({ cells, width, tables }: PairVelocity, x: Float64Array, t: number) {
  const K = tables.length / (cells + 1);
  const k = Math.min(Math.floor(t * (K - 1)), K - 2);
  const between = (low: number, high: number, w: number) => (1 - w) * low + w * high;
  return x.map((_, at) => {
    let sum = 0;
    for (let j = 0; j < N; j++) {
      const i = Math.floor(at / n);
      if (i === j) continue;
      const r = Math.hypot(x[i * n] - x[j * n], x[i * n + 1] - x[j * n + 1]);
      const c = Math.floor(r / width);
      const g = (level: number) => {
        const from = level * (cells + 1) + c;
        return between(tables[from], tables[from + 1], r / width - c);
      };
      sum += between(g(k), g(k + 1), t * (K - 1) - k) * (x[at] - x[j * n + at % n]);
    }
    return sum;
  });
}

function setUp(options: Parameters<typeof model>[0]) {
  const julep = model(options);
  const p: Transport = { system, julep, priorLogDensity };
  const times = Float64Array.from([0, 0.15, 0.4, 0.7, 1]);
  const start = Float64Array.from([0, 0, 1.2, 0.1, -0.4, 0.9, 0.3, -1.1]);
  if (julep.gauge === "centre_of_mass") {
    for (let at = 0; at < start.length; at++) start[at] -= at % 2 === 0 ? 0.275 : -0.025;
  }
  const eps = stepSizes(julep.logStepSize, times);
  const path = trajectory(p, start, times, eps, "forward", streamKey(1, Stream.forward), 7);
  const coefficients = Float64Array.from([0.7, -1.1, 0.4, 0.9]);
  return { p, times, path, coefficients };
}

/** F(x) of step i in the gauge, and log|∂F/∂x|. */
function flowed({ julep }: Transport, x: Float64Array, times: Float64Array, i: number) {
  const moved = x.slice();
  if (!julep.pairFlow) return { moved, logDeterminant: 0 };
  const logDeterminant = pairFlow(stepFlow(julep.pairFlow, times), i, moved, n);
  if (julep.gauge !== "anchor") return { moved, logDeterminant };
  return { moved: moved.map((v, at) => v - moved[at % n]), logDeterminant };
}

/** Σ_i κ_i (log k⁻ − log k⁺)_i with the states held fixed. */
function surrogate(
  p: Transport,
  { times, path, coefficients }: ReturnType<typeof setUp>,
  first: number,
  count: number,
): number {
  const eps = stepSizes(p.julep.logStepSize, times);
  let sum = 0;
  for (let i = first; i < first + count; i++) {
    const dt = times[i + 1] - times[i];
    const [x, y] = [path.states[i], path.states[i + 1]];
    const forward = kernelMean(p, x, path.forces[i], times[i], 1, dt, eps[i]);
    const backward = kernelMean(p, y, path.forces[i + 1], times[i + 1], -1, dt, eps[i]);
    const { moved, logDeterminant } = flowed(p, x, times, i);
    let ratio = logDeterminant;
    for (let a = 0; a < x.length; a++) {
      ratio += ((y[a] - forward[a] + x[a] - moved[a]) ** 2 - (moved[a] - backward[a]) ** 2) /
        (4 * eps[i] * dt);
    }
    sum += coefficients[i] * ratio;
  }
  return sum;
}

const pairFlowTables = randomFlow(3, 12, 0.4, 0.3, 6);

const cases: [string, Parameters<typeof model>[0]][] = [
  ["signed A, centre of mass", {}],
  ["signed A, anchor", { gauge: "anchor" }],
  ["the paper's positive A", { matrix: "positive" }],
  ["no A", { matrix: "none", channels: 0 }],
  ["b off", { drift: false }],
  ["c off", { evenDrift: false }],
  ["clipped force, three channels", { forceClip: 1.5, channels: 3 }],
  ["a pair drift", {
    pairDrift: {
      cells: 20,
      width: 0.3,
      tables: Float64Array.from({ length: 63 }, (_, i) => 0.4 * Math.sin(0.7 * i)),
    },
  }],
  ["an exact pair flow", { pairFlow: pairFlowTables }],
  ["an exact pair flow, anchor", { pairFlow: pairFlowTables, gauge: "anchor" }],
];

for (const [name, options] of cases) {
  Deno.test(`julep: the increments are the log-ratio of the kernels' densities (${name})`, () => {
    const run = setUp(options);
    let total = 0;
    for (let i = 0; i < run.coefficients.length; i++) {
      const one = { ...run, coefficients: run.coefficients.map((_, j) => i === j ? 1 : 0) };
      total += surrogate(run.p, one, 0, run.coefficients.length);
    }
    assert.ok(
      Math.abs(total - run.path.logKernelRatio) < 1e-10 * (1 + Math.abs(total)),
      `${total} against ${run.path.logKernelRatio}`,
    );
  });

  Deno.test(`julep: gradient against finite differences, relative error <= 1e-6 (${name})`, () => {
    const run = setUp(options);
    const { p, times, path, coefficients } = run;
    const size = p.julep.parameters.length;
    const gradient = new Float64Array(size);
    const perStep = new Float64Array(times.length - 1);
    const eps = stepSizes(p.julep.logStepSize, times);
    const [first, count] = [1, 3];
    trajectoryGradient(
      p,
      path.states,
      path.forces,
      times,
      eps,
      coefficients,
      coefficients,
      first,
      count,
      gradient,
      perStep,
    );
    const knots = knotGradient(p.julep.logStepSize.length, times, perStep);
    const scale = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    assert.ok(scale > 1e-3, "the gradient is not trivially zero");
    const check = (analytic: number, values: Float64Array, at: number, norm: number) => {
      const kept = values[at];
      const delta = 1e-4;
      const difference = (d: number) => {
        values[at] = kept + d;
        const up = surrogate(p, run, first, count);
        values[at] = kept - d;
        const down = surrogate(p, run, first, count);
        values[at] = kept;
        return (up - down) / (2 * d);
      };
      // Richardson's extrapolation: error O(delta⁴).
      const numeric = (4 * difference(delta / 2) - difference(delta)) / 3;
      assert.ok(
        Math.abs(analytic - numeric) <= 1e-6 * norm,
        `parameter ${at}: ${analytic} against ${numeric}, norm ${norm}`,
      );
    };
    // Every 7th parameter reaches every tensor of the network.
    for (let i = 0; i < size; i += 7) check(gradient[i], p.julep.parameters, i, scale);
    const knotScale = Math.sqrt(knots.reduce((sum, g) => sum + g * g, 0));
    for (let k = 0; k < knots.length; k++) {
      check(knots[k], p.julep.logStepSize, k, knotScale);
    }
  });
}

Deno.test("julep: a backward path weighs like the forward path through the same states", () => {
  for (const [, options] of cases) {
    const { p, times, path } = setUp(options);
    const eps = stepSizes(p.julep.logStepSize, times);
    const back = trajectory(
      p,
      path.states[4],
      times,
      eps,
      "backward",
      streamKey(1, Stream.backward),
      7,
    );
    const run = { p, times, path: back, coefficients: new Float64Array(4).fill(1) };
    const expected = surrogate(p, run, 0, 4);
    assert.ok(Math.abs(back.logKernelRatio - expected) < 1e-9);
    let sum = 0;
    for (let i = 0; i < 4; i++) {
      const energies = [i, i + 1].map((j) => energyAt(path.states[j], times[j]));
      sum += path.increments[i] - energies[0] + energies[1];
    }
    assert.ok(Math.abs(sum - path.logKernelRatio) < 1e-9, "increments sum to W");
  }
});

/** U_t of the path from prior to system. */
function energyAt(x: Float64Array, t: number): number {
  const gradient = new Float64Array(N * n);
  return -(1 - t) * priorLogDensity(x, gradient) + t * system.energyAndGradient(x, gradient, t);
}

Deno.test("julep: rotating, reflecting or relabelling a path leaves its W as it was", () => {
  const run = setUp({});
  const { p, times, path } = run;
  const coefficients = new Float64Array(4).fill(1);
  const gradient = new Float64Array(N * n);
  // The force that every moved state has, computed anew.
  const forceAt = (x: Float64Array, t: number) => {
    const force = new Float64Array(N * n);
    if (t < 1) {
      priorLogDensity(x, gradient);
      gradient.forEach((g, a) => force[a] += (1 - t) * g);
    }
    if (t > 0) {
      system.energyAndGradient(x, gradient, t);
      gradient.forEach((g, a) => force[a] -= t * g);
    }
    return force;
  };
  const weight = (move: (x: Float64Array) => Float64Array) => {
    const states = path.states.map(move);
    const forces = states.map((x, i) => forceAt(x, times[i]));
    const ratio = surrogate(p, { ...run, coefficients, path: { ...path, states, forces } }, 0, 4);
    return ratio - system.energyAndGradient(states[4], gradient) -
      priorLogDensity(states[0], gradient);
  };
  const before = weight((x) => x.slice());
  const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
  const moves: Record<string, (x: Float64Array) => Float64Array> = {
    rotation: (x) =>
      x.map((_, a) => a % 2 ? sin * x[a - 1] + cos * x[a] : cos * x[a] - sin * x[a + 1]),
    reflection: (x) => x.map((v, a) => a % 2 ? v : -v),
    relabelling: (x) => x.map((_, a) => x[2 * [2, 0, 3, 1][a >> 1] + a % 2]),
  };
  for (const [name, move] of Object.entries(moves)) {
    assert.ok(Math.abs(weight(move) - before) < 1e-9, name);
  }
});

/**
 * The comparators' kernels in float64: weights against densities written out anew, both gradients
 * against finite differences, and E[e^W] = Z for a network of random numbers.
 */
import assert from "node:assert/strict";
import {
  type ControlledDiffusion,
  controlledPath,
  detachedGradient,
  pathGradient,
} from "../src/backends/reference/controlled_diffusion.ts";
import { egnnForward } from "../src/backends/reference/egnn.ts";
import { diffusionSteps } from "../src/julep/diffusion.ts";
import { egnnOutput, initialiseEgnn } from "../src/julep/egnn.ts";
import { reverseDivergence } from "../src/julep/loss.ts";
import type { NetworkShape } from "../src/julep/model.ts";
import { RandomStream, Stream, streamKey } from "../src/math/random.ts";
import { effectiveSampleSizeWithError, logPartitionFunction } from "../src/sampling/weights.ts";
import type { System } from "../src/systems/system.ts";

const N = 4;
const n = 2;
const SCALE = 1.2;

/** U = ½ k Σ_{i<j} |x_i − x_j|² = ½ k N Σ |x_i − x̄|²: normal, width (kN)^{−1/2} in (N − 1) n directions. */
const STIFFNESS = 0.5;
const system = {
  particles: N,
  dimension: n,
  lengthScale: 1,
  energyAndGradient(x: Float64Array, gradient: Float64Array): number {
    gradient.fill(0);
    let energy = 0;
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < i; j++) {
        for (let a = 0; a < n; a++) {
          const d = x[i * n + a] - x[j * n + a];
          energy += 0.5 * STIFFNESS * d * d;
          gradient[i * n + a] += STIFFNESS * d;
          gradient[j * n + a] -= STIFFNESS * d;
        }
      }
    }
    return energy;
  },
} as unknown as System;
const LOG_Z = 0.5 * (N - 1) * n * Math.log(2 * Math.PI / (STIFFNESS * N));

function diffusion(
  kind: "pis" | "dds",
  targetForce: boolean,
  noise = 0.2,
  T = 6,
): ControlledDiffusion {
  const network: NetworkShape = {
    particles: N,
    dimension: n,
    layers: 2,
    hidden: 8,
    channels: targetForce ? 1 : 0,
    lengthScale: 1.5,
    anchored: false,
  };
  const parameters = initialiseEgnn(network, 3);
  const random = new RandomStream(5, Stream.test, 0);
  for (let i = 0; i < parameters.length; i++) parameters[i] += noise * random.normal();
  const logStepSize = Float64Array.from([-0.7, -1.2]);
  const times = Float64Array.from({ length: T + 1 }, (_, i) => (i / T) ** 1.1);
  return {
    system,
    julep: {
      gauge: "centre_of_mass",
      forceClip: 2,
      network,
      drift: true,
      evenDrift: false,
      matrix: "none",
      parameters,
      logStepSize,
      diffusion: {
        kind,
        targetForce,
        stiffness: STIFFNESS * N,
        proximalSteps: 2,
        adjointClip: null,
      },
    },
    priorScale: SCALE,
    times,
    steps: diffusionSteps({ kind, stiffness: STIFFNESS * N }, logStepSize, times, SCALE),
  };
}

/** A prior draw: normal of width SCALE without its mean. */
function draw(sample: number): Float64Array {
  const random = new RandomStream(9, Stream.prior, sample);
  const x = Float64Array.from({ length: N * n }, () => SCALE * random.normal());
  for (let a = 0; a < n; a++) {
    let mean = 0;
    for (let i = 0; i < N; i++) mean += x[i * n + a] / N;
    for (let i = 0; i < N; i++) x[i * n + a] -= mean;
  }
  return x;
}

const logNormal = (square: number, sigma: number) =>
  -0.5 * square / sigma ** 2 - 0.5 * (N - 1) * n * Math.log(2 * Math.PI * sigma ** 2);
const square = (x: Float64Array) => x.reduce((sum, v) => sum + v * v, 0);
const key = streamKey(1, Stream.forward);

/** The same process in its textbook form: a and σ of x → x' and of x' → x. */
function textbook(p: ControlledDiffusion, i: number) {
  const h = p.steps.control[i];
  if (p.julep.diffusion!.kind === "dds") {
    const a = Math.exp(-h / SCALE ** 2);
    const sigma = SCALE * Math.sqrt(1 - a * a);
    return { a: [a, a], sigma: [sigma, sigma] };
  }
  let before = SCALE ** 2;
  for (let k = 0; k < i; k++) before += 2 * p.steps.control[k];
  const after = before + 2 * h;
  return { a: [1, before / after], sigma: [Math.sqrt(2 * h), Math.sqrt(2 * h * before / after)] };
}

/** a, v and c of the reference process from step i on. */
function textbookEnd(p: ControlledDiffusion, i: number) {
  const sum = (from: number) => p.steps.control.slice(from).reduce((total, h) => total + h, 0);
  if (p.julep.diffusion!.kind === "pis") {
    return { a: 1, v: 2 * sum(i), c: 1 / (SCALE ** 2 + 2 * sum(0)) };
  }
  const a = Math.exp(-sum(i) / SCALE ** 2);
  return { a, v: SCALE ** 2 * (1 - a * a), c: 1 / SCALE ** 2 };
}

/** S, two steps of descent. */
function textbookForce(p: ControlledDiffusion, x: Float64Array, i: number): Float64Array {
  const { a, v, c } = textbookEnd(p, i);
  const { forceClip, diffusion } = p.julep;
  if (!diffusion!.targetForce) return new Float64Array(N * n);
  const y = x.map((q) => a * q);
  for (let k = 0; k < 2; k++) {
    const force = new Float64Array(N * n);
    system.energyAndGradient(y, force, 1);
    for (let j = 0; j < N && forceClip !== null; j++) {
      const norm = Math.hypot(force[j * n], force[j * n + 1]);
      for (let d = 0; d < n; d++) force[j * n + d] /= Math.hypot(1, norm / forceClip);
    }
    const means = [mean(force, 0), mean(force, 1)];
    y.forEach((q, at) =>
      y[at] -= (force[at] - means[at % n] - c * q + (q - a * x[at]) / v) /
        (1 / v + diffusion!.stiffness)
    );
  }
  return y.map((q, at) => a * (q - a * x[at]) / v);
}

function mean(v: Float64Array, a: number): number {
  let sum = 0;
  for (let i = 0; i < N; i++) sum += v[i * n + a] / N;
  return sum;
}

/** log k⁻ − log k⁺ of step i between two given states. */
function logRatio(p: ControlledDiffusion, x: Float64Array, y: Float64Array, i: number): number {
  const { network, parameters } = p.julep;
  const net = egnnOutput(network!);
  egnnForward(network!, parameters, x, p.times[i], net);
  const { a: [up, down], sigma } = textbook(p, i);
  const force = textbookForce(p, x, i);
  const beta = 1 / Math.sqrt(textbookEnd(p, i).v + 1 / p.julep.diffusion!.stiffness);
  const g = 2 * (1 + (net.s[0] ?? 0));
  const forward = y.map((v, at) =>
    v - up * x[at] - p.steps.control[i] * (beta * (net.b[at] - mean(net.b, at % n)) + g * force[at])
  );
  const backward = x.map((v, at) => v - down * y[at]);
  return logNormal(square(backward), sigma[1]) - logNormal(square(forward), sigma[0]);
}

const kinds = ["pis", "dds"] as const;
const cases = kinds.flatMap((kind) => [true, false].map((force) => ({ kind, force })));

for (const { kind, force } of cases) {
  const title = `${kind}${force ? " with the target's force" : ""}`;

  Deno.test(`diffusion: increments are the log-ratio of the kernels' densities (${title})`, () => {
    const p = diffusion(kind, force);
    for (const direction of ["forward", "backward"] as const) {
      const path = controlledPath(p, draw(0), direction, key, 3);
      let total = 0;
      for (let i = 0; i < 6; i++) total += logRatio(p, path.states[i], path.states[i + 1], i);
      assert.ok(Math.abs(total - path.logKernelRatio) < 1e-10 * (1 + Math.abs(total)), direction);
      const W = path.increments.reduce((sum, d) => sum + d, 0) - logNormal(0, SCALE);
      const expected = total - system.energyAndGradient(path.states[6], new Float64Array(N * n)) -
        logNormal(square(path.states[0]), SCALE);
      assert.ok(Math.abs(W - expected) < 1e-10 * (1 + Math.abs(W)), "increments sum to W");
    }
  });

  Deno.test(`diffusion: gradient with states held fixed, finite differences to 1e-6 (${title})`, () => {
    const p = diffusion(kind, force);
    const { states, forces } = controlledPath(p, draw(0), "forward", key, 3);
    const coefficients = Float64Array.from([0.7, -1.1, 0.4, 0.9, -0.3, 0.6]);
    const gradient = new Float64Array(p.julep.parameters.length);
    detachedGradient(p, states, forces, coefficients, 1, 4, gradient);
    compare(p, gradient, () => {
      let sum = 0;
      for (let i = 1; i < 5; i++) {
        sum += coefficients[i] * logRatio(p, states[i], states[i + 1], i);
      }
      return sum;
    });
  });
}

for (const { kind, force } of cases) {
  const title = `${kind}${force ? " with the target's force" : ""}`;
  // Without clips, so that the Jacobian of S is symmetric.
  const unclipped = (T?: number) => {
    const p = diffusion(kind, force, 0.2, T);
    return { ...p, julep: { ...p.julep, forceClip: null } };
  };
  const run = (p: ControlledDiffusion, sample = 3) =>
    controlledPath(p, draw(sample), "forward", key, sample);
  const total = (increments: Float64Array) => increments.reduce((sum, d) => sum + d, 0);

  Deno.test(`diffusion: gradient of W through the path, finite differences to 1e-6 (${title})`, () => {
    const p = unclipped();
    const { states, forces } = run(p);
    const gradient = new Float64Array(p.julep.parameters.length);
    pathGradient(p, states, forces, 0.7, gradient, true);
    compare(p, gradient, () => 0.7 * total(run(p).increments));
  });

  Deno.test(`diffusion: of one step the gradient leaves out what log k⁺ owes to its control (${title})`, () => {
    const p = unclipped(1);
    const { states, forces } = run(p);
    const [got, whole, held] = [0, 1, 2].map(() => new Float64Array(p.julep.parameters.length));
    pathGradient(p, states, forces, 0.7, got);
    pathGradient(p, states, forces, 0.7, whole, true);
    detachedGradient(p, states, forces, Float64Array.of(0.7), 0, 1, held);
    const norm = Math.sqrt(square(held));
    assert.ok(norm > 1e-3);
    got.forEach((g, i) => assert.ok(Math.abs(g - (whole[i] - held[i])) < 1e-10 * norm));
  });

  // 4 standard errors: one false alarm in 15,000, and the seeds are fixed.
  Deno.test(`diffusion: what the gradient leaves out has mean zero (${title})`, () => {
    const p = unclipped();
    const size = p.julep.parameters.length;
    const random = new RandomStream(6, Stream.test, 0);
    const direction = Float64Array.from({ length: size }, () => random.normal());
    const left = Float64Array.from({ length: 200 }, (_, s) => {
      const { states, forces } = run(p, s);
      const difference = new Float64Array(size);
      pathGradient(p, states, forces, 1, difference);
      pathGradient(p, states, forces, -1, difference, true);
      return difference.reduce((sum, d, i) => sum + d * direction[i], 0);
    });
    const average = left.reduce((sum, d) => sum + d, 0) / left.length;
    const spread = Math.sqrt(left.reduce((sum, d) => sum + (d - average) ** 2, 0)) / left.length;
    assert.ok(spread > 0 && Math.abs(average) < 4 * spread, `${average} ± ${spread}`);
  });
}

for (const kind of kinds) {
  // U = ½ κ|x|² has its optimal control in closed form: S of converged descent.
  Deno.test(`diffusion: S of converged descent is the best control of a harmonic target (${kind})`, () => {
    const spread = (proximalSteps: number, T: number) => {
      const p = diffusion(kind, true, 0, T);
      const { diffusion: own } = p.julep;
      const julep = { ...p.julep, network: null, forceClip: null };
      const sharp = { ...p, julep: { ...julep, diffusion: { ...own!, proximalSteps } } };
      const W = Float64Array.from({ length: 200 }, (_, s) => total(run(sharp, s).increments));
      const average = total(W) / W.length;
      return Math.sqrt(total(W.map((w) => (w - average) ** 2)) / W.length);
    };
    const total = (v: Float64Array) => v.reduce((sum, d) => sum + d, 0);
    // From one start: where a path begins is the prior's affair.
    const run = (p: ControlledDiffusion, s: number) =>
      controlledPath(p, draw(0), "forward", key, s);
    // What is left comes from finite steps and falls as 1/√T, unlike that of another control.
    const [few, many, one] = [spread(40, 60), spread(40, 240), spread(1, 240)];
    assert.ok(many < 0.1 && many < 0.6 * few && many < 0.6 * one, `${many}: ${few}, ${one}`);
  });
}

for (const kind of kinds) {
  Deno.test(`diffusion: without control W is what the reference process leaves over (${kind})`, () => {
    const p = diffusion(kind, false);
    const still = { ...p, julep: { ...p.julep, network: null } };
    const { states, increments } = controlledPath(still, draw(2), "forward", key, 5);
    const W = increments.reduce((sum, d) => sum + d, 0) - logNormal(0, SCALE);
    const spread = kind === "dds"
      ? SCALE
      : Math.sqrt(SCALE ** 2 + 2 * p.steps.control.reduce((sum, h) => sum + h, 0));
    const expected = -system.energyAndGradient(states[6], new Float64Array(N * n)) -
      logNormal(square(states[6]), spread);
    assert.ok(Math.abs(W - expected) < 1e-10, `${W} against ${expected}`);
  });

  // 3 standard errors: one false alarm in 370, and the seeds are fixed.
  Deno.test(`diffusion: E[e^W] = Z for a network of random numbers (${kind})`, () => {
    const p = diffusion(kind, true, 0.1);
    const W = Float64Array.from({ length: 4000 }, (_, s) => {
      const { increments } = controlledPath(p, draw(s), "forward", key, s);
      return increments.reduce((sum, d) => sum + d, 0) - logNormal(0, SCALE);
    });
    const { logZ, standardError } = logPartitionFunction(W);
    const { ess } = effectiveSampleSizeWithError(W);
    assert.ok(ess > 0.02 && standardError < 0.15, `ESS ${ess}, error ${standardError}`);
    assert.ok(Math.abs(logZ - LOG_Z) < 3 * standardError, `${logZ} ± ${standardError}: ${LOG_Z}`);
  });
}

Deno.test("diffusion: the divergence's loss is mean −W, and lost paths take no part", () => {
  const { loss, coefficients, dropped } = reverseDivergence(
    Float64Array.from([1, 2, NaN, 1, 0.5, 0, 3, 0]),
    2,
    4,
  );
  assert.equal(dropped, 1);
  assert.ok(Math.abs(loss + (1.5 + 2 + 1) / 3) < 1e-15);
  assert.deepEqual([...coefficients], [1, 1, 0, 1, 1, 1, 0, 1].map((c) => c ? -c / 3 : 0));
});

/** Every 5th component of a gradient against Richardson's finite differences of `value`. */
function compare(p: ControlledDiffusion, gradient: Float64Array, value: () => number): void {
  const { parameters } = p.julep;
  const norm = Math.sqrt(square(gradient));
  assert.ok(norm > 1e-3, "the gradient is not trivially zero");
  for (let i = 0; i < parameters.length; i += 5) {
    const kept = parameters[i];
    const difference = (d: number) => {
      parameters[i] = kept + d;
      const up = value();
      parameters[i] = kept - d;
      const down = value();
      parameters[i] = kept;
      return (up - down) / (2 * d);
    };
    const numeric = (4 * difference(5e-5) - difference(1e-4)) / 3;
    assert.ok(
      Math.abs(gradient[i] - numeric) <= 1e-6 * norm,
      `parameter ${i}: ${gradient[i]} against ${numeric}, norm ${norm}`,
    );
  }
}

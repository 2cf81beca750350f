/**
 * Every density family: normalised, its sampler and its density the same law, its gradients right,
 * invariant under what it says it is.
 */
import assert from "node:assert/strict";
import { RandomStream, Stream } from "../src/math/random.ts";
import { gaussLegendre, logAddExp } from "../src/math/special.ts";
import { drawBroad, logBroadDensity } from "../src/mint/broad.ts";
import { enumerateLabellings } from "../src/mint/labellings.ts";
import { drawMint, MintDensity } from "../src/mint/mixture.ts";
import type { MintModel } from "../src/mint/model.ts";
import { drawOrthogonal } from "../src/mint/von_mises_fisher.ts";
import {
  parameterGradientError,
  randomFamily,
  randomPositions,
  relativeError,
  slope,
} from "./mint_helpers.ts";

type Options = Parameters<typeof randomFamily>[1];
const gaussian = (mean: "minima" | "zero", covariance: "scale" | "diagonal" | "full") => ({
  gaussian: { mean, covariance },
});

/** One of each kind; the particles and the dimension are put in where it is used. */
const kinds: [string, MintModel["family"], Partial<Options>][] = [
  ["orbit_vmf", "orbit_vmf", {}],
  ["pvmf", "pvmf", {}],
  ["orbit_gaussian, one scale", "orbit_gaussian", gaussian("minima", "scale")],
  ["orbit_gaussian, diagonal", "orbit_gaussian", gaussian("minima", "diagonal")],
  ["orbit_gaussian, full", "orbit_gaussian", gaussian("minima", "full")],
  ["orbit_gaussian, mean zero", "orbit_gaussian", { ...gaussian("zero", "scale"), width: 1.2 }],
  ["orbit_gaussian, mean zero, full", "orbit_gaussian", {
    ...gaussian("zero", "full"),
    width: 1.2,
  }],
];

const models = (particles: number, dimension: 2 | 3, more: Partial<Options> = {}) =>
  kinds.map(([name, family, options]): [string, MintModel] => [
    `${name}, N=${particles} n=${dimension}`,
    randomFamily(family, { particles, dimension, components: 2, ...options, ...more }),
  ]);

/** What an estimated normaliser adds to an integral's error: a relative standard error. */
const normaliserError = (model: MintModel) =>
  Math.hypot(0, ...Array.from(model.normalisers?.error ?? []));

for (const [name, model] of models(3, 2)) {
  Deno.test(`${name}: integrates to one, by quadrature`, () => {
    // ∫ q 2π r₁ dr₁ r₂ dr₂ dφ; the angle by the trapezoidal rule, exact for smooth periodic
    // functions. An estimated normaliser may be off by 4 standard errors: false-alarm rate 6e-5.
    const q = new MintDensity(model);
    const { nodes, weights } = gaussLegendre(72);
    const angles = 48;
    const radius = nodes.map((v) => 14 * v * v);
    let sum = 0;
    for (let i = 0; i < 72; i++) {
      for (let j = 0; j < 72; j++) {
        for (let k = 0; k < angles; k++) {
          const phi = 2 * Math.PI * (k + 0.5) / angles;
          const [x, y] = [radius[j] * Math.cos(phi), radius[j] * Math.sin(phi)];
          sum += 28 ** 2 * weights[i] * nodes[i] * weights[j] * nodes[j] *
            radius[i] * radius[j] * (2 * Math.PI) ** 2 / angles *
            Math.exp(q.logDensity(Float64Array.of(0, 0, radius[i], 0, x, y)));
        }
      }
    }
    assert.ok(Math.abs(sum - 1) < 2e-5 + 4 * normaliserError(model), `${sum}`);
  });
}

/** Functions of a configuration that move with every kind of mistake a sampler can make. */
function observables(x: Float64Array, at: number, particles: number, n: number): number[] {
  const distances: number[] = [];
  for (let i = 0; i < particles; i++) {
    for (let j = 0; j < i; j++) {
      let square = 0;
      for (let d = 0; d < n; d++) square += (x[at + i * n + d] - x[at + j * n + d]) ** 2;
      distances.push(Math.sqrt(square));
    }
  }
  const sum = (f: (r: number) => number) => distances.reduce((total, r) => total + f(r), 0);
  // Distances, their spread, near pairs, and the energy of soft repulsive springs.
  return [
    1,
    sum((r) => Math.min(r, 8)),
    Math.min(...distances),
    sum((r) => r < 1.5 ? 1 : 0),
    Math.min(20, sum((r) => Math.exp(-r) + 0.1 * (r - 2) ** 2)),
  ];
}

for (const [name, model] of [...models(4, 2), ...models(3, 3), ...models(4, 3)]) {
  Deno.test(`${name}: density and sampler are one law, mass one, by importance sampling`, () => {
    // Draws of g, a mixture of two broad Gaussians, weighted q/g, against draws of q's own sampler: means of observables,
    // the first of which is 1 (normalisation). 5 comparisons each at 4 standard errors, so about one
    // false alarm in 160 over all models; the seeds are fixed.
    const { particles, dimension: n } = model;
    const size = particles * n;
    const q = new MintDensity(model);
    const count = particles === 4 && n === 3 ? 4000 : 10000; // 24 orbit integrals each
    const own = drawMint(q, 3, 0, count);
    const scales = [0.9, 1.8];
    const x = new Float64Array(size);
    const names = ["mass", "distances", "nearest pair", "near pairs", "energy"];
    const sums = names.map(() => ({ own: 0, ownSquares: 0, other: 0, otherSquares: 0 }));
    const random = new RandomStream(4, Stream.test, 1);
    for (let s = 0; s < count; s++) {
      drawBroad(random, scales[s % 2], x);
      const [a, b] = scales.map((scale) => logBroadDensity(x, 0, particles, n, scale));
      const weight = Math.exp(q.logDensity(x) - logAddExp(a, b) + Math.LN2);
      const there = observables(x, 0, particles, n);
      const here = observables(own, s * size, particles, n);
      sums.forEach((entry, i) => {
        entry.own += here[i];
        entry.ownSquares += here[i] ** 2;
        entry.other += weight * there[i];
        entry.otherSquares += (weight * there[i]) ** 2;
      });
    }
    for (const [i, { own, ownSquares, other, otherSquares }] of sums.entries()) {
      const [a, b] = [own / count, other / count];
      const variance = (ownSquares / count - a * a + otherSquares / count - b * b) / count;
      const error = Math.hypot(Math.sqrt(variance), a * normaliserError(model));
      assert.ok(Math.abs(a - b) < 4 * error, `${names[i]}: ${a} and ${b} ± ${error}`);
      assert.ok(error < 0.1 * a, `${names[i]}: no power, ${error} of ${a}`);
    }
  });
}

const everything = [
  ...models(4, 2),
  ...models(4, 3),
  ...models(5, 3, { symmetrise: false, broadWeight: 0 }),
  ...models(2, 2),
  ...models(2, 3),
];

Deno.test("∂log q/∂x of every family agrees with finite differences and sums to zero", () => {
  for (const [name, model] of everything) {
    const q = new MintDensity(model);
    const { particles, dimension } = model;
    const size = particles * dimension;
    for (let round = 0; round < 2; round++) {
      const x = round === 0
        ? randomPositions(1, particles, dimension, 1.3, 2)
        : drawMint(q, 1, 2, 1);
      const gradient = new Float64Array(size + 3);
      const value = q.logDensityAndGradient(x, gradient, 0, 3);
      assert.equal(value, q.logDensity(x));
      const differences = x.map((_, i) =>
        slope((delta) => q.logDensity(x.map((v, j) => v + (i === j ? delta : 0))), 3e-4)
      );
      const error = relativeError(gradient.subarray(3), differences);
      assert.ok(error < 1e-6, `${name}: ${error}`);
      for (let d = 0; d < dimension; d++) {
        let sum = 0;
        for (let i = d; i < size; i += dimension) sum += gradient[3 + i];
        assert.ok(Math.abs(sum) < 1e-10 * (1 + Math.hypot(...gradient)), name);
      }
    }
  }
});

Deno.test("∂log q/∂parameters of every family agrees with finite differences", () => {
  for (const [name, made] of everything) {
    // The derivative of an estimated normaliser is itself an estimate: pvmf_test.ts has it.
    const zero = (values: Float64Array) => new Float64Array(values.length);
    const normalisers = made.normalisers && {
      ...made.normalisers,
      logZ: zero(made.normalisers.logZ),
      slopes: zero(made.normalisers.slopes),
    };
    const model = { ...made, normalisers };
    const error = parameterGradientError(model, 3e-4);
    assert.ok(error < 1e-6, `${name}: ${error}`);
  }
});

Deno.test("every family: invariant under motions, and under relabelling as it says", () => {
  const random = new RandomStream(6, Stream.test, 0);
  for (const [name, model] of [...models(4, 2), ...models(4, 3)]) {
    const { particles, dimension: n } = model;
    const q = new MintDensity(model);
    const x = randomPositions(1, particles, n, 1.3, 9);
    const value = q.logDensity(x);
    for (let round = 0; round < 10; round++) {
      const orientation = new Float64Array(n * n);
      drawOrthogonal(random, n, orientation);
      const shift = Array.from({ length: n }, () => random.normal());
      const moved = x.map((_, at) => {
        const [i, d] = [Math.floor(at / n), at % n];
        let sum = shift[d];
        for (let e = 0; e < n; e++) sum += orientation[d * n + e] * x[i * n + e];
        return sum;
      });
      assert.ok(Math.abs(q.logDensity(moved) - value) < 1e-10, `${name}: moved`);
    }
    const labelled = new MintDensity({ ...model, symmetrise: false });
    const own = labelled.logDensity(x);
    const all = enumerateLabellings(particles, model.identicalParticles);
    let largest = 0;
    for (let g = 0; g < all.count; g++) {
      const relabelled = x.map((_, at) => {
        const from = all.particles[g * particles + Math.floor(at / n)];
        return x[from * n + at % n];
      });
      assert.ok(Math.abs(q.logDensity(relabelled) - value) < 1e-10, `${name}: relabelled`);
      largest = Math.max(largest, Math.abs(labelled.logDensity(relabelled) - own));
    }
    const { gaussian } = model;
    const invariant = gaussian?.mean === "zero" && gaussian.covariance === "scale";
    assert.ok(invariant ? largest < 1e-12 : largest > 1e-3, `${name}: ${largest}`);
  }
});

Deno.test("every family: NaN in, NaN out; coincident particles give a finite density", () => {
  for (const [name, model] of models(4, 3)) {
    const q = new MintDensity(model);
    const x = randomPositions(1, 4, 3);
    const gradient = new Float64Array(12);
    for (const bad of [NaN, Infinity]) {
      const broken = x.slice();
      broken[3] = bad;
      assert.ok(Number.isNaN(q.logDensityAndGradient(broken, gradient)), name);
      assert.ok(gradient.every(Number.isNaN), name);
    }
    x.copyWithin(0, 3, 6);
    assert.ok(Number.isFinite(q.logDensityAndGradient(x, gradient)), name);
    assert.ok(gradient.every(Number.isFinite), name);
  }
});

Deno.test("orbit_gaussian: equal scales and mean zero are the broad Gaussian, however written", () => {
  for (const n of [2, 3] as const) {
    const x = randomPositions(1, 6, n);
    const want = logBroadDensity(x, 0, 6, n, 0.7);
    for (const covariance of ["scale", "diagonal"] as const) {
      const model = randomFamily("orbit_gaussian", {
        particles: 6,
        dimension: n,
        components: 1,
        symmetrise: false,
        broadWeight: 0,
        gaussian: { mean: "zero", covariance },
      });
      model.parameters.fill(Math.log(0.7), 1);
      assert.ok(Math.abs(new MintDensity(model).logDensity(x) - want) < 1e-12, covariance);
    }
  }
});

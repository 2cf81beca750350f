import assert from "node:assert/strict";
import { InputError } from "../src/errors.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { gaussLegendre } from "../src/math/special.ts";
import { enumerateLabellings } from "../src/mint/labellings.ts";
import { drawMint, MintDensity } from "../src/mint/mixture.ts";
import type { MintModel } from "../src/mint/model.ts";
import { drawOrthogonal } from "../src/mint/von_mises_fisher.ts";
import {
  parameterGradientError,
  randomMint,
  randomPositions,
  relativeError,
  slope,
} from "./mint_helpers.ts";

const models: [string, MintModel][] = [
  [
    "n=2, N=4, 24 labellings",
    randomMint({
      particles: 4,
      dimension: 2,
      components: 3,
      symmetrise: true,
    }),
  ],
  [
    "n=2, N=5, no labellings",
    randomMint({
      particles: 5,
      dimension: 2,
      components: 2,
      symmetrise: false,
    }),
  ],
  [
    "n=3, N=4, groups {0,2} {1,3}",
    randomMint({
      particles: 4,
      dimension: 3,
      components: 2,
      symmetrise: true,
      groups: [[0, 2], [1, 3]],
    }),
  ],
  [
    "n=3, N=3, no broad part",
    randomMint({
      particles: 3,
      dimension: 3,
      components: 2,
      symmetrise: true,
      broadWeight: 0,
    }),
  ],
  [
    "n=3, N=6, broad part alone",
    randomMint({
      particles: 6,
      dimension: 3,
      components: 0,
      symmetrise: true,
    }),
  ],
];

Deno.test("two particles on a plane: the density integrates to one", () => {
  const q = new MintDensity(randomMint({
    particles: 2,
    dimension: 2,
    components: 2,
    symmetrise: true,
  }));
  // Invariance leaves the distance: ∫ q 2πr dr, log r from −14 to 4.
  const { nodes, weights } = gaussLegendre(300);
  let sum = 0;
  for (let i = 0; i < 300; i++) {
    const r = Math.exp(-14 + 18 * nodes[i]);
    sum += 18 * weights[i] * 2 * Math.PI * r * r *
      Math.exp(q.logDensity(Float64Array.of(0, 0, r, 0)));
  }
  assert.ok(Math.abs(sum - 1) < 1e-10, `${sum}`);
});

Deno.test("three particles on a plane: the density integrates to one", () => {
  const q = new MintDensity(randomMint({
    particles: 3,
    dimension: 2,
    components: 2,
    symmetrise: true,
  }));
  // ∫ q 2π r₁ dr₁ r₂ dr₂ dφ; the angle by the trapezoidal rule, exact for smooth periodic functions.
  const { nodes, weights } = gaussLegendre(90);
  const angles = 64;
  let sum = 0;
  const radius = nodes.map((v) => Math.exp(-5 + 8 * v));
  for (let i = 0; i < 90; i++) {
    for (let j = 0; j < 90; j++) {
      for (let k = 0; k < angles; k++) {
        const phi = 2 * Math.PI * (k + 0.5) / angles;
        const x = Float64Array.of(
          0,
          0,
          radius[i],
          0,
          radius[j] * Math.cos(phi),
          radius[j] * Math.sin(phi),
        );
        sum += 64 * weights[i] * weights[j] * (radius[i] * radius[j]) ** 2 * (2 * Math.PI) ** 2 /
          angles * Math.exp(q.logDensity(x));
      }
    }
  }
  assert.ok(Math.abs(sum - 1) < 1e-5, `${sum}`);
});

Deno.test("exp(log p − log q) averages to Z of an invariant Gaussian, n = 2 and 3", () => {
  // 4 standard errors: false-alarm rate 6e-5 each. This ties sampler and density together: it
  // fails if either is wrong, and checks normalisation in n = 3.
  for (const [name, model] of models) {
    const { particles, dimension: n } = model;
    const size = particles * n;
    const q = new MintDensity(model);
    const count = 8000;
    const positions = drawMint(q, 5, 0, count);
    // p = Σ_{i<j} |x_i − x_j|² / (2 N s²): exactly N(0, s²) about the centre of mass.
    const s = 1;
    const logZ = 0.5 * (particles - 1) * n * Math.log(2 * Math.PI * s * s) +
      0.5 * n * Math.log(particles);
    let [sum, squares] = [0, 0];
    for (let i = 0; i < count; i++) {
      let energy = 0;
      for (let a = 0; a < particles; a++) {
        for (let b = 0; b < a; b++) {
          for (let d = 0; d < n; d++) {
            energy += (positions[i * size + a * n + d] - positions[i * size + b * n + d]) ** 2;
          }
        }
      }
      const f =
        Math.exp(-energy / (2 * particles * s * s) - q.logDensity(positions, i * size) - logZ) -
        1;
      sum += f;
      squares += f * f;
    }
    assert.ok(Math.abs(sum) < 4 * Math.sqrt(squares), `${name}: ${sum} ± ${Math.sqrt(squares)}`);
    assert.ok(Math.sqrt(squares) / count < 0.15, `${name}: the check has no power`);
  }
});

Deno.test("∂log q/∂x agrees with finite differences to 1e-6 and sums to zero over particles", () => {
  for (const [name, model] of models) {
    const q = new MintDensity(model);
    const size = model.particles * model.dimension;
    for (let round = 0; round < 4; round++) {
      const x = round < 2
        ? randomPositions(1, model.particles, model.dimension, 1.3, round)
        : drawMint(q, 1, round, 1);
      const gradient = new Float64Array(size);
      const value = q.logDensityAndGradient(x, gradient);
      assert.equal(value, q.logDensity(x));
      const differences = x.map((_, i) =>
        slope((delta) => q.logDensity(x.map((v, j) => v + (i === j ? delta : 0))), 1e-3)
      );
      const error = relativeError(gradient, differences);
      assert.ok(error < 1e-6, `${name}: ${error}`);
      for (let d = 0; d < model.dimension; d++) {
        let sum = 0;
        for (let i = d; i < size; i += model.dimension) sum += gradient[i];
        assert.ok(Math.abs(sum) < 1e-10 * Math.hypot(...gradient), name);
      }
    }
  }
});

Deno.test("∂log q/∂parameters agrees with finite differences to 1e-6", () => {
  for (const [name, model] of models.slice(0, 4)) {
    const error = parameterGradientError(model, 1e-3);
    assert.ok(error < 1e-6, `${name}: ${error}`);
  }
});

Deno.test("log q is invariant under rotation, reflection, translation and relabelling", () => {
  const random = new RandomStream(6, Stream.test, 0);
  for (const [name, model] of models) {
    const { particles, dimension: n } = model;
    const q = new MintDensity(model);
    const labellings = model.components > 0
      ? enumerateLabellings(particles, model.identicalParticles)
      : enumerateLabellings(particles, [[0, 1, 2, 3]]);
    const x = randomPositions(1, particles, n, 1.3, 9);
    const value = q.logDensity(x);
    for (let round = 0; round < 20; round++) {
      const orientation = new Float64Array(n * n);
      drawOrthogonal(random, n, orientation);
      const shift = Array.from({ length: n }, () => random.normal());
      const moved = new Float64Array(x.length);
      for (let i = 0; i < particles; i++) {
        for (let d = 0; d < n; d++) {
          let sum = shift[d];
          for (let e = 0; e < n; e++) sum += orientation[d * n + e] * x[i * n + e];
          moved[i * n + d] = sum;
        }
      }
      assert.ok(Math.abs(q.logDensity(moved) - value) < 1e-10, `${name}: moved`);
    }
    if (!model.symmetrise) continue;
    for (let g = 0; g < labellings.count; g++) {
      const relabelled = new Float64Array(x.length);
      for (let i = 0; i < particles; i++) {
        const from = labellings.particles[g * particles + i];
        for (let d = 0; d < n; d++) relabelled[i * n + d] = x[from * n + d];
      }
      assert.ok(Math.abs(q.logDensity(relabelled) - value) < 1e-10, `${name}: relabelled`);
    }
  }
});

Deno.test("positions that are not finite give NaN, coincident particles a finite density", () => {
  for (const [name, model] of models) {
    const q = new MintDensity(model);
    const x = randomPositions(1, model.particles, model.dimension);
    const gradient = new Float64Array(x.length);
    for (const bad of [NaN, Infinity]) {
      const broken = x.slice();
      broken[3] = bad;
      assert.ok(Number.isNaN(q.logDensityAndGradient(broken, gradient)), name);
      assert.ok(gradient.every(Number.isNaN), name);
    }
    if (model.broadWeight > 0) {
      x.copyWithin(0, model.dimension, 2 * model.dimension);
      assert.ok(Number.isFinite(q.logDensityAndGradient(x, gradient)), name);
      assert.ok(gradient.every(Number.isFinite), name);
    }
  }
});

Deno.test("labellings: all permutations within groups, sorted by anchor; too many are refused", () => {
  const all = enumerateLabellings(4, [[0, 1, 2, 3]]);
  assert.equal(all.count, 24);
  assert.equal(
    new Set(Array.from({ length: 24 }, (_, g) => all.particles.slice(4 * g, 4 * g + 4).join()))
      .size,
    24,
  );
  const anchors = Array.from({ length: 24 }, (_, g) => all.particles[4 * g]);
  assert.deepEqual(anchors, anchors.toSorted());
  const grouped = enumerateLabellings(5, [[0, 3], [1, 4]]);
  assert.equal(grouped.count, 4);
  for (let g = 0; g < 4; g++) assert.equal(grouped.particles[5 * g + 2], 2);
  assert.throws(
    () => enumerateLabellings(13, [Array.from({ length: 13 }, (_, i) => i)]),
    InputError,
  );
});

Deno.test("draws depend on seed, stream and number alone; the anchor is at the origin", () => {
  const q = new MintDensity(models[0][1]);
  const all = drawMint(q, 3, 0, 8);
  assert.deepEqual(drawMint(q, 3, 4, 4), all.slice(32));
  assert.notDeepEqual(drawMint(q, 3, 0, 8, Stream.mintBatch), all);
  for (let s = 0; s < 8; s++) assert.deepEqual([...all.slice(8 * s, 8 * s + 2)], [0, 0]);
  assert.deepEqual(all, all.map(Math.fround));
});

Deno.test("a model that is no density is refused", () => {
  const model = models[0][1];
  assert.throws(() => new MintDensity({ ...model, broadWeight: 1.5 }), InputError);
  assert.throws(() => new MintDensity({ ...model, broadScale: 0 }), InputError);
  assert.throws(() => new MintDensity({ ...model, components: 2 }), InputError);
  assert.throws(
    () => new MintDensity({ ...model, components: 0, parameters: new Float64Array() }),
    InputError,
  );
});

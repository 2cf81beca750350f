/** The float64 network against finite differences and its symmetries. */
import assert from "node:assert/strict";
import { egnnBackward, egnnForward } from "../../src/backends/reference/egnn.ts";
import { egnnLayout, type EgnnOutput, egnnOutput, initialiseEgnn } from "../../src/julep/egnn.ts";
import type { NetworkShape } from "../../src/julep/model.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";

const shapes: NetworkShape[] = [
  {
    particles: 4,
    dimension: 2,
    layers: 2,
    hidden: 8,
    channels: 2,
    lengthScale: 2.5,
    anchored: true,
  },
  {
    particles: 3,
    dimension: 3,
    layers: 3,
    hidden: 16,
    channels: 3,
    lengthScale: 1,
    anchored: false,
  },
  {
    particles: 2,
    dimension: 2,
    layers: 1,
    hidden: 8,
    channels: 0,
    lengthScale: 0.7,
    anchored: false,
  },
  {
    particles: 4,
    dimension: 3,
    layers: 2,
    hidden: 8,
    channels: 1,
    lengthScale: 1.2,
    anchored: true,
    anchor: 2,
    types: [0, 1, 0, 1],
    outputScale: 3,
  },
];

const random = (seed: number) => new RandomStream(seed, Stream.test, 0);
const normals = (length: number, stream: RandomStream, scale = 1) =>
  Float64Array.from({ length }, () => scale * stream.normal());

/** Initial parameters with every zero tensor filled, so that all outputs take part. */
function filledParameters(shape: NetworkShape, seed: number): Float64Array {
  const stream = random(seed);
  return initialiseEgnn(shape, seed).map((p) => p === 0 ? 0.3 * stream.normal() : p);
}

function randomAdjoint(shape: NetworkShape, seed: number): EgnnOutput {
  const stream = random(seed);
  const adjoint = egnnOutput(shape);
  for (const part of [adjoint.b, adjoint.c, adjoint.h, adjoint.s]) {
    part.forEach((_, k) => part[k] = stream.normal());
  }
  return adjoint;
}

const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, v, k) => sum + v * y[k], 0);

function pairing(shape: NetworkShape, p: Float64Array, x: Float64Array, adjoint: EgnnOutput) {
  const out = egnnOutput(shape);
  egnnForward(shape, p, x, 0.3, out);
  return dot(out.b, adjoint.b) + dot(out.c, adjoint.c) + dot(out.h, adjoint.h) +
    dot(out.s, adjoint.s);
}

function assertClose(actual: Float64Array, expected: Float64Array, tolerance: number) {
  assert.equal(actual.length, expected.length);
  actual.forEach((v, k) => {
    assert.ok(Math.abs(v - expected[k]) <= tolerance, `[${k}]: ${v}, expected ${expected[k]}`);
  });
}

for (const shape of shapes) {
  const { particles: N, dimension: n, channels: C } = shape;
  const name = `N=${N} n=${n} L=${shape.layers} H=${shape.hidden} C=${C}`;

  Deno.test(`egnn reference: gradient of every tensor equals finite differences, ${name}`, () => {
    const parameters = filledParameters(shape, 1);
    const x = normals(N * n, random(2), 1.5);
    const adjoint = randomAdjoint(shape, 3);
    const layout = egnnLayout(shape);
    const gradient = new Float64Array(layout.size);
    egnnBackward(shape, parameters, x, 0.3, adjoint, gradient);
    const stream = random(4);
    for (const entry of layout.entries) {
      const length = entry.shape.reduce((product, d) => product * d, 1);
      const direction = new Float64Array(layout.size);
      for (let k = 0; k < length; k++) direction[entry.offset + k] = stream.normal();
      const step = 1e-5;
      const at = (sign: number) =>
        pairing(shape, parameters.map((p, k) => p + sign * step * direction[k]), x, adjoint);
      // Fourth-order central difference: truncation is far below 1e-6 here.
      const expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step);
      const actual = dot(gradient, direction);
      const part = gradient.subarray(entry.offset, entry.offset + length);
      const magnitude = Math.sqrt(dot(part, part));
      if (C === 0 && /layers\.0\.(node|update)/.test(entry.name)) {
        assert.equal(magnitude, 0, `${entry.name} reaches no output`);
        continue;
      }
      assert.ok(magnitude > 1e-6, `${entry.name} has a gradient`);
      const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), 0.1 * magnitude);
      assert.ok(error <= 1e-6, `${entry.name}: ${actual}, finite difference ${expected}`);
    }
  });

  Deno.test(`egnn reference: an orthogonal map and a shift of x act on b and c alone, ${name}`, () => {
    const parameters = filledParameters(shape, 5);
    const x = normals(N * n, random(6), 1.5);
    // A reflection (Householder) in a random direction; two of them make a rotation.
    const v = normals(n, random(7));
    const map = (y: Float64Array, shift: number) =>
      y.map((value, at) => {
        const particle = y.subarray(at - at % n, at - at % n + n);
        return value - 2 * dot(particle, v) / dot(v, v) * v[at % n] + shift * (at % n + 1);
      });
    const out = egnnOutput(shape), mapped = egnnOutput(shape);
    egnnForward(shape, parameters, x, 0.7, out);
    egnnForward(shape, parameters, map(x, 0.4), 0.7, mapped);
    assert.ok(Math.abs(out.b[0]) > 1e-4 && Math.abs(out.c[1]) > 1e-4);
    assertClose(mapped.b, map(out.b, 0), 1e-12);
    assertClose(mapped.c, map(out.c, 0), 1e-12);
    assertClose(mapped.h, out.h, 1e-12);
    assertClose(mapped.s, out.s, 1e-12);
  });

  Deno.test(`egnn reference: relabelling particles relabels the outputs, ${name}`, () => {
    const parameters = filledParameters(shape, 8);
    const x = normals(N * n, random(9), 1.5);
    // Cycles all particles, or all but the anchor; with types, exchanges two of one type.
    const fixed = shape.anchored ? 1 : 0;
    const source = (i: number) =>
      shape.types ? i % 2 ? 4 - i : i : i < fixed ? i : fixed + (i - fixed + 1) % (N - fixed);
    const relabel = (y: Float64Array, width: number) =>
      y.map((_, at) => y[source(Math.floor(at / width)) * width + at % width]);
    const out = egnnOutput(shape), relabelled = egnnOutput(shape);
    egnnForward(shape, parameters, x, 0.2, out);
    egnnForward(shape, parameters, relabel(x, n), 0.2, relabelled);
    assert.notDeepEqual(relabelled.b, out.b);
    assertClose(relabelled.b, relabel(out.b, n), 1e-12);
    assertClose(relabelled.c, relabel(out.c, n), 1e-12);
    if (C > 0) assertClose(relabelled.h, relabel(out.h, C), 1e-12);
    assertClose(relabelled.s, out.s, 1e-12);
  });
}

Deno.test("egnn reference: initial parameters give b = c = s = 0 and h not zero", () => {
  const shape = shapes[0];
  const out = egnnOutput(shape);
  egnnForward(shape, initialiseEgnn(shape, 11), normals(8, random(12)), 0.5, out);
  for (const part of [out.b, out.c, out.s]) assert.ok(part.every((v) => v === 0));
  assert.ok(out.h.every((v) => v !== 0));
  assert.notDeepEqual(initialiseEgnn(shape, 11), initialiseEgnn(shape, 12));
});

Deno.test("egnn reference: coincident particles and t at both ends give finite numbers", () => {
  for (const shape of shapes) {
    const x = new Float64Array(shape.particles * shape.dimension);
    const gradient = new Float64Array(egnnLayout(shape).size);
    for (const t of [0, 1]) {
      const out = egnnOutput(shape);
      egnnForward(shape, filledParameters(shape, 13), x, t, out);
      for (const part of [out.b, out.c, out.h, out.s]) assert.ok(part.every(Number.isFinite));
      egnnBackward(shape, filledParameters(shape, 13), x, t, randomAdjoint(shape, 14), gradient);
      assert.ok(gradient.every(Number.isFinite));
    }
  }
});

Deno.test("egnn layout: tensors are adjacent, named once, and bad shapes are refused", () => {
  for (const shape of shapes) {
    const { entries, size } = egnnLayout(shape);
    let end = 0;
    for (const entry of entries) {
      assert.equal(entry.offset, end);
      end += entry.shape.reduce((product, d) => product * d, 1);
    }
    assert.equal(end, size);
    assert.equal(new Set(entries.map((e) => e.name)).size, entries.length);
  }
  const bad: Partial<NetworkShape>[] = [{ hidden: 12 }, { layers: 0 }, { channels: 5 }, {
    particles: 1,
  }, { lengthScale: 0 }];
  for (const change of bad) {
    assert.throws(() => egnnLayout({ ...shapes[0], ...change }), RangeError);
  }
});

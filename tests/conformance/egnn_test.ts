/**
 * assembly/egnn.ts against the float64 reference.
 *
 * Tolerances: a forward pass is a few hundred float32 roundings on numbers of order one, summed over
 * N − 1 edges: 2e-6 of the largest output of its kind. A gradient tensor sums many signed terms:
 * 2e-5 of its norm. Largest seen: 9e-7 and 5e-6.
 */
import assert from "node:assert/strict";
import { egnnBackward, egnnForward } from "../../src/backends/reference/egnn.ts";
import { egnnOutputSize, packEgnn } from "../../src/backends/wasm/egnn.ts";
import { type KernelVariant, loadKernels } from "../../src/backends/wasm/module.ts";
import {
  egnnLayout,
  type EgnnOutput,
  egnnOutput,
  initialiseEgnn,
  scaleHeads,
} from "../../src/julep/egnn.ts";
import { eachGpu, gpuKernels, gpuTest } from "./gpu.ts";
import type { NetworkShape } from "../../src/julep/model.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";

const FORWARD_TOLERANCE = 2e-6;
const GRADIENT_TOLERANCE = 2e-5;
const LANES = 4;

const random = (seed: number) => new RandomStream(seed, Stream.test, 0);
const normals = (length: number, stream: RandomStream, scale = 1) =>
  Float32Array.from({ length }, () => scale * stream.normal());

/** Initial parameters, rounded to float32, with every zero tensor filled. */
function filledParameters(shape: NetworkShape): Float64Array {
  const stream = random(1);
  return initialiseEgnn(shape, 3).map((p) => Math.fround(p === 0 ? 0.2 * stream.normal() : p));
}

/** One lane of block data. */
const laneOf = (block: Float32Array, lane: number) =>
  Float64Array.from({ length: block.length / LANES }, (_, k) => block[k * LANES + lane]);

const parts = (out: EgnnOutput) => [out.b, out.c, out.h, out.s];

interface Evaluation {
  readonly out: Float32Array;
  readonly gradient: Float32Array;
}

/** Evaluates blocks; with an adjoint also the gradient, on top of `initial`. */
async function evaluate(
  variant: KernelVariant,
  shape: NetworkShape,
  x: Float32Array,
  t: Float32Array,
  adjoint?: Float32Array,
  initial = 0,
): Promise<Evaluation> {
  const { exports, memory } = await loadKernels({ variant });
  const blocks = t.length / LANES;
  const network = packEgnn(exports, memory, shape, filledParameters(shape));
  const { size } = egnnLayout(shape);
  const length = blocks * egnnOutputSize(shape) * LANES;
  const xAt = memory.alloc(4 * x.length), tAt = memory.alloc(4 * t.length);
  const outAt = memory.alloc(4 * length), adjointAt = memory.alloc(4 * length);
  const gradientAt = memory.alloc(4 * size);
  memory.f32(xAt, x.length).set(x);
  memory.f32(tAt, t.length).set(t);
  memory.f32(outAt, length).fill(NaN);
  memory.f32(gradientAt, size).fill(initial);
  const { address, scratch, tape } = network;
  if (adjoint) {
    memory.f32(adjointAt, length).set(adjoint);
    exports.egnnForwardBackwardBatch(
      address,
      xAt,
      tAt,
      outAt,
      adjointAt,
      gradientAt,
      scratch,
      tape,
      blocks,
    );
  } else {
    exports.egnnForwardBatch(address, xAt, tAt, outAt, scratch, blocks);
  }
  const gradient = memory.f32(gradientAt, size).slice();
  if (shape.outputScale) scaleHeads(shape, gradient);
  return { out: memory.f32(outAt, length).slice(), gradient };
}

/** Largest error of each kind of output, relative to the largest value of its kind. */
function forwardError(shape: NetworkShape, x: Float32Array, t: Float32Array, out: Float32Array) {
  const { particles: N, dimension: n } = shape;
  const parameters = filledParameters(shape);
  const blocks = t.length / LANES;
  const perBlock = egnnOutputSize(shape) * LANES;
  const errors = [0, 0, 0, 0], largest = [0, 0, 0, 0];
  for (let block = 0; block < blocks; block++) {
    for (let lane = 0; lane < LANES; lane++) {
      const positions = x.subarray(block * N * n * LANES, (block + 1) * N * n * LANES);
      const expected = egnnOutput(shape);
      egnnForward(
        shape,
        parameters,
        laneOf(positions, lane),
        t[block * LANES + lane],
        expected,
      );
      const actual = laneOf(out.subarray(block * perBlock, (block + 1) * perBlock), lane);
      let at = 0;
      parts(expected).forEach((part, kind) =>
        part.forEach((v) => {
          const error = Math.abs(v - actual[at++]);
          errors[kind] = error >= 0 ? Math.max(errors[kind], error) : Infinity;
          largest[kind] = Math.max(largest[kind], Math.abs(v));
        })
      );
    }
  }
  return Math.max(...errors.map((e, kind) => e === 0 ? 0 : e / largest[kind]));
}

/** Largest relative error of a gradient tensor's Euclidean norm, and its name. */
function gradientError(
  shape: NetworkShape,
  x: Float32Array,
  t: Float32Array,
  adjoint: Float32Array,
  gradient: Float32Array,
  initial: number,
) {
  const { particles: N, dimension: n } = shape;
  const layout = egnnLayout(shape);
  const parameters = filledParameters(shape);
  const expected = new Float64Array(layout.size);
  const perBlock = egnnOutputSize(shape) * LANES;
  for (let block = 0; block < t.length / LANES; block++) {
    for (let lane = 0; lane < LANES; lane++) {
      const d = egnnOutput(shape);
      const flat = laneOf(adjoint.subarray(block * perBlock, (block + 1) * perBlock), lane);
      let at = 0;
      for (const part of parts(d)) {
        part.set(flat.subarray(at, at + part.length));
        at += part.length;
      }
      const positions = x.subarray(block * N * n * LANES, (block + 1) * N * n * LANES);
      egnnBackward(
        shape,
        parameters,
        laneOf(positions, lane),
        t[block * LANES + lane],
        d,
        expected,
      );
    }
  }
  let worst = 0, name = "";
  for (const entry of layout.entries) {
    const length = entry.shape.reduce((product, d) => product * d, 1);
    let difference = 0, norm = 0;
    for (let k = entry.offset; k < entry.offset + length; k++) {
      difference += (gradient[k] - initial - expected[k]) ** 2;
      norm += expected[k] ** 2;
    }
    const error = difference === 0 ? 0 : Math.sqrt(difference / norm);
    if (!(error <= worst)) [worst, name] = [error, entry.name];
  }
  return { worst, name };
}

const shapes: NetworkShape[] = [];
for (const particles of [2, 4, 13, 22]) {
  for (const hidden of [8, 16, 64]) {
    // Every value of the other fields occurs with every size, without the whole product.
    const k = shapes.length;
    for (const dimension of [2, 3] as const) {
      const even = (k + dimension) % 2 === 0;
      shapes.push({
        particles,
        dimension,
        layers: hidden === 64 ? 3 : 2,
        hidden,
        channels: even ? 0 : 1 + (k + dimension) % 4,
        lengthScale: 1.7,
        anchored: k % 4 < 2,
      });
    }
  }
}
// All channel counts, one layer, and a chunk of edges that ends inside a particle.
for (const channels of [0, 1, 2, 3, 4]) {
  shapes.push({
    particles: 5,
    dimension: 3,
    layers: 1,
    hidden: 24,
    channels,
    lengthScale: 0.8,
    anchored: channels % 2 === 0,
  });
}

/** Molecules: an anchor that is not the first particle, types, outputs in units of their own. */
const molecular: NetworkShape[] = [0, 2].flatMap((channels) =>
  [1, 2].map((layers) => ({
    particles: 7,
    dimension: 3,
    layers,
    hidden: 16,
    channels,
    lengthScale: 0.9,
    anchored: true,
    anchor: 4,
    types: [0, 1, 1, 2, 3, 0, 2],
    outputScale: 5,
  }))
);

for (const variant of ["relaxed", "plain"] as const) {
  for (const shape of [...shapes, ...molecular]) {
    const { particles: N, dimension: n, layers, hidden, channels, anchored } = shape;
    const name = `N=${N} n=${n} L=${layers} H=${hidden} C=${channels}${
      anchored ? " anchored" : ""
    }${shape.types ? " types" : ""}`;
    Deno.test(`egnn ${variant}: forward and gradient agree with the reference, ${name}`, async () => {
      const blocks = N > 4 && hidden === 64 ? 1 : 2;
      const stream = random(2);
      const x = normals(blocks * N * n * LANES, stream, 1.5);
      const t = Float32Array.from({ length: blocks * LANES }, (_, k) => [0, 1, 0.3, 0.77][k % 4]);
      const adjoint = normals(blocks * egnnOutputSize(shape) * LANES, stream);
      const forward = await evaluate(variant, shape, x, t);
      const error = forwardError(shape, x, t, forward.out);
      assert.ok(error <= FORWARD_TOLERANCE, `forward error ${error}`);
      const both = await evaluate(variant, shape, x, t, adjoint);
      assert.deepEqual(both.out, forward.out, "storing activations changes no bit");
      const { worst, name } = gradientError(shape, x, t, adjoint, both.gradient, 0);
      assert.ok(worst <= GRADIENT_TOLERANCE, `gradient of ${name}: relative error ${worst}`);
    });
  }

  const shape: NetworkShape = {
    particles: 5,
    dimension: 3,
    layers: 2,
    hidden: 16,
    channels: 2,
    lengthScale: 1.3,
    anchored: false,
  };
  const size = shape.particles * shape.dimension;

  Deno.test(`egnn ${variant}: a lane's outputs do not depend on its place or neighbours`, async () => {
    const systems = Array.from({ length: 7 }, (_, k) => normals(size, random(10 + k), 1.5));
    const run = async (members: number[]) => {
      const x = new Float32Array(size * LANES), t = new Float32Array(LANES);
      members.forEach((system, lane) => {
        t[lane] = system / 7;
        for (let a = 0; a < size; a++) x[a * LANES + lane] = systems[system][a];
      });
      const { out } = await evaluate(variant, shape, x, t);
      return members.map((_, lane) => laneOf(out, lane));
    };
    const [first, second, third] = [
      await run([0, 1, 2, 3]),
      await run([3, 0, 4, 5]),
      await run([6, 6, 0, 1]),
    ];
    assert.notDeepEqual(first[0], first[1]);
    assert.deepEqual(second[1], first[0]);
    assert.deepEqual(third[2], first[0]);
    assert.deepEqual(third[3], first[1]);
    assert.deepEqual(second[0], first[3]);
  });

  Deno.test(`egnn ${variant}: NaN or infinity in one lane stays there`, async () => {
    const x = normals(size * LANES, random(20), 1.5);
    const t = new Float32Array(LANES).fill(0.4);
    const clean = await evaluate(variant, shape, x, t);
    for (const bad of [NaN, Infinity, -1e30]) {
      const spoiled = x.slice();
      spoiled[4 * LANES + 2] = bad;
      const { out } = await evaluate(variant, shape, spoiled, t);
      for (const lane of [0, 1, 3]) assert.deepEqual(laneOf(out, lane), laneOf(clean.out, lane));
      if (Number.isNaN(bad)) assert.ok(laneOf(out, 2).every(Number.isNaN));
      else assert.notDeepEqual(laneOf(out, 2), laneOf(clean.out, 2));
    }
  });

  Deno.test(`egnn ${variant}: gradients are added to what is there`, async () => {
    const x = normals(size * LANES, random(21), 1.5);
    const t = new Float32Array(LANES).fill(0.6);
    const adjoint = normals(egnnOutputSize(shape) * LANES, random(22));
    const from = await evaluate(variant, shape, x, t, adjoint, 0.5);
    const { worst, name } = gradientError(shape, x, t, adjoint, from.gradient, 0.5);
    assert.ok(worst <= GRADIENT_TOLERANCE, `gradient of ${name}: relative error ${worst}`);
  });

  Deno.test(`egnn ${variant}: coincident particles give finite outputs and gradients`, async () => {
    const x = new Float32Array(size * LANES);
    const t = Float32Array.of(0, 0.5, 0.9, 1);
    const adjoint = normals(egnnOutputSize(shape) * LANES, random(23));
    const { out, gradient } = await evaluate(variant, shape, x, t, adjoint);
    assert.ok(out.every(Number.isFinite) && gradient.every(Number.isFinite));
    assert.ok(forwardError(shape, x, t, out) <= FORWARD_TOLERANCE);
  });
}

/** Fewer shapes than above: compiling the backward pass takes seconds on software Vulkan. */
const gpuShapes = [
  shapes.find((s) => s.particles === 4 && s.hidden === 64 && s.dimension === 2)!,
  shapes.find((s) => s.particles === 13 && s.hidden === 16 && s.channels > 0)!,
];
const withAllLimits: typeof eachGpu = (name, test) =>
  gpuTest(name, async () => await test(await gpuKernels()));
for (const shape of gpuShapes) {
  const { particles: N, dimension: n, layers, hidden, channels, anchored } = shape;
  const name = `N=${N} n=${n} L=${layers} H=${hidden} C=${channels}${anchored ? " anchored" : ""}`;
  const tested = shape === gpuShapes[0] ? eachGpu : withAllLimits;
  tested(`egnn: forward and gradient agree with the reference, ${name}`, async (kernels) => {
    const blocks = 2;
    const count = blocks * LANES;
    const size = N * n;
    const stream = random(2);
    const x = normals(blocks * size * LANES, stream, 1.5);
    const t = Float32Array.from({ length: count }, (_, k) => [0, 1, 0.3, 0.77][k % 4]);
    const perState = egnnOutputSize(shape);
    const adjoint = normals(blocks * perState * LANES, stream);
    const lane = (all: Float32Array, width: number, s: number) => {
      const block = Math.floor(s / LANES) * width * LANES;
      return laneOf(all.subarray(block, block + width * LANES), s % LANES);
    };
    const parameters = filledParameters(shape);
    const states: number[] = [];
    const withAdjoints: number[] = [];
    // Without channels the kernel still has room for one of h and of s.
    const missing = new Array(channels === 0 ? N + 1 : 0).fill(0);
    for (let s = 0; s < count; s++) {
      states.push(...lane(x, size, s), t[s]);
      withAdjoints.push(...lane(x, size, s), t[s], ...lane(adjoint, perState, s), ...missing);
    }
    const { outputs, width } = await kernels.egnn(
      shape,
      parameters,
      Float32Array.from(states),
      count,
    );
    const out = new Float32Array(blocks * perState * LANES);
    for (let s = 0; s < count; s++) {
      const block = Math.floor(s / LANES) * perState;
      for (let k = 0; k < perState; k++) {
        out[(block + k) * LANES + s % LANES] = outputs[s * width + k];
      }
    }
    const error = forwardError(shape, x, t, out);
    assert.ok(error <= FORWARD_TOLERANCE, `forward error ${error}`);
    const again = () =>
      kernels.egnnBackward(shape, parameters, Float32Array.from(withAdjoints), count);
    const gradient = await again();
    const { worst, name } = gradientError(shape, x, t, adjoint, gradient, 0);
    assert.ok(worst <= GRADIENT_TOLERANCE, `gradient of ${name}: relative error ${worst}`);
    assert.deepEqual(await again(), gradient, "the order of sums is fixed");
  });
}

/**
 * What the kernel of every density family must do: agree with the float64 mixture, in both SIMD
 * modules, lane by lane, and in WGSL, for positions near and far, coincident and not finite.
 */
import assert from "node:assert/strict";
import { fromBlocks, toBlocks } from "../../src/backends/wasm/julep.ts";
import { packMint } from "../../src/backends/wasm/mint_prior.ts";
import { type KernelInstance, loadKernels } from "../../src/backends/wasm/module.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { drawMint, MintDensity } from "../../src/mint/mixture.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { randomPositions } from "../mint_helpers.ts";
import { eachGpu } from "./gpu.ts";

const variants = ["relaxed", "plain"] as const;
const instances = new Map<string, KernelInstance>();
for (const variant of variants) instances.set(variant, await loadKernels({ variant }));

/** Registers the tests of one family. */
export function mintPriorTests(kernel: string, cases: readonly [string, MintModel][]): void {
  for (const [name, model] of cases) {
    eachGpu(`${kernel}, ${name}: log q and ∂log q/∂x agree with float64`, async (gpu) => {
      const q = new MintDensity(model);
      const size = model.particles * model.dimension;
      const count = 9;
      const positions = testPositions(model, count);
      const got = await gpu.mintPrior(model, Float32Array.from(positions), count);
      const want = new Float64Array(size);
      for (let s = 0; s < count; s++) {
        const value = q.logDensityAndGradient(positions, want, s * size);
        assert.ok(
          Math.abs(got.values[s] - value) < 2e-5 + 2e-6 * Math.abs(value),
          `log q of ${s}: ${got.values[s]} ${value}`,
        );
        const norm = Math.hypot(...want);
        for (let i = 0; i < size; i++) {
          const g = got.gradients[s * size + i];
          assert.ok(
            Math.abs(g - want[i]) < 2e-4 * (1 + norm),
            `${s}: ${g} ${want[i]}`,
          );
        }
      }
    });
  }
  for (const variant of variants) {
    const kernels = instances.get(variant)!;
    for (const [name, model] of cases) {
      Deno.test(`${kernel} ${variant}, ${name}: log q and ∂log q/∂x agree with float64`, () => {
        const q = new MintDensity(model);
        const size = model.particles * model.dimension;
        const count = 17;
        const positions = testPositions(model, count);
        const { densities, gradients } = evaluate(kernels, model, positions);
        const want = new Float64Array(size);
        for (let s = 0; s < count; s++) {
          const value = q.logDensityAndGradient(positions, want, s * size);
          // f32 sums of up to a few hundred terms of the size of the value.
          assert.ok(
            Math.abs(densities[s] - value) < 2e-5 + 2e-6 * Math.abs(value),
            `log q of ${s}: ${densities[s]} ${value}`,
          );
          const norm = Math.hypot(...want);
          for (let i = 0; i < size; i++) {
            const got = gradients[s * size + i];
            assert.ok(Math.abs(got - want[i]) < 2e-4 * (1 + norm), `${s}: ${got} ${want[i]}`);
          }
        }
      });

      if (model.components === 0) continue;
      Deno.test(`${kernel} ${variant}, ${name}: ∂log q/∂parameters agrees with float64`, () => {
        const q = new MintDensity(model);
        const size = model.particles * model.dimension;
        const count = 12;
        const positions = testPositions(model, count);
        const weights = Float64Array.from({ length: count }, (_, s) => s === 4 ? 0 : 0.3 - 0.1 * s);
        const want = new Float64Array(model.parameters.length);
        for (let s = 0; s < count; s++) {
          q.addParameterGradient(positions, weights[s], want, s * size);
        }
        // Lanes that are not finite, or have no weight, add nothing.
        const broken = Float64Array.from([...positions, ...positions.subarray(0, 4 * size)]);
        broken.fill(NaN, count * size, (count + 1) * size);
        const got = parameterGradient(kernels, model, broken, [...weights, 1, 0, 0, 0]);
        const scale = Math.max(...want.map(Math.abs));
        for (let i = 0; i < want.length; i++) {
          assert.ok(Math.abs(got[i] - want[i]) < 5e-5 * (1 + scale), `${i}: ${got[i]} ${want[i]}`);
        }
      });
    }

    Deno.test(`${kernel} ${variant}: a lane's bits do not depend on its neighbours`, () => {
      for (const [name, model] of cases) {
        const size = model.particles * model.dimension;
        const positions = testPositions(model, 8);
        const together = evaluate(kernels, model, positions);
        const random = new RandomStream(1, Stream.test, 2);
        for (let s = 0; s < 8; s++) {
          const lane = random.integer(4);
          const block = Float64Array.from({ length: 4 * size }, () => 3 * random.normal());
          block.fill([NaN, Infinity, 1e30, 0][s % 4], 0, lane === 0 ? 0 : size);
          block.set(positions.subarray(s * size, (s + 1) * size), lane * size);
          const alone = evaluate(kernels, model, block);
          assert.equal(alone.densities[lane], together.densities[s], name);
          assert.deepEqual(
            alone.gradients.slice(lane * size, (lane + 1) * size),
            together.gradients.slice(s * size, (s + 1) * size),
            name,
          );
        }
      }
    });

    Deno.test(`${kernel} ${variant}: lanes that are not finite give NaN, coincident particles do not`, () => {
      for (const [name, model] of cases) {
        const size = model.particles * model.dimension;
        const positions = testPositions(model, 4);
        positions[1] = NaN;
        positions[size + 1] = -Infinity;
        positions.copyWithin(2 * size, 2 * size + model.dimension, 2 * size + 2 * model.dimension);
        const { densities, gradients } = evaluate(kernels, model, positions);
        const nan = (s: number) => gradients.slice(s * size, (s + 1) * size).every(Number.isNaN);
        assert.ok(Number.isNaN(densities[0]) && nan(0), name);
        assert.ok(Number.isNaN(densities[1]) && nan(1), name);
        assert.ok(Number.isFinite(densities[2]) && !nan(2), `${name}: ${densities[2]}`);
        assert.ok(Number.isFinite(densities[3]), name);
      }
    });
  }
}

/** Runs the kernel over float32 positions (count, N, n). */
function evaluate(kernels: KernelInstance, model: MintModel, positions: Float64Array) {
  const { exports, memory } = kernels;
  const mark = memory.mark();
  const size = model.particles * model.dimension;
  const count = positions.length / size;
  const blocks = Math.ceil(count / 4);
  const prior = packMint(exports, memory, model);
  const x = memory.alloc(16 * size * blocks);
  const gradient = memory.alloc(16 * size * blocks);
  const logDensity = memory.alloc(16 * blocks);
  toBlocks(positions, count, size, memory.f32(x, 4 * size * blocks));
  exports.mintPriorBatch(prior.address, x, gradient, logDensity, blocks, prior.scratch);
  const gradients = new Float64Array(count * size);
  fromBlocks(memory.f32(gradient, 4 * size * blocks), count, size, gradients);
  const densities = Float64Array.from(memory.f32(logDensity, count));
  memory.release(mark);
  return { densities, gradients };
}

/** Draws of the model itself, and points far from it. */
function testPositions(model: MintModel, count: number): Float64Array {
  const half = Math.ceil(count / 2);
  const drawn = drawMint(new MintDensity(model), 21, 0, half);
  const far = randomPositions(count - half, model.particles, model.dimension, 1.3, 5);
  return Float64Array.from([...drawn, ...far]).map(Math.fround);
}

function parameterGradient(
  { exports, memory }: KernelInstance,
  model: MintModel,
  positions: Float64Array,
  weights: number[],
): Float64Array {
  const mark = memory.mark();
  const size = model.particles * model.dimension;
  const prior = packMint(exports, memory, model);
  const x = memory.alloc(16 * size);
  const w = memory.alloc(16);
  const out = memory.alloc(4 * prior.statistics);
  memory.f32(out, prior.statistics).fill(0);
  for (let s = 0; s < weights.length; s += 4) {
    toBlocks(positions.subarray(s * size, (s + 4) * size), 4, size, memory.f32(x, 4 * size));
    memory.f32(w, 4).set(weights.slice(s, s + 4));
    exports.mintPriorParameterGradientBlock(prior.address, x, w, out, prior.scratch);
  }
  const gradient = prior.toParameters(memory.f32(out, prior.statistics));
  memory.release(mark);
  return gradient;
}

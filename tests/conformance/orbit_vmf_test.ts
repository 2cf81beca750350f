/** The orbit von Mises-Fisher kernel against the float64 mixture, in both SIMD modules and WGSL. */
import assert from "node:assert/strict";
import { MintDensity } from "../../src/backends/reference/orbit_vmf.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { randomMint } from "../mint_helpers.ts";
import { eachGpu } from "./gpu.ts";
import { mintPriorTests, testPositions } from "./mint_prior_suite.ts";

const cases: [string, MintModel][] = [
  ["n=2 N=4, 24 labellings", { particles: 4, dimension: 2, components: 5, symmetrise: true }],
  ["n=2 N=4, sharp", {
    particles: 4,
    dimension: 2,
    components: 6,
    symmetrise: true,
    logKappa: 6,
    broadWeight: 0.02,
  }],
  ["n=2 N=2", { particles: 2, dimension: 2, components: 3, symmetrise: true }],
  ["n=2 N=13, no labellings", {
    particles: 13,
    dimension: 2,
    components: 2,
    symmetrise: false,
  }],
  ["n=2 N=5, groups, no broad part", {
    particles: 5,
    dimension: 2,
    components: 3,
    symmetrise: true,
    groups: [[0, 3], [1, 2, 4]],
    broadWeight: 0,
  }],
  ["n=3 N=4, 24 labellings", { particles: 4, dimension: 3, components: 3, symmetrise: true }],
  ["n=3 N=3, sharp", {
    particles: 3,
    dimension: 3,
    components: 3,
    symmetrise: true,
    logKappa: 6,
  }],
  ["n=3 N=2: rank-one C", { particles: 2, dimension: 3, components: 2, symmetrise: true }],
  ["n=3 N=13, no labellings", {
    particles: 13,
    dimension: 3,
    components: 3,
    symmetrise: false,
    logKappa: 4,
  }],
  ["n=3 N=55, broad part alone", {
    particles: 55,
    dimension: 3,
    components: 0,
    symmetrise: true,
  }],
].map(([name, shape]) => [name as string, randomMint(shape as Parameters<typeof randomMint>[0])]);

mintPriorTests("orbit_vmf", cases);

for (const [name, model] of cases) {
  eachGpu(`orbit_vmf, ${name}: log q and ∂log q/∂x agree with float64`, async (kernels) => {
    const q = new MintDensity(model);
    const size = model.particles * model.dimension;
    const count = 9;
    const positions = testPositions(model, count);
    const got = await kernels.orbitVmf(model, Float32Array.from(positions), count);
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
        assert.ok(Math.abs(g - want[i]) < 2e-4 * (1 + norm), `${s}: ${g} ${want[i]}`);
      }
    }
  });
}

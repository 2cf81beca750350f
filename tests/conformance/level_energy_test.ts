/** The kernel level_energy, both SIMD modules and WGSL, against the float64 energies of the levels. */
import assert from "node:assert/strict";
import type { SystemConfig } from "../../src/config/config.ts";
import { LANES } from "../../src/backends/backend.ts";
import { ExactParts } from "../../src/backends/exact.ts";
import {
  clipForce,
  levelEnergy,
  type LevelProblem,
} from "../../src/backends/reference/level_energy.ts";
import { fromBlocks, toBlocks } from "../../src/backends/wasm/julep.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import { GpuPath } from "../../src/backends/webgpu/path.ts";
import { packMint } from "../../src/backends/wasm/mint_prior.ts";
import { packLevels, writeLevels } from "../../src/backends/wasm/path.ts";
import { preset } from "../../src/config/presets.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { MintDensity } from "../../src/mint/mixture.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { clusterPath } from "../../src/path/cluster.ts";
import { mixturePath } from "../../src/path/mixture.ts";
import type { PathModel } from "../../src/path/model.ts";
import { createSystem } from "../../src/systems/create.ts";
import { broadPrior, dw4, lennardJones, scattered } from "../path/helpers.ts";
import { eachGpu } from "./gpu.ts";
import { tolerances } from "./tolerances.ts";
import { eachVariant } from "./variants.ts";

function fast(
  kernels: KernelInstance,
  system: SystemConfig,
  mint: MintModel | null,
  path: PathModel,
  level: number,
  x: Float64Array,
  count: number,
) {
  const { memory, exports } = kernels;
  const mark = memory.mark();
  const parts = new ExactParts({ system, mint, julep: null, path });
  const { kind, parameters } = parts.system.pairKernel;
  const pairParameters = memory.alloc(16);
  memory.f32(pairParameters, parameters.length).set(parameters);
  const packed = mint ? packMint(exports, memory, mint) : null;
  const levels = writeLevels(
    kernels,
    parts,
    {
      pairKind: kind,
      pairParameters,
      prior: packed?.address ?? 0,
      priorScratch: packed?.scratch ?? 0,
    },
    path.levels.kind === "mixture" ? 1 : 0,
    packLevels(path, parts.system.dimension),
  );
  const blocks = Math.ceil(count / LANES);
  const length = blocks * parts.size * LANES;
  const [xAt, gradientAt, energyAt] = [4 * length, 4 * length, 4 * blocks * LANES]
    .map((bytes) => memory.alloc(bytes));
  toBlocks(x, count, parts.size, memory.f32(xAt, length));
  exports.levelEnergies(levels, level, xAt, gradientAt, energyAt, blocks);
  const energies = Float64Array.from(memory.f32(energyAt, count));
  const gradients = new Float64Array(count * parts.size);
  fromBlocks(memory.f32(gradientAt, length), count, parts.size, gradients);
  memory.release(mark);
  return { energies, gradients };
}

/** The sum of the magnitudes that U_k is made of, and of those of its gradient. */
function scales(problem: LevelProblem, level: number, x: Float64Array, n: number) {
  const { levels, system } = problem;
  let energy = 1;
  let force = 1;
  for (let i = 0; i < x.length; i += n) {
    for (let j = i + n; j < x.length; j += n) {
      let squared = 0;
      for (let a = 0; a < n; a++) squared += (x[i + a] - x[j + a]) ** 2;
      if (levels.kind === "pair_path") {
        const k = Math.max(0, level);
        const q = 1 / (squared ** 3 + levels.softness[k]);
        energy += levels.depth[k] * q * (q + 2 * levels.attraction[k]);
        force += 12 * levels.depth[k] * (q + levels.attraction[k]) * q * q * squared ** 2.5;
      } else {
        const two = createSystem({ ...system.config, particles: 2 } as SystemConfig);
        const gradient = new Float64Array(2 * n);
        const pair = Float64Array.from([...x.subarray(i, i + n), ...x.subarray(j, j + n)]);
        energy += Math.abs(two.energyAndGradient(pair, gradient, levels.times[Math.max(0, level)]));
        force += Math.hypot(...gradient.subarray(0, n));
      }
    }
  }
  const gradient = new Float64Array(x.length);
  if (levels.kind === "mixture") {
    energy += Math.abs(problem.priorLogDensity(x, gradient));
    force += Math.hypot(...gradient);
  }
  return { energy, force };
}

const lj = lennardJones(13);
const mixtureOf = (levels: number) => mixturePath({ kernel: "underdamped", levels, stepSize: 0.1 });
const dw4Config = preset("dw4");
dw4Config.mint.components = 6;
const cases: [string, SystemConfig, MintModel | null, PathModel][] = [
  ["pair path, N = 2", lennardJones(2), null, clusterPath(lennardJones(2), soft(20))],
  ["pair path, N = 13", lj, null, clusterPath(lj, soft(20))],
  ["pair path, N = 55", lennardJones(55), null, clusterPath(lennardJones(55), soft(20))],
  ["saturating pair path", lj, null, clusterPath(lj, { ...soft(20), saturation: 1.7 })],
  ["mixture, dw4", dw4, initialiseMint(createSystem(dw4), dw4Config.mint, 4), mixtureOf(4)],
  ["mixture, lj13", lj, broadPrior(13, 3, 1), mixtureOf(4)],
];

function soft(levels: number) {
  return { kernel: "underdamped" as const, levels };
}

type Evaluated = { energies: ArrayLike<number>; gradients: ArrayLike<number> };

/** Compares levels of a case with float64; `fast` evaluates them at positions (count, N, n). */
async function compare(
  [, system, mint, path]: typeof cases[number],
  fast: (level: number, x: Float64Array, count: number) => Evaluated | Promise<Evaluated>,
): Promise<void> {
  const physics = createSystem(system);
  const { particles: N, dimension: n } = physics;
  const density = mint ? new MintDensity(mint) : null;
  const problem: LevelProblem = {
    system: physics,
    levels: path.levels,
    priorLogDensity: (x, gradient) => density!.logDensityAndGradient(x, gradient),
  };
  const count = 6;
  const size = N * n;
  const x = scattered(N, n, count, 60 + N, n === 2 ? 4 : 1.05);
  for (const level of [-1, 0, Math.floor(path.stepSize.length / 2), path.stepSize.length - 1]) {
    const got = await fast(level, x, count);
    for (let s = 0; s < count; s++) {
      const one = x.slice(s * size, (s + 1) * size);
      const gradient = new Float64Array(size);
      const energy = levelEnergy(problem, level, one, gradient);
      const scale = scales(problem, level, one, n);
      const error = Math.abs(got.energies[s] - energy) / scale.energy;
      assert.ok(
        error <= tolerances.levelEnergies.value,
        `level ${level}: U ${got.energies[s]}, exact ${energy}, error ${error}`,
      );
      gradient.forEach((g, a) => {
        const difference = Math.abs(got.gradients[s * size + a] - g) / scale.force;
        assert.ok(difference <= tolerances.levelGradients.value, `level ${level}: ${difference}`);
      });
    }
  }
}

for (const one of cases) {
  const [name, system, mint, path] = one;
  const title = `levelEnergies of a ${name} agree with float64`;
  eachVariant(title, async (kernels) => {
    await compare(one, (level, x, count) => fast(kernels, system, mint, path, level, x, count));
  });
  eachGpu(title, async (kernels) => {
    const gpu = new GpuPath(kernels, { system: createSystem(system), mint, path });
    await compare(one, async (level, x, count) => {
      const { values, vectors } = await gpu.evaluate(level, Float32Array.from(x), count);
      return { energies: values, gradients: vectors };
    });
  });
}

eachGpu("level_energy clips its gradient as float64 does", async (kernels) => {
  const whole = clusterPath(lj, soft(20));
  const path = { ...whole, clip: whole.clip.map(() => 4) };
  const gpu = new GpuPath(kernels, { system: createSystem(lj), mint: null, path });
  const x = Float32Array.from(scattered(13, 3, 4, 73));
  const level = 12;
  const plain = await gpu.evaluate(level, x, 4);
  const clipped = await gpu.evaluate(level, x, 4, true);
  assert.ok(path.clip[level] > 0);
  for (let s = 0; s < 4; s++) {
    const exact = Float64Array.from(plain.vectors.subarray(39 * s, 39 * s + 39));
    const largest = Math.max(...exact.map(Math.abs));
    assert.ok(largest > path.clip[level], `${largest} is not clipped`);
    clipForce(exact, 13, path.clip[level]);
    exact.forEach((f, a) => {
      assert.ok(Math.abs(f - clipped.vectors[39 * s + a]) < 1e-5 * (1 + path.clip[level]));
    });
  }
});

eachVariant("clipForces agrees with float64; 0 leaves the force alone", (kernels) => {
  const { memory, exports } = kernels;
  for (const [N, n] of [[4, 2], [13, 3]] as const) {
    const size = N * n;
    const force = scattered(N, n, LANES, 5, 30, 40);
    for (const clip of [0, 20, 200]) {
      const mark = memory.mark();
      const at = memory.alloc(4 * size * LANES);
      toBlocks(force, LANES, size, memory.f32(at, size * LANES));
      exports.clipForces(at, 1, N, n, clip);
      const got = new Float64Array(force.length);
      fromBlocks(memory.f32(at, size * LANES), LANES, size, got);
      memory.release(mark);
      for (let s = 0; s < LANES; s++) {
        const exact = force.slice(s * size, (s + 1) * size);
        clipForce(exact, N, clip);
        exact.forEach((f, a) => assert.ok(Math.abs(f - got[s * size + a]) < 1e-5 * (1 + clip)));
        if (clip > 0) {
          const norms = Array.from(
            { length: N },
            (_, i) => Math.hypot(...exact.subarray(i * n, i * n + n)),
          );
          // Clipped to c each, then the mean (at most c) removed.
          assert.ok(Math.max(...norms) < 2 * clip);
        } else assert.deepEqual(exact, force.slice(s * size, (s + 1) * size));
      }
    }
  }
});

/** assembly/pair_energies.ts, relaxed and plain, against the float64 systems. */
import assert from "node:assert/strict";
import { pairEnergies } from "../../src/backends/reference/pair_energies.ts";
import { LANES } from "../../src/backends/backend.ts";
import { fromBlocks, toBlocks } from "../../src/backends/wasm/julep.ts";
import type { KernelInstance } from "../../src/backends/wasm/module.ts";
import type { SystemConfig } from "../../src/config/config.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { createSystem } from "../../src/systems/create.ts";
import type { System } from "../../src/systems/system.ts";
import { tolerances } from "./tolerances.ts";
import { eachGpu } from "./gpu.ts";
import { eachVariant } from "./variants.ts";

const doubleWell = (particles: number, dimension: 2 | 3): SystemConfig => ({
  kind: "double_well",
  particles,
  dimension,
  offset: 1.2,
  linear: 0.7,
  quadratic: -4,
  quartic: 0.9,
  temperature: 1.5,
});
const lennardJones = (particles: number, softCore: "shifted" | "beutler"): SystemConfig => ({
  kind: "lennard_jones",
  particles,
  epsilon: 1.7,
  oscillator: 0.6,
  softCore: softCore === "shifted" ? { kind: "shifted" } : { kind: "beutler", alpha: 0.5 },
});
const families: Record<string, (particles: number) => SystemConfig> = {
  "double well, n = 2": (N) => doubleWell(N, 2),
  "double well, n = 3": (N) => doubleWell(N, 3),
  "Lennard-Jones, shifted": (N) => lennardJones(N, "shifted"),
  "Lennard-Jones, beutler": (N) => lennardJones(N, "beutler"),
};

/** Float32 positions (count, N, n): a jittered grid at about the distance of neighbours. */
function scattered(system: System, count: number, seed: number, jitter = 0.09): Float64Array {
  const { particles: N, dimension: n } = system;
  const side = Math.ceil(N ** (1 / n));
  const random = new RandomStream(seed, Stream.test, 0);
  return Float64Array.from({ length: count * N * n }, (_, at) => {
    const cell = Math.floor(Math.floor((at % (N * n)) / n) / side ** (at % n)) % side;
    return Math.fround(1.05 * cell + jitter * random.normal());
  });
}

/** The kernel on sample-major positions; checks that nothing is written beyond the outputs. */
function fast(kernels: KernelInstance, system: System, x: Float64Array, count: number, t: number) {
  const { memory, exports } = kernels;
  const size = system.particles * system.dimension;
  const blocks = Math.ceil(count / LANES);
  const mark = memory.mark();
  const { kind, parameters } = system.pairKernel;
  const parametersAt = memory.alloc(4 * parameters.length);
  const xAt = memory.alloc(4 * blocks * size * LANES);
  const energiesAt = memory.alloc(4 * blocks * LANES + 16);
  const gradientAt = memory.alloc(4 * blocks * size * LANES + 16);
  memory.f32(parametersAt, parameters.length).set(parameters);
  toBlocks(x, count, size, memory.f32(xAt, blocks * size * LANES));
  const energyView = memory.f32(energiesAt, blocks * LANES + 4).fill(123);
  const gradientView = memory.f32(gradientAt, blocks * size * LANES + 4).fill(123);
  exports.pairEnergiesBatch(
    kind,
    parametersAt,
    xAt,
    gradientAt,
    energiesAt,
    system.particles,
    system.dimension,
    t,
    blocks,
  );
  assert.deepEqual([...energyView.subarray(-4)], [123, 123, 123, 123], "energies: overrun");
  assert.deepEqual([...gradientView.subarray(-4)], [123, 123, 123, 123], "gradient: overrun");
  const energies = Float64Array.from(energyView.subarray(0, count));
  const gradients = new Float64Array(count * size);
  fromBlocks(gradientView, count, size, gradients);
  memory.release(mark);
  return { energies, gradients };
}

/** 1 + Σ|u_ij|, and 1 + Σ_j |f_ij| of every particle: what the tolerances are relative to. */
function scales(config: SystemConfig, x: Float64Array, n: number, t: number) {
  const N = x.length / n;
  const pair = createSystem({ ...config, particles: 2 } as SystemConfig);
  const two = new Float64Array(2 * n);
  const gradient = new Float64Array(2 * n);
  const forces = new Float64Array(N).fill(1);
  let energy = 1;
  for (let i = 0; i < N; i++) {
    for (let j = i + 1; j < N; j++) {
      two.set(x.subarray(i * n, (i + 1) * n));
      two.set(x.subarray(j * n, (j + 1) * n), n);
      energy += Math.abs(pair.energyAndGradient(two, gradient, t));
      const force = Math.hypot(...gradient.subarray(0, n));
      forces[i] += force;
      forces[j] += force;
    }
  }
  return { energy, forces };
}

for (const [name, family] of Object.entries(families)) {
  eachVariant(`pairEnergies: ${name} agrees with float64 at all N and t`, (kernels) => {
    for (const N of [2, 4, 13, 22, 55]) {
      const config = family(N);
      const system = createSystem(config);
      const { dimension: n } = system;
      const size = N * n;
      const count = 6;
      const x = scattered(system, count, 100 + N);
      for (const t of [0, 0.3, 1]) {
        const exact = pairEnergies(system, x, count, Math.fround(t));
        const got = fast(kernels, system, x, count, t);
        for (let s = 0; s < count; s++) {
          const scale = scales(config, x.subarray(s * size, (s + 1) * size), n, t);
          const error = Math.abs(got.energies[s] - exact.energies[s]) / scale.energy;
          assert.ok(
            error <= tolerances.pairEnergies.value,
            `N=${N} t=${t}: energy ${got.energies[s]}, exact ${exact.energies[s]}, error ${error}`,
          );
          for (let a = 0; a < size; a++) {
            const at = s * size + a;
            const difference = Math.abs(got.gradients[at] - exact.gradients[at]) /
              scale.forces[Math.floor(a / n)];
            assert.ok(
              difference <= tolerances.pairGradients.value,
              `N=${N} t=${t}: gradient[${a}] ${got.gradients[at]}, exact ` +
                `${exact.gradients[at]}, error ${difference}`,
            );
          }
        }
      }
    }
  });
}

eachVariant("pairEnergies: every batch size gives each sample the same bits", (kernels) => {
  for (const config of [doubleWell(4, 2), lennardJones(13, "beutler")]) {
    const system = createSystem(config);
    const size = system.particles * system.dimension;
    const x = scattered(system, 130, 5);
    const all = fast(kernels, system, x, 130, 1);
    for (const count of [0, 1, 63, 64, 65]) {
      // From the end, so that samples also change lanes and neighbours.
      const some = fast(kernels, system, x.subarray((130 - count) * size), count, 1);
      assert.deepEqual(some.energies, all.energies.slice(130 - count), `batch ${count}`);
      assert.deepEqual(some.gradients, all.gradients.slice((130 - count) * size));
    }
  }
});

eachVariant("pairEnergies: collisions and NaN are finite or not as in float64", (kernels) => {
  const finite = (values: Iterable<number>) =>
    [...values].every((v) => Number.isFinite(Math.fround(v)));
  for (const family of Object.values(families)) {
    const system = createSystem(family(5));
    const { dimension: n } = system;
    const size = 5 * n;
    for (const t of [0, 0.3, 1]) {
      for (const gap of [1e-3, 1e-4, 1e-5, 1e-7, 0, NaN]) {
        // Four different systems side by side; the second collides: particle 3 beside particle 1.
        const x = scattered(system, 4, 77);
        const clean = fast(kernels, system, x, 4, t);
        const bad = x.slice();
        bad.fill(0, size + n, size + 2 * n);
        bad.fill(0, size + 3 * n, size + 4 * n);
        bad[size + 3 * n] = Math.fround(gap);
        const exact = pairEnergies(system, bad, 4, Math.fround(t));
        const got = fast(kernels, system, bad, 4, t);
        const where = `${system.name}, n=${n}, t=${t}, gap=${gap}`;
        assert.equal(finite([got.energies[1]]), finite([exact.energies[1]]), `energy: ${where}`);
        assert.equal(
          finite(got.gradients.subarray(size, 2 * size)),
          finite(exact.gradients.subarray(size, 2 * size)),
          `gradient: ${where}`,
        );
        for (const s of [0, 2, 3]) {
          assert.equal(got.energies[s], clean.energies[s], `neighbouring lane: ${where}`);
          assert.deepEqual(
            got.gradients.slice(s * size, (s + 1) * size),
            clean.gradients.slice(s * size, (s + 1) * size),
          );
        }
      }
    }
  }
});

eachVariant("pairEnergies: both soft cores end on the same target, bit for bit", (kernels) => {
  const shifted = createSystem(lennardJones(13, "shifted"));
  const beutler = createSystem(lennardJones(13, "beutler"));
  const x = scattered(shifted, 8, 3);
  assert.deepEqual(fast(kernels, shifted, x, 8, 1), fast(kernels, beutler, x, 8, 1));
  assert.notDeepEqual(fast(kernels, shifted, x, 8, 0.9), fast(kernels, beutler, x, 8, 0.9));
});

eachVariant(
  "pairEnergies: a sum over 4000 particles keeps its digits (two-level sums)",
  (kernels) => {
    // Most of the 8 million pairs are far apart: u → −2 ε r⁻⁶ adds tiny numbers to a large sum.
    const config = lennardJones(4000, "beutler");
    const system = createSystem({ ...config, oscillator: 0 } as SystemConfig);
    const x = scattered(system, 1, 8, 0.02);
    const exact = system.energy(x);
    const got = fast(kernels, system, x, 1, 1).energies[0];
    assert.ok(
      Math.abs(got / exact - 1) < tolerances.pairEnergySum.value,
      `${kernels.variant}: ${got}, exact ${exact}`,
    );
  },
);

for (const [name, family] of Object.entries(families)) {
  eachGpu(`pairEnergies: ${name} agrees with float64 at all N and t`, async (kernels) => {
    for (const N of [2, 4, 13, 55, 70]) {
      const config = family(N);
      const system = createSystem(config);
      const { dimension: n } = system;
      const size = N * n;
      const count = 5;
      const x = scattered(system, count, 100 + N);
      for (const t of [0, 0.3, 1]) {
        const exact = pairEnergies(system, x, count, Math.fround(t));
        const got = await kernels.pairEnergies(system, Float32Array.from(x), count, t);
        for (let s = 0; s < count; s++) {
          const scale = scales(config, x.subarray(s * size, (s + 1) * size), n, t);
          const error = Math.abs(got.values[s] - exact.energies[s]) / scale.energy;
          assert.ok(error <= tolerances.pairEnergies.value, `N=${N} t=${t}: energy, ${error}`);
          for (let a = 0; a < size; a++) {
            const at = s * size + a;
            const difference = Math.abs(got.gradients[at] - exact.gradients[at]) /
              scale.forces[Math.floor(a / n)];
            assert.ok(
              difference <= tolerances.pairGradients.value,
              `N=${N} t=${t}: gradient[${a}], error ${difference}`,
            );
          }
        }
      }
    }
  });
}

eachGpu("pairEnergies: collisions and NaN stay in their own system", async (kernels) => {
  for (const family of Object.values(families)) {
    const system = createSystem(family(5));
    const size = 5 * system.dimension;
    const x = Float32Array.from(scattered(system, 4, 77));
    const clean = await kernels.pairEnergies(system, x, 4, 1);
    for (const bad of [0, NaN]) {
      const spoiled = x.slice();
      // All particles of the second system in one place, or nowhere.
      spoiled.fill(bad, size, 2 * size);
      const got = await kernels.pairEnergies(system, spoiled, 4, 1);
      assert.ok(!got.gradients.subarray(size, 2 * size).every(Number.isFinite));
      for (const s of [0, 2, 3]) {
        assert.equal(got.values[s], clean.values[s]);
        assert.deepEqual(
          got.gradients.slice(s * size, (s + 1) * size),
          clean.gradients.slice(s * size, (s + 1) * size),
        );
      }
    }
  }
});

/**
 * Sequential Monte Carlo on clusters, one core: gradient evaluations per second of whole islands (prior
 * draws, random numbers, moves, weights, resampling, float64 energies at the end) over those of the raw
 * pair-energy-and-gradient kernel on the same number of systems; both kernels, without and with the pair
 * flow, whose sweeps are no gradients: what one costs is printed in units of them.
 */
import { LANES } from "../src/backends/backend.ts";
import { createExecutor } from "../src/backends/create.ts";
import { loadKernels } from "../src/backends/wasm/module.ts";
import type { LennardJonesConfig } from "../src/config/config.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { clusterPath, type ClusterPathOptions } from "../src/path/cluster.ts";
import { levelCount } from "../src/path/model.ts";
import { identityFlow } from "../src/path/flow.ts";
import { gradientsPerSample, type PathModel } from "../src/path/model.ts";
import type { BenchReport } from "./harness.ts";

const cluster = (particles: number): LennardJonesConfig => ({
  kind: "lennard_jones",
  particles,
  epsilon: 2,
  oscillator: 1,
  softCore: { kind: "beutler", alpha: 0.5 },
});

/** Particles, population and path: as many levels as the methods have by default. */
const shapes: [number, number, ClusterPathOptions][] = [
  [13, 1000, { kernel: "underdamped", levels: 100 }],
  [13, 400, { kernel: "adjusted", levels: 200, leapfrogs: 4 }],
  [55, 100, { kernel: "underdamped", levels: 400 }],
  [55, 40, { kernel: "adjusted", levels: 400, leapfrogs: 4 }],
];

export async function run(report: BenchReport): Promise<void> {
  report("SMC: one core; gradient evaluations per second, against the raw pair kernel");
  const { exports, memory } = await loadKernels();
  for (const [particles, population, options] of shapes) {
    const system = cluster(particles);
    const path = clusterPath(system, options);
    const gradients = population * gradientsPerSample(path);
    const island = async (path: PathModel) => {
      const executor = await createExecutor("wasm");
      executor.prepare({ system, mint: null, julep: null, path });
      return () => void executor.island({ seed: 1, island: 0, population, threshold: 0.7 });
    };
    const flow = identityFlow(levelCount(path), 900, 0.01);
    const random = new RandomStream(1, Stream.test, 0);
    const blocks = 16;
    const size = 3 * particles;
    const x = memory.alloc(16 * blocks * size);
    const gradient = memory.alloc(16 * blocks * size);
    const energies = memory.alloc(16 * blocks);
    const parameters = memory.alloc(16);
    const positions = memory.f32(x, blocks * size * LANES);
    for (let a = 0; a < positions.length; a++) positions[a] = random.normal();
    memory.f32(parameters, 3).set([2, 1, 0.5]);
    const calls = Math.round(gradients / (blocks * LANES));
    const { rates } = report.compare(`N=${particles} ${options.kernel}, ${options.levels} levels`, {
      "SMC": await island(path),
      "raw kernel": () => {
        for (let call = 0; call < calls; call++) {
          exports.pairEnergiesBatch(
            2,
            parameters,
            x,
            gradient,
            energies,
            particles,
            3,
            0.5,
            blocks,
          );
        }
      },
      "SMC with pair flow": await island({ ...path, flow }),
    }, { unit: "M gradients/s", work: gradients / 1e6 });
    const raw = rates["raw kernel"];
    const withFlow = rates["SMC with pair flow"];
    const perLevel = gradientsPerSample(path) / levelCount(path);
    const sweep = perLevel * raw * (1 / withFlow - 1 / rates.SMC);
    report(
      `  with pair flow ${(withFlow / raw).toFixed(2)} x raw kernel; ` +
        `a sweep of the flow costs ${sweep.toFixed(1)} gradients`,
    );
  }
}

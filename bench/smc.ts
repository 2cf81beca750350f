/**
 * Sequential Monte Carlo on clusters, one core: gradient evaluations per second of whole islands (prior
 * draws, random numbers, levels, weights, resampling, adjusted moves, float64 energies at the end) over
 * those of the raw pair-energy-and-gradient kernel on as many systems. Both kernels; underdamped levels with
 * adjusted moves after every resampling, and bare; without and with the pair flow, whose sweeps are no
 * gradients: what one costs is printed in units of them.
 */
import { LANES } from "../src/backends/backend.ts";
import { createExecutor } from "../src/backends/create.ts";
import { loadKernels } from "../src/backends/wasm/module.ts";
import type { LennardJonesConfig } from "../src/config/config.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { clusterPath, type ClusterPathOptions } from "../src/path/cluster.ts";
import { identityFlow } from "../src/path/flow.ts";
import { levelCount, type PathModel } from "../src/path/model.ts";
import type { BenchReport } from "./harness.ts";

const cluster = (particles: number): LennardJonesConfig => ({
  kind: "lennard_jones",
  particles,
  epsilon: 2,
  oscillator: 1,
  softCore: { kind: "beutler", alpha: 0.5 },
});

/** Where log Z of LJ-13 was least uncertain for its time (docs/method.md section 4). */
const moves = { transitions: 1, leapfrogs: 8, stepFactor: 1.2 };

/**
 * Particles, population and path: as many levels as the methods have by default. The last two have the
 * confinement that saturates, which the raw kernel has not.
 */
const shapes: [number, number, ClusterPathOptions][] = [
  [13, 1000, { kernel: "underdamped", levels: 100 }],
  [13, 400, { kernel: "adjusted", levels: 200, leapfrogs: 4 }],
  [55, 100, { kernel: "underdamped", levels: 400 }],
  [55, 40, { kernel: "adjusted", levels: 400, leapfrogs: 4 }],
  [13, 1000, { kernel: "underdamped", levels: 100, variant: "two_sided" }],
  [13, 400, { kernel: "adjusted", levels: 200, leapfrogs: 4, variant: "two_sided" }],
];

export async function run(report: BenchReport): Promise<void> {
  report("SMC: one core; gradient evaluations per second, against the raw pair kernel");
  const { exports, memory } = await loadKernels();
  for (const [particles, population, options] of shapes) {
    const system = cluster(particles);
    const path = clusterPath(system, options);
    const levels = levelCount(path);
    const moving = options.kernel === "underdamped";
    const jobs: Record<string, () => void> = {};
    const work: Record<string, number> = {};
    const island = async (name: string, path: PathModel, moving: boolean) => {
      const executor = await createExecutor("wasm");
      executor.prepare({ system, mint: null, julep: null, path });
      const job = {
        seed: 1,
        island: 0,
        population,
        threshold: 0.7,
        ...(moving ? { moves } : {}),
      };
      // How many gradients depends on how often it resamples.
      work[name] = (await executor.island(job)).cost.gradients / 1e6;
      jobs[name] = () => void executor.island(job);
    };
    await island("SMC", path, moving);
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
    const calls = Math.round(1e6 * work.SMC / (blocks * LANES));
    const rawKernel = "raw kernel";
    work[rawKernel] = calls * blocks * LANES / 1e6;
    jobs[rawKernel] = () => {
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
    };
    const flowing = "SMC with pair flow";
    await island(flowing, { ...path, flow: identityFlow(levels, 900, 0.01) }, moving);
    const bare = "SMC without moves";
    if (moving) await island(bare, path, false);
    const what = moving
      ? ` + ${moves.transitions} x ${moves.leapfrogs} leapfrogs after each resampling`
      : "";
    const { rates } = report.compare(
      `N=${particles} ${options.kernel}${
        path.levels.kind === "pair_path" && path.levels.saturation ? ", saturating" : ""
      }, ${options.levels} levels${what}`,
      jobs,
      { unit: "M gradients/s", work },
    );
    const raw = rates[rawKernel];
    const sweeps = population * levels / 1e6;
    const sweep = raw * (work[flowing] / rates[flowing] - work.SMC / rates.SMC) / sweeps;
    report(
      (moving ? `  without moves ${(rates[bare] / raw).toFixed(2)} x raw kernel;` : " ") +
        ` with pair flow ${(rates[flowing] / raw).toFixed(2)} x raw kernel;` +
        ` a sweep of the flow costs ${sweep.toFixed(1)} gradients`,
    );
  }
}

/** The real backends behind the pool: bit for bit what one executor gives, for any pool size. */
import assert from "node:assert/strict";
import type {
  BackendName,
  Executor,
  GradientJob,
  Problem,
  TrajectoryJob,
} from "../../src/backends/backend.ts";
import { createExecutor } from "../../src/backends/create.ts";
import { preset } from "../../src/config/presets.ts";
import { uniformTimes } from "../../src/julep/schedule.ts";
import { initialiseJulep } from "../../src/julep/train.ts";
import { RandomStream, Stream } from "../../src/math/random.ts";
import { initialiseMint } from "../../src/mint/start.ts";
import { createSystem } from "../../src/systems/create.ts";
import { chunks, ExecutorPool } from "../../src/workers/pool.ts";
import { execute, type Job, type JobName, type Result } from "../../src/workers/job.ts";

const STEPS = 5;
const COUNT = 30; // The last block is not full.

function problem(): Problem {
  const config = preset("dw4");
  config.mint.components = 4;
  config.julep.network.hidden = 16;
  const system = createSystem(config.system);
  const julep = initialiseJulep(system, config.julep, 4);
  const random = new RandomStream(11, Stream.test, 0);
  return {
    system: config.system,
    mint: initialiseMint(system, config.mint, 4),
    julep: { ...julep, parameters: julep.parameters.map((p) => p + 0.02 * random.normal()) },
  };
}

type RunAll = <K extends JobName>(name: K, jobs: Job<K>[]) => Promise<Result<K>[]>;

const windows = (count: number) =>
  Int32Array.from({ length: 2 * Math.ceil(count / 4) }, (_, i) => i % 2 ? STEPS - 1 : 1);

/** One job of every kind on every chunk of the samples; everything that comes back. */
async function everything(runAll: RunAll): Promise<unknown[]> {
  const ranges = chunks(4, COUNT, 8).map((range) => ({ seed: 5, ...range }));
  const times = uniformTimes(STEPS);
  const draws = await runAll("drawPrior", ranges.map((r) => ({ ...r, stream: Stream.prior })));
  const { count, positions } = { count: 8, positions: draws[0].positions.slice() };
  const density = await runAll("priorLogDensity", [{ count, positions }]);
  const energies = await runAll("energies", [{ count, positions, t: 0.5 }]);
  const weights = new Float64Array(count).fill(1 / count);
  const mint = await runAll("mintGradient", [{ count, positions, weights }]);
  const forward = await runAll(
    "trajectories",
    ranges.map((range): TrajectoryJob => ({
      ...range,
      times,
      direction: "forward",
      keep: true,
      windows: windows(range.count),
    })),
  );
  const backward = await runAll("trajectories", [
    { seed: 5, first: 0, count, times, direction: "backward", positions, keep: false },
  ]);
  const gradients = await runAll(
    "trajectoryGradient",
    forward.map((path, k): GradientJob => ({
      ...ranges[k],
      times,
      states: path.states!.slice(),
      forces: path.forces!.slice(),
      coefficients: path.increments!.map((w) => w / 100),
      stepCoefficients: path.increments!.map((w) => w / 100),
      windows: windows(ranges[k].count),
    })),
  );
  return [draws, density, energies, mint, forward, backward, gradients];
}

for (const backend of ["wasm", "reference"] satisfies BackendName[]) {
  Deno.test(`${backend}: 1, 2 and 3 workers give what one executor gives, to the bit`, async () => {
    const setUp = problem();
    const executor: Executor = await createExecutor(backend);
    await executor.prepare(setUp);
    const alone = await everything((name, jobs) =>
      Promise.all(jobs.map((job) => execute(executor, name, job)))
    );
    executor.dispose();
    for (const workers of [1, 2, 3]) {
      await using pool = await ExecutorPool.start({ backend, workers });
      await pool.prepare(setUp);
      assert.deepStrictEqual(await everything((name, jobs) => pool.map(name, jobs)), alone);
      const revisit = { revisit: true };
      assert.deepStrictEqual(
        await everything((name, jobs) => pool.map(name, jobs, revisit)),
        alone,
      );
    }
  });
}

/**
 * What the pool adds to a job: the round trip of an empty job, and of one that carries 1e5 float64 to
 * the worker, copied (the default) or given away (`consume`), beside a bare comlink call that clones
 * them. Wall-clock time, for waiting is what is measured; medians.
 */
import * as Comlink from "comlink";
import { preset } from "../src/config/presets.ts";
import { ExecutorPool, type Job } from "../src/workers/pool.ts";

const ROUNDS = 300, WARMUP = 50, FLOATS = 1e5;

/** A job that does nothing but carry `floats` numbers to the worker: the energies of no sample. */
function carry(floats: number): Job<"energies"> {
  return { count: 0, positions: new Float64Array(floats), t: 1 };
}

async function medians(
  jobs: readonly { prepare(): () => Promise<unknown> }[],
): Promise<number[]> {
  const times = jobs.map(() => [] as number[]);
  for (let round = -WARMUP; round < ROUNDS; round++) {
    for (const [k, job] of jobs.entries()) {
      const call = job.prepare();
      const start = performance.now();
      await call();
      if (round >= 0) times[k].push(1000 * (performance.now() - start));
    }
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}

/** Prints one line for each way of asking. */
export async function run(report: (line: string) => void): Promise<void> {
  await using pool = await ExecutorPool.start({ backend: "wasm", workers: 1 });
  await pool.prepare({ system: preset("dw4").system, mint: null, julep: null });
  const code = `import * as Comlink from ${JSON.stringify(import.meta.resolve("comlink"))};
    Comlink.expose({ take: () => 0 });`;
  const bareWorker = new Worker(
    `data:application/javascript,${encodeURIComponent(code)}`,
    { type: "module" },
  );
  const bare = Comlink.wrap<{ take(x: Float64Array): number }>(bareWorker);
  const empty = new Float64Array(0);
  const names = [
    "bare comlink call",
    "empty job",
    "copied",
    "given away",
    "cloned by bare comlink",
  ];
  const [call, round, copied, given, cloned] = await medians([
    { prepare: () => () => bare.take(empty) },
    { prepare: () => () => pool.run("energies", carry(0)) },
    {
      prepare() {
        const job = carry(FLOATS);
        return () => pool.run("energies", job);
      },
    },
    {
      prepare() {
        const job = carry(FLOATS);
        return () => pool.run("energies", job, { consume: ["positions"] });
      },
    },
    {
      prepare() {
        const { positions } = carry(FLOATS);
        return () => bare.take(positions);
      },
    },
  ]).finally(() => bareWorker.terminate());
  report("pool: one job on one worker, wall-clock medians");
  report(
    `  ${(round / call).toFixed(2)} x a bare comlink call: ${names[1]}, ${round.toFixed(0)} us`,
  );
  [copied, given, cloned].forEach((time, k) =>
    report(
      `  ${(time / round).toFixed(2)} x an empty job: ${FLOATS} float64 ${names[k + 2]}, ` +
        `${time.toFixed(0)} us`,
    )
  );
  report(`  5 % of a job of ${(20 * round / 1000).toFixed(1)} ms is its round trip`);
}

if (import.meta.main) await run(console.log);

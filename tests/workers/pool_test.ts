import assert from "node:assert/strict";
import type { Problem } from "../../src/backends/backend.ts";
import { preset } from "../../src/config/presets.ts";
import { AbortedError, InputError } from "../../src/errors.ts";
import type { MintModel } from "../../src/mint/model.ts";
import { chunks, ExecutorPool, type Job, WorkerLostError } from "../../src/workers/pool.ts";
import { behaviours } from "./fake_worker.ts";

const workerUrl = new URL("./fake_worker.ts", import.meta.url);

/** Counts workers, to see that none is left behind. */
class CountingWorker extends Worker {
  static readonly alive = new Set<Worker>();
  static made = 0;
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    CountingWorker.made++;
    CountingWorker.alive.add(this);
  }
  override terminate(): void {
    CountingWorker.alive.delete(this);
    super.terminate();
  }
}
globalThis.Worker = CountingWorker;

/**
 * A problem whose parameters are shared memory: [0] names the problem, [1] counts what the worker's
 * behaviour counts, across workers that come and go.
 */
function problem(mark = 0): { problem: Problem; shared: Float64Array } {
  const shared = new Float64Array(new SharedArrayBuffer(24));
  shared[0] = mark;
  const mint = { parameters: shared } as unknown as MintModel;
  return { problem: { system: preset("dw4").system, mint, julep: null }, shared };
}

async function start(workers: number, notes: string[] = []): Promise<ExecutorPool> {
  const pool = await ExecutorPool.start({
    backend: "reference",
    workers,
    workerUrl,
    progress: { note: (line) => notes.push(line) },
  });
  await pool.prepare(problem().problem);
  return pool;
}

const job = (seed: number, first = 0, count = 4): Job<"drawPrior"> => ({
  seed,
  stream: 1,
  first,
  count,
});

Deno.test("map() gives results in job order, the same for any number of workers", async () => {
  const jobs = chunks(8, 50, 4).map(({ first, count }) =>
    job(first % 16 === 0 ? behaviours.slow : behaviours.normal, first, count)
  );
  const drawn: number[][] = [];
  for (const workers of [1, 2, 3]) {
    await using pool = await start(workers);
    assert.equal(pool.workers, workers);
    const seen: number[] = [];
    const results = await pool.map("drawPrior", jobs, {
      onResult: (index, result) => {
        assert.equal(result.logDensity[0], 8 + 4 * index);
        seen.push(index);
      },
    });
    assert.deepEqual([...seen].sort((a, b) => a - b), jobs.map((_, i) => i));
    drawn.push(results.flatMap((r) => [...r.logDensity]));
  }
  assert.deepEqual(drawn[0], Array.from({ length: 50 }, (_, i) => 8 + i));
  assert.deepEqual(drawn[1], drawn[0]);
  assert.deepEqual(drawn[2], drawn[0]);
});

Deno.test("jobs see the problem that was current when they were asked for", async () => {
  await using pool = await start(2);
  const one = problem(1).problem;
  await pool.prepare(one);
  const early = Array.from({ length: 6 }, () => pool.run("drawPrior", job(behaviours.slow)));
  await pool.prepare(problem(2).problem);
  const late = Array.from({ length: 6 }, () => pool.run("drawPrior", job(behaviours.normal)));
  assert.deepEqual((await Promise.all(early)).map((r) => r.energies[0]), [1, 1, 1, 1, 1, 1]);
  assert.deepEqual((await Promise.all(late)).map((r) => r.energies[0]), [2, 2, 2, 2, 2, 2]);
});

Deno.test("prepare() keeps a copy: later changes of the caller's arrays have no effect", async () => {
  await using pool = await start(1);
  const mine = problem().problem;
  const parameters = Float64Array.of(5, 0, 0);
  const own = { ...mine, mint: { ...mine.mint!, parameters } };
  await pool.prepare(own);
  parameters[0] = 6;
  await assert.rejects(pool.run("drawPrior", job(behaviours.trap)), WorkerLostError);
  const { energies } = await pool.run("drawPrior", job(behaviours.normal)); // In a new worker.
  assert.equal(energies[0], 5);
});

Deno.test("a trap takes the worker down: a new one does the job again, once", async () => {
  const notes: string[] = [];
  await using pool = await start(2, notes);
  const { problem: counting, shared } = problem(3);
  await pool.prepare(counting);
  const results = await pool.map("drawPrior", [
    job(behaviours.normal, 0),
    job(behaviours.trapOnce, 4),
    job(behaviours.normal, 8),
  ]);
  assert.deepEqual(results.map((r) => r.logDensity[0]), [0, 4, 8]);
  assert.deepEqual(results.map((r) => r.energies[0]), [3, 3, 3]); // The new one was prepared.
  assert.equal(shared[1], 2);
  assert.equal(notes.length, 1);
  assert.match(notes[0], /^worker \d was lost \(unreachable\)$/);
});

Deno.test.each([
  ["trap", behaviours.trap, /unreachable/],
  ["uncaught error", behaviours.uncaught, /uncaught in the worker/],
])("a job that always dies of %s rejects naming it; the pool goes on", async (_, seed, why) => {
  await using pool = await start(2);
  const { problem: counting, shared } = problem();
  await pool.prepare(counting);
  await assert.rejects(pool.run("drawPrior", job(seed, 64, 8)), (error: Error) => {
    assert.ok(error instanceof WorkerLostError);
    assert.match(error.message, /drawPrior of samples 64 to 71/);
    assert.match(error.message, why);
    return true;
  });
  assert.equal(shared[1], 2);
  const after = await pool.map("drawPrior", chunks(0, 32, 4).map((c) => job(1, c.first, c.count)));
  assert.deepEqual(after.map((r) => r.logDensity[0]), [0, 4, 8, 12, 16, 20, 24, 28]);
});

Deno.test("errors keep class and message, and are not tried again", async () => {
  await using pool = await start(2);
  const cases = [
    [behaviours.inputError, InputError, "--samples: cannot be 0"],
    [behaviours.rangeError, RangeError, "too far"],
    [behaviours.abortedError, AbortedError, "enough"],
    [behaviours.closeItself, Error, "a pool's worker must not close itself"],
    [behaviours.thrownString, Error, "a plain string"],
    [behaviours.notCloneable, TypeError, "Unserializable return value"],
  ] as const;
  for (const [seed, kind, message] of cases) {
    const error = await pool.run("drawPrior", job(seed)).then(() => null, (e) => e);
    assert.ok(error instanceof kind, `${error}`);
    assert.equal(error.message, message);
  }
  assert.equal((await pool.run("drawPrior", job(behaviours.normal))).logDensity.length, 4);
});

Deno.test("a failing job ends its map and leaves the pool usable", async () => {
  await using pool = await start(2);
  let taken = 0;
  function* jobs() {
    for (let first = 0; first < 4000; first += 4) {
      taken++;
      yield job(first === 20 ? behaviours.inputError : behaviours.normal, first);
    }
  }
  await assert.rejects(pool.map("drawPrior", jobs()), InputError);
  assert.ok(taken < 100, `${taken} jobs were taken`); // Jobs are not made long before their time.
  await assert.rejects(
    pool.map("drawPrior", [job(1), job(1)], {
      onResult: () => {
        throw new RangeError("from the caller");
      },
    }),
    RangeError,
  );
  assert.equal((await pool.map("drawPrior", [])).length, 0);
  assert.equal((await pool.run("drawPrior", job(1))).logDensity.length, 4);
});

Deno.test("an error in prepare() is the caller's, and no job runs on the old problem", async () => {
  await using pool = await start(2);
  const bad = problem().problem;
  const broken = { ...bad, system: { ...bad.system, particles: 0 } } as Problem;
  await assert.rejects(pool.prepare(broken), InputError);
  await assert.rejects(pool.run("drawPrior", job(1)), InputError);
  await pool.prepare(bad);
  await pool.run("drawPrior", job(1));
});

Deno.test("an abort settles every pending call at once; workers are kept", async () => {
  await using pool = await start(2);
  const made = CountingWorker.made;
  const controller = new AbortController();
  let done = 0;
  const slow = Array.from({ length: 40 }, (_, i) => job(behaviours.slow, 4 * i));
  const mapped = pool.map("drawPrior", slow, {
    signal: controller.signal,
    onResult: () => {
      if (++done === 2) controller.abort();
    },
  });
  const single = pool.run("drawPrior", job(behaviours.slow), { signal: controller.signal });
  const unrelated = pool.run("drawPrior", job(behaviours.slow, 400));
  const settled = await Promise.allSettled([mapped, single, unrelated]);
  assert.deepEqual(settled.map((s) => s.status), ["rejected", "rejected", "fulfilled"]);
  for (const s of settled.slice(0, 2)) {
    assert.ok((s as PromiseRejectedResult).reason instanceof AbortedError);
  }
  assert.ok(done < 10);
  await assert.rejects(
    pool.run("drawPrior", job(1), { signal: AbortSignal.abort() }),
    AbortedError,
  );
  await pool.map("drawPrior", [job(1), job(1), job(1)]);
  assert.equal(CountingWorker.made, made);
});

Deno.test("with `revisit` a job goes to the worker that did it before, if that is free", async () => {
  await using pool = await start(2);
  const who = async (options = {}) => {
    const [drawn] = await pool.map("drawPrior", [job(behaviours.tellWorker)], options);
    return drawn.energies[0];
  };
  const first = await who();
  // While the first worker is busy the other one takes the job, and keeps it when both are free.
  const busy = pool.run("drawPrior", job(behaviours.slow));
  const second = await who({ revisit: true });
  assert.notEqual(second, first);
  await busy;
  assert.equal(await who(), first);
  assert.equal(await who({ revisit: true }), second);
  // Busy in its turn, it does not keep the job waiting.
  const others = [job(behaviours.slow), job(behaviours.slow)].map((j) => pool.run("drawPrior", j));
  await others[0];
  await who({ revisit: true });
  await Promise.all(others);
});

Deno.test("arrays named in `consume` are emptied; others are copied, also views", async () => {
  await using pool = await start(1);
  const gradient = (states: Float32Array, times: Float64Array): Job<"trajectoryGradient"> => ({
    seed: 1,
    first: 0,
    count: 1,
    times,
    states,
    forces: new Float32Array(1),
    coefficients: new Float64Array(1),
    stepCoefficients: new Float64Array(1),
    windows: Int32Array.of(0, 1),
  });
  const buffer = Float32Array.of(9, 1, 2, 3, 9);
  const times = Float64Array.of(0, 1);
  const view = await pool.run("trajectoryGradient", gradient(buffer.subarray(1, 4), times));
  assert.deepEqual([...view.parameters], [1, 2, 3]);
  assert.deepEqual([...buffer], [9, 1, 2, 3, 9]);

  const states = Float32Array.of(4, 5);
  const [consumed] = await pool.map("trajectoryGradient", [gradient(states, times)], {
    consume: ["states"],
  });
  assert.deepEqual([...consumed.parameters], [4, 5]);
  assert.equal(states.buffer.byteLength, 0);
  assert.equal(states.length, 0);
  assert.deepEqual([...times], [0, 1]);
  // Given away twice: refused, not computed with an empty array.
  await assert.rejects(
    pool.run("trajectoryGradient", gradient(states, times), { consume: ["states"] }),
    /detached|DataClone/i,
  );
});

Deno.test("results are given away by the worker, not copied", async () => {
  await using pool = await start(1);
  const { logDensity, positions } = await pool.run("drawPrior", job(1, 8, 4));
  assert.deepEqual([...logDensity], [8, 9, 10, 11]);
  assert.deepEqual([...positions], [1, 1, 1, 1]);
  assert.equal(positions.buffer.byteLength, 32); // Its own buffer, not the worker's 64 KiB memory.
  const dummy = { count: 0, positions: new Float64Array(0), weights: new Float64Array(0) };
  const [left] = await pool.run("mintGradient", dummy);
  assert.equal(left, 0, "bytes of its result that the worker still holds");
});

Deno.test("a consumed job whose worker dies rejects: its arguments are gone", async () => {
  await using pool = await start(1);
  const { problem: counting, shared } = problem();
  await pool.prepare(counting);
  await assert.rejects(
    pool.run("drawPrior", job(behaviours.trap), { consume: ["seed"] }),
    /drawPrior of samples 0 to 3 lost its worker, and its arguments with it: unreachable/,
  );
  assert.equal(shared[1], 1);
});

Deno.test("disposal settles pending calls, ends all workers, and ends them once", async () => {
  const alive = CountingWorker.alive.size;
  const pool = await start(3);
  assert.equal(CountingWorker.alive.size, alive + 3);
  const pending = Array.from({ length: 9 }, () => pool.run("drawPrior", job(behaviours.slow)));
  const settled = Promise.allSettled(pending);
  await pool[Symbol.asyncDispose]();
  for (const s of await settled) {
    assert.equal(s.status, "rejected");
    assert.ok((s as PromiseRejectedResult).reason instanceof AbortedError);
  }
  assert.equal(CountingWorker.alive.size, alive);
  await pool[Symbol.asyncDispose]();
  await assert.rejects(pool.run("drawPrior", job(1)), /the pool is closed/);
  await assert.rejects(pool.prepare(problem().problem), /the pool is closed/);
  assert.equal(CountingWorker.alive.size, alive);
});

Deno.test("what cannot be started says why and leaves no worker behind", async () => {
  const alive = CountingWorker.alive.size;
  const from = (options: Partial<Parameters<typeof ExecutorPool.start>[0]>) =>
    ExecutorPool.start({ backend: "reference", workers: 2, workerUrl, ...options });
  await assert.rejects(from({ backend: "wasm" }), (error: Error) => {
    assert.ok(error instanceof InputError);
    assert.match(error.message, /this machine has no SIMD/);
    return true;
  });
  await assert.rejects(
    from({ workerUrl: new URL("./no_such_worker.ts", import.meta.url) }),
    (error: Error) => error instanceof WorkerLostError && /cannot start/.test(error.message),
  );
  for (const workers of [0, -1, 1.5, NaN, 1e99]) {
    await assert.rejects(from({ workers }), (error: Error) => {
      assert.ok(error instanceof InputError);
      assert.ok(error.message.includes(String(workers)));
      return true;
    });
  }
  assert.equal(CountingWorker.alive.size, alive);
  await using pool = await from({ workers: 1 });
  await assert.rejects(pool.run("drawPrior", job(1)), /not prepared/);
});

Deno.test("a process ends by itself after its pool was closed with jobs in hand", async () => {
  const code = `
    import { ExecutorPool } from ${
    JSON.stringify(import.meta.resolve("../../src/workers/pool.ts"))
  };
    await using pool = await ExecutorPool.start({ backend: "reference", workers: 2,
      workerUrl: new URL(${JSON.stringify(workerUrl.href)}) });
    const shared = new Float64Array(new SharedArrayBuffer(24));
    await pool.prepare({ system: { particles: 4 }, mint: { parameters: shared }, julep: null });
    for (let first = 0; first < 40; first += 4) {
      pool.run("drawPrior", { seed: ${behaviours.slow}, first, count: 4 })
        .catch((error) => console.log(error.name));
    }
    while (shared[1] < 2) await new Promise((resolve) => setTimeout(resolve, 1));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    cwd: new URL("../../", import.meta.url),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(code));
  await writer.close();
  const killer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const { success, stdout } = await child.output();
  clearTimeout(killer);
  assert.ok(success);
  // Those in hand and those that waited, all but what was done by then.
  assert.match(new TextDecoder().decode(stdout), /^(AbortedError\n){2,10}$/);
});

Deno.test("chunks() covers the samples in order and keeps blocks whole", () => {
  assert.deepEqual(chunks(8, 10, 4), [
    { first: 8, count: 4 },
    { first: 12, count: 4 },
    { first: 16, count: 2 },
  ]);
  assert.deepEqual(chunks(0, 0, 4), []);
  assert.throws(() => chunks(0, 8, 6), /multiple of 4, got 6/);
  assert.throws(() => chunks(2, 8, 4), /multiple of 4, got 2/);
  assert.throws(() => chunks(0, -1, 4), RangeError);
  assert.throws(() => chunks(0, 4, 0), RangeError);
});

/**
 * Usage: deno task bench training, or alone deno run -A bench/training.ts [threads [system ...]].
 *
 * One Julep training iteration, 100 samples x 100 steps, gradient of all steps: ours, PyTorch's and
 * JAX's on the same cores, in turns within one run. Ratios are a peer's median time over ours, wall
 * clock first: above 1 ours is the faster one.
 */
import process from "node:process";
import type { RunConfig } from "../src/config/config.ts";
import { preset } from "../src/config/presets.ts";
import { initialiseJulep, JulepTraining } from "../src/julep/train.ts";
import { initialiseMint } from "../src/mint/start.ts";
import { RunJobs } from "../src/run/jobs.ts";
import { createSystem } from "../src/systems/create.ts";
import { ExecutorPool } from "../src/workers/pool.ts";
import { Peer, type PeerOptions, type Timing } from "./peers.ts";

/** Timed iterations; odd, so that the median is one of them. */
const ROUNDS: Record<string, number> = { dw4: 7, lj13: 3 };
/** Scripts in peers/ and how they run; PyTorch both as most people use it and at its best. */
const PEERS = [
  ["torch_iteration.py", "eager"],
  ["torch_iteration.py", "compile"],
  ["jax_iteration.py", "auto"],
] as const;
/** `System.components` of dw4 in peers/common.py. */
const PEER_COMPONENTS = 24;
/** Threads of a framework spin for a while after their work: the next in turn waits this long. */
const PAUSE_MS = 400;

interface Contender extends AsyncDisposable {
  readonly name: string;
  iteration(): Promise<Timing>;
}

/**
 * The iteration of `train` itself, by the public pieces, on a pool of `threads` workers; on a GPU, one of
 * `readBackEvery` that are done between two read-backs.
 */
export async function ourIteration(
  options: PeerOptions,
  backend: "wasm" | "webgpu" = "wasm",
  readBackEvery = 1,
): Promise<Contender> {
  const start: RunConfig = preset(options.system);
  const config = {
    ...start.julep,
    steps: options.steps,
    samples: options.samples,
    gradientFraction: options.gradientFraction,
    loss: "per_step",
    tilt: 0,
  } as const;
  const system = createSystem(start.system);
  const pool = await ExecutorPool.start({
    backend,
    workers: backend === "webgpu" ? 1 : options.threads,
  });
  const jobs = new RunJobs(pool, start.system);
  // As many components as the peers' prior has, whatever the preset's number is.
  const components = Math.min(start.mint.components, PEER_COMPONENTS);
  jobs.mint = initialiseMint(system, { ...start.mint, components }, start.seed);
  const training = new JulepTraining(
    initialiseJulep(system, config, start.seed),
    config,
    start.seed,
  );
  const iteration = async () => {
    const before = process.cpuUsage();
    const from = performance.now();
    const reports = await training.advance(jobs, readBackEvery);
    const seconds = (performance.now() - from) / 1000;
    const { user, system } = process.cpuUsage(before);
    if (reports.some(({ dropped }) => dropped === options.samples)) {
      throw new Error("all trajectories were lost");
    }
    const each = reports.length;
    return { seconds: seconds / each, cpuSeconds: (user + system) / 1e6 / each };
  };
  for (let k = 0; k < 2; k++) await iteration();
  return { name: "ours", iteration, [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() };
}

async function peerContender(
  script: string,
  mode: string,
  options: PeerOptions,
): Promise<Contender | string> {
  const peer = await Peer.start(script, options, mode);
  if (typeof peer === "string") return peer;
  const { framework, version, compileSeconds } = peer.info;
  return {
    name: `${framework} ${version} (${peer.info.mode}; first iteration ${
      compileSeconds.toFixed(0)
    } s)`,
    iteration: () => peer.iteration(),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/**
 * Prints one line for each peer and system, ratios first. One thread and its CPU time is the
 * comparison that a busy machine does not spoil; more threads, by the wall clock, need a quiet one.
 */
export async function run(
  report: (line: string) => void,
  systems: readonly string[] = ["dw4", "lj13"],
  threads: number = Math.min(2, navigator.hardwareConcurrency),
): Promise<void> {
  for (const system of systems) {
    const options = { system, samples: 100, steps: 100, threads, gradientFraction: 1 };
    await using stack = new AsyncDisposableStack();
    const contenders = [stack.use(await ourIteration(options))];
    const absent: string[] = [];
    for (const [script, mode] of PEERS) {
      const peer = await peerContender(script, mode, options);
      if (typeof peer === "string") absent.push(`${script} ${mode}: no peer here: ${peer}`);
      else contenders.push(stack.use(peer));
    }
    const timings = contenders.map((): Timing[] => []);
    for (let round = 0; round < (ROUNDS[system] ?? 3); round++) {
      for (const [k, contender] of contenders.entries()) {
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        timings[k].push(await contender.iteration());
      }
    }
    const wall = timings.map((t) => median(t.map((x) => x.seconds)));
    const cpu = timings.map((t) => median(t.map((x) => x.cpuSeconds)));
    report(
      `training ${system}: 100 samples x 100 steps, ${threads} threads, ours ` +
        `${wall[0].toFixed(2)} s (CPU ${cpu[0].toFixed(2)} s)`,
    );
    for (let k = 1; k < contenders.length; k++) {
      report(
        `  ${(wall[k] / wall[0]).toFixed(2)} x ours (CPU ${(cpu[k] / cpu[0]).toFixed(2)})  ` +
          `${contenders[k].name}: ${wall[k].toFixed(2)} s`,
      );
    }
    for (const line of absent) report(`  ${line}`);
  }
}

if (import.meta.main) {
  const [threads, ...systems] = Deno.args;
  await run(
    console.log,
    systems.length ? systems : undefined,
    threads ? Number(threads) : undefined,
  );
}

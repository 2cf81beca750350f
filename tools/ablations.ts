/**
 * What each part of the method earns on DW-4: one table, one command.
 *
 * Usage: deno task ablations [--reference REF.npy] [--samples 20000] [--seed 2666] [--only "NAME;NAME"]
 *
 * Every row changes the default preset in one place; rows share the trained prior where it is the
 * same. Path ESS is pooled over all samples; "from target" needs target samples (a .npy of your own).
 */
import { preset } from "../src/config/presets.ts";
import type { RunConfig } from "../src/config/config.ts";
import { readReference } from "../src/io/samples.ts";
import type { MintModel } from "../src/mint/model.ts";
import { RunJobs } from "../src/run/jobs.ts";
import { silent } from "../src/run/progress.ts";
import { backward, forward, priorSamples, priorWeightsAt } from "../src/run/session.ts";
import { trainJulep, trainMint } from "../src/run/stages.ts";
import { exactValues } from "../src/sampling/exact.ts";
import { essFromReference } from "../src/sampling/diagnostics.ts";
import { effectiveSampleSizeWithError, logPartitionFunction } from "../src/sampling/weights.ts";
import { createSystem } from "../src/systems/create.ts";
import { ExecutorPool } from "../src/workers/pool.ts";

function option(name: string): string | undefined {
  const at = Deno.args.indexOf(name);
  return at < 0 ? undefined : Deno.args[at + 1];
}

const off = (c: RunConfig) => {
  c.julep.network.enabled = false;
  c.julep.iterations = 100;
  c.julep.stepSize.learningRateFactor = 50;
};

const rows: [string, (c: RunConfig) => void][] = [
  ["default", () => {}],
  ["network off (control)", off],
  ["network off, ε not learned", (c) => {
    off(c);
    c.julep.stepSize.learn = false;
  }],
  ["A off", (c) => c.julep.network.matrix = "none"],
  ["the paper's A = HHᵀ", (c) => c.julep.network.matrix = "positive"],
  ["b off", (c) => c.julep.network.drift = false],
  ["c off", (c) => c.julep.network.evenDrift = false],
  ["anchor gauge", (c) => c.julep.gauge = "anchor"],
  ["loss: total", (c) => c.julep.loss = "total"],
  ["loss: per step", (c) => c.julep.loss = "per_step"],
  ["loss not tilted", (c) => c.julep.tilt = 0],
  ["random time grid", (c) => c.julep.grid = "random"],
  ["three times the training", (c) => c.julep.iterations *= 3],
  ["25 steps", (c) => c.julep.steps = 25],
  ["25 steps, network off", (c) => {
    off(c);
    c.julep.steps = 25;
  }],
  ["12 components, network off", (c) => {
    off(c);
    c.mint.components = 12;
  }],
  ["64 components, network off", (c) => {
    off(c);
    c.mint.components = 64;
  }],
  ["no symmetrisation, network off", (c) => {
    off(c);
    c.mint.symmetrise = false;
  }],
];

const seed = Number(option("--seed") ?? 2666);
const samples = Number(option("--samples") ?? 20_000);
const only = option("--only")?.split(";");
const config = preset("dw4");
const system = createSystem(config.system);
const exact = exactValues(config.system)!;
const path = option("--reference");
const all = path ? await readReference(path, system.particles, system.dimension) : null;
// Evenly spaced, as many as there are samples.
const size = system.particles * system.dimension;
const stride = all ? Math.max(1, Math.floor(all.length / size / samples)) : 1;
const reference = all?.filter((_, at) => Math.floor(at / size) % stride === 0) ?? null;

await using backend = await ExecutorPool.start({ backend: "wasm" });
const jobs = new RunJobs(backend, config.system);
const priors = new Map<string, MintModel>();
const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
console.log(`${system.definition}; seed ${seed}, ${samples} samples, ${backend.workers} workers`);
console.log(
  ["", "path ESS", "from target", "Mint alone", "from target", "log Z − exact", "train", "sample"]
    .join(" | "),
);
for (const [name, change] of rows) {
  if (only && !only.includes(name)) continue;
  const c = preset("dw4");
  change(c);
  const key = JSON.stringify(c.mint);
  let mint = priors.get(key);
  if (!mint) {
    mint = await trainMint(system, c.mint, { backend, seed });
    priors.set(key, mint);
  }
  const start = performance.now();
  const julep = await trainJulep(system, mint, c.julep, { backend, seed });
  const seconds = (performance.now() - start) / 1000;
  const sampler = { system, mint, julep, jobs, progress: silent };
  const drawn = await forward(sampler, samples, c.julep.steps, seed);
  const { ess, standardError } = effectiveSampleSizeWithError(drawn.logWeights);
  const { logZ, standardError: logZError } = logPartitionFunction(drawn.logWeights);
  const prior =
    effectiveSampleSizeWithError((await priorSamples(sampler, samples, seed)).logWeights).ess;
  let [fromTarget, priorFromTarget] = ["", ""];
  if (reference) {
    const back = await backward(sampler, reference, c.julep.steps, seed);
    const seen = essFromReference(back.logWeights, exact.logZ!.value);
    fromTarget = `${percent(seen.ess)} ± ${(100 * seen.standardError).toFixed(1)}`;
    const priorBack = await priorWeightsAt(sampler, back);
    priorFromTarget = percent(essFromReference(priorBack, exact.logZ!.value).ess);
  }
  console.log([
    name,
    `${percent(ess)} ± ${(100 * standardError).toFixed(1)}`,
    fromTarget,
    percent(prior),
    priorFromTarget,
    `${(logZ - exact.logZ!.value).toFixed(4)} ± ${logZError.toFixed(4)}`,
    `${seconds.toFixed(0)} s`,
    `${drawn.seconds.toFixed(0)} s`,
  ].join(" | "));
}

/**
 * Usage: deno task bench [group ...] [--json]
 *
 * Runs all groups or the named ones; --json also writes bench/results/<groups>.json.
 */
import type { BenchReport } from "./harness.ts";
import { createReport, figures } from "./harness.ts";
import { native } from "./native.ts";
import { peak128 } from "./peak.ts";

/** One file for each group, bench/<group>.ts with `run(report)`; loaded only when it runs. */
const GROUPS = ["pair_energies", "molecule", "tanh", "gemm", "egnn", "pool", "training", "smc"];

interface Group {
  run(report: BenchReport): Promise<void>;
}

const json = Deno.args.includes("--json");
const asked = Deno.args.filter((argument) => argument !== "--json");
const unknown = asked.find((name) => !GROUPS.includes(name));
if (unknown !== undefined) {
  console.error(`Unknown benchmark "${unknown}": the groups are ${GROUPS.join(", ")}`);
  Deno.exit(2);
}

const results: Record<string, unknown> = {};
const peak = peak128();
console.log(`128-bit FMA peak of one core: ${figures(peak.gflops)} GFLOP/s (${peak.source})\n`);
for (const name of asked.length ? asked : GROUPS) {
  const report = createReport();
  const group: Group = await import(new URL(`${name}.ts`, import.meta.url).href);
  await group.run(report);
  results[name] = { lines: report.lines, comparisons: report.comparisons };
  console.log();
}

if (json) {
  const directory = new URL("results/", import.meta.url);
  Deno.mkdirSync(directory, { recursive: true });
  const file = new URL(`${asked.length ? asked.join("-") : "all"}.json`, directory);
  const machine = {
    arch: Deno.build.arch,
    os: Deno.build.os,
    cores: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    c: native().description,
    peak128: peak,
  };
  Deno.writeTextFileSync(file, JSON.stringify({ machine, results }, null, 2) + "\n");
  console.log(`written: bench/results/${file.pathname.split("/").at(-1)}`);
}

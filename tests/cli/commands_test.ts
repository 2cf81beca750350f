/** What the commands print and write when all is well. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { VERSION } from "../../src/version.ts";
import { inFolder, mintjulep, root, trainArgs } from "./command.ts";

const exists = (path: string) => Deno.statSync(path).isFile;

Deno.test("--help and --version answer on standard output with code 0", async () => {
  const help = await mintjulep("--help");
  assert.equal(help.code, 0);
  assert.equal(help.stderr, "");
  for (const command of ["train", "sample", "evaluate", "inspect", "energy", "doctor"]) {
    assert.match(help.stdout, new RegExp(`mintjulep ${command}`));
    const own = await mintjulep(command, "--help");
    assert.equal(own.code, 0);
    assert.match(own.stdout, new RegExp(`Usage: mintjulep ${command}`));
  }
  const version = await mintjulep("--version");
  assert.deepEqual(version, { code: 0, stdout: `${VERSION}\n`, stderr: "" });
});

Deno.test("the version is that of deno.json", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  assert.equal(VERSION, config.version);
});

Deno.test("doctor tells what there is, in words and as one JSON object", async () => {
  const words = await mintjulep("doctor");
  assert.equal(words.code, 0, words.stderr);
  assert.match(words.stdout, /^Deno +\d+\.\d+\.\d+ \(V8 /m);
  assert.match(words.stdout, /^GPU adapter +\S/m);
  const json = await mintjulep("doctor", "--json");
  const findings = JSON.parse(json.stdout);
  assert.equal(findings.mintjulep, VERSION);
  assert.equal(findings.cores, navigator.hardwareConcurrency);
  assert.equal(findings.simd, true);
  const realGpu = findings.adapter !== null && !findings.adapter.software;
  assert.equal(findings.backend, realGpu ? "webgpu" : "wasm");
  assert.equal(findings.adapter === null, typeof findings.adapterMissing === "string");
});

Deno.test("train, sample and evaluate of a small run", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const trained = await mintjulep(...trainArgs(run, { seed: 7 }));
    assert.equal(trained.code, 0, trained.stderr);
    assert.match(trained.stdout, /^hash +[0-9a-f]{16}$/m);
    assert.match(trained.stderr, /double_well: U\(x\) = /);
    for (const name of ["config.json", "checkpoint.safetensors", "metrics.json", "report.html"]) {
      assert.ok(exists(join(run, name)), name);
    }
    const config = loadConfig(join(run, "config.json"));
    assert.equal(config.seed, 7);
    assert.equal(config.julep.steps, 5);

    // The same configuration from its file gives the same run.
    const again = join(dir, "again");
    const repeated = await mintjulep("train", join(run, "config.json"), "--out", again);
    assert.equal(repeated.code, 0, repeated.stderr);
    const checkpoint = (folder: string) =>
      Deno.readFileSync(join(folder, "checkpoint.safetensors"));
    assert.deepEqual(checkpoint(again), checkpoint(run));

    // Any number of workers draws the same bytes.
    const drawn: Uint8Array[] = [];
    for (const workers of ["1", "2", "3"]) {
      const out = join(dir, `${workers}.npz`);
      const sampled = await mintjulep(
        ...["sample", run, "--samples", "130", "--steps", "7", "--seed", "3"],
        ...["--workers", workers, "--out", out],
      );
      assert.equal(sampled.code, 0, sampled.stderr);
      drawn.push(await Deno.readFile(out));
    }
    assert.deepEqual(drawn[1], drawn[0]);
    assert.deepEqual(drawn[2], drawn[0]);

    const evaluated = await mintjulep(
      ...["evaluate", run, "--samples", "64", "--seeds", "2", "--control", "--json"],
    );
    assert.equal(evaluated.code, 0, evaluated.stderr);
    const report = JSON.parse(evaluated.stdout);
    const fields = ["system", "hash", "backend", "workers", "samples", "steps"].concat(
      ["energyEvaluationsPerSample", "ess", "essMedianOfBatches", "logZ", "logZStdErr"],
      ["meanEnergy", "meanEnergyStdErr", "meanPairDistance", "trainSeconds", "sampleSeconds"],
      ["control"],
    );
    for (const field of fields) {
      assert.ok(report[field] !== undefined && report[field] !== null, field);
    }
    assert.equal(report.samples, 64);
    assert.equal(report.seeds.length, 2);

    // In words: the table on standard output, the warnings on standard error.
    const words = await mintjulep("evaluate", run, "--samples", "64");
    assert.equal(words.code, 0, words.stderr);
    assert.match(words.stdout, /^ess +\d/m);
    assert.match(words.stderr, /^warning: Only 64 samples/m);
  });
});

Deno.test("--overwrite replaces a run", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    assert.equal((await mintjulep(...trainArgs(run))).code, 0);
    const replaced = await mintjulep(...trainArgs(run, { seed: 8 }), "--overwrite");
    assert.equal(replaced.code, 0, replaced.stderr);
    assert.equal(loadConfig(join(run, "config.json")).seed, 8);
  });
});

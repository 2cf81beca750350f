/** `--method`: every method trains, samples and evaluates with the same files and fields. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeNpy } from "../../src/io/npy.ts";
import { inFolder, mintjulep, mintjulepHere } from "./command.ts";

async function succeeded(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await mintjulep(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

const sets = (...fields: string[]) => fields.flatMap((field) => ["--set", field]);

/** Five particles, few levels. */
const cluster = (method: string, run: string, ...fields: string[]) => [
  ...["train", "lj13", "--method", method, "--out", run, "--seed", "5"],
  ...sets("system.particles=5", "path.levels=12", ...fields),
];

async function evaluate(run: string, ...args: string[]) {
  return JSON.parse(await succeeded("evaluate", run, "--json", ...args));
}

Deno.test("--method smc: islands, whole ones, for any number of workers; ESS told apart", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const small = ["path.flow.population=128", "path.resampling.population=64"];
    await succeeded(...cluster("smc", run, ...small));
    const drawn: Uint8Array[] = [];
    for (const workers of ["1", "2"]) {
      const out = join(dir, `${workers}.npz`);
      await succeeded(
        ...["sample", run, "--samples", "200", "--out", out, "--workers", workers],
      );
      drawn.push(await Deno.readFile(out));
    }
    assert.deepEqual(drawn[1], drawn[0]);
    const report = await evaluate(run, "--samples", "640", "--seeds", "2", "--buffer");
    assert.equal(report.method, "smc");
    assert.equal(report.essOf, "ancestors");
    assert.equal(report.samples, 640);
    assert.equal(report.islands, 10);
    assert.ok(report.ess <= report.finalEss, `${report.ess} of ancestors, ${report.finalEss}`);
    assert.ok(report.distinctAncestors <= 64 && report.effectiveAncestors >= 1);
    assert.equal(report.energyEvaluationsPerSample, 13);
    assert.equal(report.flowPassesPerSample, 12);
    assert.ok(report.essFromReference > 0 && report.eubo >= report.elbo);
    assert.equal(report.buffer, true);
  });
});

Deno.test("--method mcmc writes reference samples that other methods are judged by", async () => {
  await inFolder(async (dir) => {
    const [chains, path] = [join(dir, "chains"), join(dir, "path")];
    await succeeded(
      ...["train", "dw4", "--method", "mcmc", "--out", chains],
      ...sets("chains.chains=8", "chains.warmup=50", "chains.thin=2"),
    );
    const own = await evaluate(chains, "--samples", "160", "--seeds", "2");
    assert.equal(own.essOf, "chains");
    assert.equal(own.logZ, null);
    assert.equal(own.chains, 16);
    assert.equal(own.draws, 10);
    for (const field of ["rHatEnergy", "rHatPairDistance", "autocorrelationTimeEnergy"]) {
      assert.equal(typeof own[field], "number", field);
    }
    const file = join(chains, "reference.npy");
    assert.equal(own.referenceFile, file);
    assert.deepEqual([...decodeNpy(await Deno.readFile(file), file).shape], [160, 8]);

    await succeeded(
      ...["train", "dw4", "--method", "ais", "--out", path, ...sets("path.levels=8")],
    );
    const judged = await evaluate(path, "--samples", "256", "--reference", file);
    assert.equal(judged.essOf, "paths");
    assert.equal(judged.referenceSamples, 160);
    assert.ok(judged.essFromReference > 0 && judged.energyW2 > 0 && judged.distanceW2 > 0);
    // HMC of 4 leapfrogs at 8 levels, and one energy at the end.
    assert.equal(judged.energyEvaluationsPerSample, 41);
  });
});

Deno.test("--method pis and dds train the network and give the same figures", async () => {
  await inFolder(async (dir) => {
    for (const method of ["pis", "dds"]) {
      const run = join(dir, method);
      await succeeded(
        ...["train", "dw4", "--method", method, "--out", run, "--seed", "5"],
        ...sets("julep.steps=6", "julep.samples=16", "julep.iterations=3"),
        ...sets("julep.network.hidden=8", "julep.network.layers=1"),
      );
      const curve = await Deno.readTextFile(join(run, "julep_curve.csv"));
      const losses = curve.trim().split("\n").slice(1).map((line) => Number(line.split(",")[1]));
      assert.equal(losses.length, 3);
      assert.ok(losses.every(Number.isFinite), `${losses}`);
      const report = await evaluate(run, "--samples", "64");
      assert.equal(report.method, method);
      assert.equal(report.essOf, "paths");
      assert.equal(report.energyEvaluationsPerSample, 6 * 5 + 1);
      assert.equal(typeof report.logZ, "number");
    }
  });
});

Deno.test("--method adjusted: what does not fit a path is refused in one line", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    await succeeded(...cluster("adjusted", run, "path.leapfrogs=1", "path.flow=null"));
    const cases: [string[], RegExp][] = [
      [["--steps", "7"], /--steps is Julep's: a run of method ais keeps its levels/],
      [["--control"], /--control is Julep's: .* holds a run of method ais$/],
      [["--buffer", "--reference", "x.npy"], /--buffer stands in for --reference/],
    ];
    for (const [args, line] of cases) {
      const { code, stderr } = await mintjulepHere("evaluate", run, "--samples", "16", ...args);
      assert.equal(code, 2);
      assert.match(stderr.trim(), line);
      assert.equal(stderr.trim().split("\n").length, 1);
    }
  });
});

Deno.test("table1: the chains' states are the reference; a finished row is not run again", async () => {
  await inFolder(async (dir) => {
    const args = ["table1", "--out", dir, "--quick", "--samples", "64", "--preset", "dw4"];
    const first = await succeeded(...args, "--row", "mcmc", "--row", "ais");
    assert.match(first, /^\| HMC chains \| – \|/m);
    assert.match(first, /^\| annealed importance sampling \| – \| [\d.]+ %/m);
    assert.match(first, /log Z 31\.053527/);
    assert.equal(await Deno.readTextFile(join(dir, "table1.md")), first);
    const table = JSON.parse(await Deno.readTextFile(join(dir, "table1.json")));
    const [chains, ais] = table.systems[0].results;
    assert.equal(chains.essOf, "chains");
    assert.ok(ais.essFromReference > 0, "backward from the chains' states");
    assert.equal(ais.energyEvaluationsPerSample, 1001);

    const alone = await mintjulep(
      ...["table1", "--out", join(dir, "alone"), "--quick", "--samples", "8", "--preset", "dw4"],
      ...["--row", "ais"],
    );
    assert.equal(alone.code, 0, alone.stderr);
    assert.match(alone.stderr, /reference\.npy: nothing from the reference without row mcmc/);

    const file = join(dir, "dw4", "ais", "evaluation.json");
    const before = (await Deno.stat(file)).mtime!.getTime();
    assert.equal(await succeeded(...args, "--row", "mcmc", "--row", "ais"), first);
    assert.equal((await Deno.stat(file)).mtime!.getTime(), before);
    // Other settings are another row.
    await succeeded(...args, "--row", "ais", "--seed", "3");
    const later = (await Deno.stat(file)).mtime!.getTime();
    assert.ok(later > before);

    // A row and a training by other code are not taken up, and a line says so.
    const row = join(dir, "dw4", "ais", "row.json");
    const kept = JSON.parse(await Deno.readTextFile(row));
    await Deno.writeTextFile(row, JSON.stringify({ ...kept, code: "another" }));
    const again = await mintjulep(...args, "--row", "ais", "--seed", "3");
    assert.equal(again.code, 0, again.stderr);
    const line = `table1: ${join(dir, "dw4", "ais")} was made by other code: it is run again`;
    assert.ok(again.stderr.includes(line), again.stderr);
    assert.ok((await Deno.stat(file)).mtime!.getTime() > later);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(row)).code, kept.code);
  });
});

Deno.test("tune writes a configuration that train takes, and the course of the search", async () => {
  await inFolder(async (dir) => {
    const tuned = join(dir, "tuned");
    const small = ["system.particles=5", "path.levels=10", "path.flow.population=128"];
    const printed = await succeeded(
      ...["tune", "lj13", "--out", tuned, "--generations", "2", "--population", "5"],
      ...["--samples", "64", ...sets(...small)],
    );
    assert.match(printed, /^before +\d/m);
    const rows = (await Deno.readTextFile(join(tuned, "tune.csv"))).trim().split("\n");
    assert.equal(rows[0], "generation,best,median,sigma");
    assert.equal(rows.length, 3);
    const config = JSON.parse(await Deno.readTextFile(join(tuned, "config.json")));
    assert.equal(config.path.tuning.length, 25);
    assert.ok(config.path.tuning.some((v: number) => v !== 0));
    const run = join(dir, "run");
    await succeeded("train", join(tuned, "config.json"), "--out", run);
    assert.ok((await evaluate(run, "--samples", "128")).ess > 0);
  });
});

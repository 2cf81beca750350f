/** Stopping a training, politely or not, and going on: the end is the same to the bit. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder, mintjulep, root, start, trainArgs } from "./command.ts";

const ignore = Deno.build.os === "windows";
const reason = ignore ? " [ignored: Windows cannot send signals]" : "";

/** Long enough to be caught in the middle. */
const changes = { "mint.iterations": 60, "julep.iterations": 120, "julep.steps": 20 };
const args = (out: string) => trainArgs(out, changes);

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 3000; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("waited in vain");
}

/** Rows of a curve written so far. */
function rows(path: string): number {
  try {
    return Deno.readTextFileSync(path).trimEnd().split("\n").length - 1;
  } catch {
    return 0;
  }
}

/** What a finished run must have in common with any other of the same configuration. */
function result(run: string): Record<string, string> {
  const names = ["config.json", "checkpoint.safetensors", "mint_curve.csv", "julep_curve.csv"];
  return Object.fromEntries(names.map((n) => [n, Deno.readFileSync(join(run, n)).toBase64()]));
}

Deno.test({
  name: `stopped and killed trainings resume to the bit-identical end${reason}`,
  ignore,
  fn: () =>
    inFolder(async (dir) => {
      const whole = join(dir, "whole");
      assert.equal((await mintjulep(...args(whole))).code, 0);

      const run = join(dir, "run");
      const first = start(...args(run));
      await until(() => rows(join(run, "mint_curve.csv")) >= 4);
      first.kill("SIGKILL"); // somewhere in Mint
      await first.output();

      const second = start("train", run, "--resume");
      await until(() => rows(join(run, "julep_curve.csv")) >= 10);
      second.kill("SIGINT"); // somewhere in Julep
      const stopped = await second.output();
      const stderr = new TextDecoder().decode(stopped.stderr);
      assert.equal(stopped.code, 130, stderr);
      assert.match(stderr, /stopping after this step; checkpoint follows/);
      assert.match(stderr, /--resume/);
      const before = rows(join(run, "julep_curve.csv"));
      assert.ok(before >= 10 && before < 120, `${before} rows`);

      const unfinished = await mintjulep(
        "sample",
        run,
        "--samples",
        "4",
        "--out",
        join(dir, "s.npz"),
      );
      assert.equal(unfinished.code, 2);
      assert.match(
        unfinished.stderr,
        /training is not finished; continue it with: mintjulep train/,
      );

      const third = start("train", run, "--resume");
      await until(() => rows(join(run, "julep_curve.csv")) > before);
      third.kill("SIGKILL");
      await third.output();

      const last = await mintjulep("train", run, "--resume");
      assert.equal(last.code, 0, last.stderr);
      assert.deepEqual(result(run), result(whole));
      // The killed processes left no half-written files behind.
      assert.deepEqual(
        [...Deno.readDirSync(run)].map((e) => e.name).filter((n) => n.endsWith(".tmp")),
        [],
      );
    }),
});

Deno.test({
  name: `the first signal asks, the second one does not${reason}`,
  ignore,
  fn: async () => {
    // A body that hears the signal and goes on regardless.
    const module = new URL("src/cli/interrupt.ts", root).href;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `import { interruptible } from ${JSON.stringify(module)};
         await interruptible("stopping", async (signal) => {
           console.log("ready");
           signal.addEventListener("abort", () => console.log("asked"));
           await new Promise((resolve) => setTimeout(resolve, 60000));
         });`,
      ],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "ready\n");
    child.kill("SIGTERM");
    assert.equal((await reader.read()).value, "asked\n");
    child.kill("SIGINT");
    assert.equal((await child.status).code, 130);
    await reader.cancel();
  },
});

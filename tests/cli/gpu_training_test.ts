/** A training on the GPU that is stopped and resumed ends with the bytes of one that was not. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { gpuUnavailable } from "../conformance/gpu.ts";
import { inFolder, mintjulep, start, trainArgs } from "./command.ts";

const ignore = gpuUnavailable !== null || Deno.build.os === "windows";
const reason = ignore ? ` [ignored: ${gpuUnavailable ?? "Windows cannot send signals"}]` : "";

const args = (out: string) => [
  ...trainArgs(out, { "julep.iterations": 14, checkpointEvery: 3 }),
  "--backend",
  "webgpu",
];

function rows(path: string): number {
  try {
    return Deno.readTextFileSync(path).trimEnd().split("\n").length - 1;
  } catch {
    return 0;
  }
}

const result = (run: string) =>
  ["config.json", "checkpoint.safetensors", "julep_curve.csv"]
    .map((name) => Deno.readFileSync(join(run, name)).toBase64());

Deno.test({
  name: `training on a GPU: stopped and resumed, the same bytes${reason}`,
  ignore,
  fn: () =>
    inFolder(async (dir) => {
      const whole = join(dir, "whole");
      const straight = await mintjulep(...args(whole), "--read-back-every", "5");
      assert.equal(straight.code, 0, straight.stderr);
      assert.match(straight.stderr, /--backend wasm is faster/);

      const run = join(dir, "run");
      const first = start(...args(run), "--read-back-every", "2");
      const curve = join(run, "julep_curve.csv");
      for (let tries = 0; rows(curve) < 4 && tries < 6000; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      first.kill("SIGINT");
      const stopped = await first.output();
      assert.equal(stopped.code, 130, new TextDecoder().decode(stopped.stderr));
      const before = rows(curve);
      assert.ok(before >= 4 && before < 14, `${before} iterations`);

      const last = await mintjulep("train", run, "--resume", "--backend", "webgpu");
      assert.equal(last.code, 0, last.stderr);
      assert.deepEqual(result(run), result(whole));
    }),
});

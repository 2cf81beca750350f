/** A disk that is full, or a limit on file sizes: one line, exit code 2, earlier files intact. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { assertRefused, denoArgs, inFolder, mintjulep, outcome, trainArgs } from "./command.ts";

const shellQuoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
const deno = (args: string[]) => [Deno.execPath(), ...denoArgs(args)].map(shellQuoted).join(" ");

/** A shell script in its own mount namespace: what it mounts is gone when it ends. */
function inNamespace(script: string): Deno.Command {
  return new Deno.Command("unshare", {
    args: ["--map-root-user", "--mount", "bash", "-c", script],
    env: { NO_COLOR: "1" },
  });
}

const tiny = (folder: string, kilobytes: number) =>
  `mount -t tmpfs -o size=${kilobytes}k tmpfs ${shellQuoted(folder)}`;

function canMount(): boolean {
  if (Deno.build.os !== "linux") return false;
  const dir = Deno.makeTempDirSync();
  try {
    return new Deno.Command("unshare", {
      args: ["--map-root-user", "--mount", "bash", "-c", tiny(dir, 64)],
      stdout: "null",
      stderr: "null",
    }).outputSync().success;
  } catch {
    return false;
  } finally {
    Deno.removeSync(dir);
  }
}

const ignore = !canMount();
const reason = ignore ? " [ignored: this system lets no small file system be mounted]" : "";

Deno.test({
  name: `sample on a full disk keeps the earlier file and leaves nothing else${reason}`,
  ignore,
  fn: () =>
    inFolder(async (dir) => {
      const run = join(dir, "run");
      const trained = await mintjulep(...trainArgs(run));
      assert.equal(trained.code, 0, trained.stderr);
      const small = join(dir, "small");
      await Deno.mkdir(small);
      const out = join(small, "s.npz");
      const result = await outcome(inNamespace(`
        ${tiny(small, 64)} && echo earlier > ${shellQuoted(out)} || exit 99
        ${deno(["sample", run, "--samples", "4000", "--out", out])}
        code=$?
        ls -A ${shellQuoted(small)} >&2; cat ${shellQuoted(out)} >&2
        exit $code`));
      assertRefused(result, /cannot write .*s\.npz: no space left on the disk$/);
      assert.match(result.stderr, /\ns\.npz\nearlier\n$/);
    }),
});

Deno.test({
  name: `train on a full disk says so${reason}`,
  ignore,
  fn: () =>
    inFolder(async (dir) => {
      const result = await outcome(inNamespace(`
        ${tiny(dir, 16)} || exit 99
        ${deno(trainArgs(join(dir, "run")))}
        code=$?
        ls -A ${shellQuoted(join(dir, "run"))} | grep tmp >&2
        exit $code`));
      assertRefused(result, /cannot write .*: no space left on the disk$/);
      assert.doesNotMatch(result.stderr, /\.tmp$/m);
    }),
});

const unix = Deno.build.os !== "windows";
Deno.test({
  name: `a limit on file sizes is told like a full disk${unix ? "" : " [ignored: no ulimit here]"}`,
  ignore: !unix,
  fn: () =>
    inFolder(async (dir) => {
      const run = join(dir, "run");
      const trained = await mintjulep(...trainArgs(run));
      assert.equal(trained.code, 0, trained.stderr);
      const out = join(dir, "s.npz");
      await Deno.writeTextFile(out, "earlier");
      const args = ["sample", run, "--samples", "4000", "--out", out];
      const result = await outcome(
        new Deno.Command("bash", {
          args: ["-c", `ulimit -f 16; trap '' XFSZ; exec ${deno(args)}`],
          env: { NO_COLOR: "1" },
        }),
      );
      assertRefused(result, /cannot write .*s\.npz: file too large$/);
      assert.equal(await Deno.readTextFile(out), "earlier");
      assert.deepEqual([...Deno.readDirSync(dir)].map((e) => e.name).sort(), ["run", "s.npz"]);
    }),
});

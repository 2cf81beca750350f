/** Examples in docstrings run. */
import assert from "node:assert/strict";
import { outcome, root } from "./cli/command.ts";

async function* sources(folder: URL): AsyncIterable<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* sources(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts") && !name.endsWith(".gen.ts")) yield new URL(name, folder);
  }
}

Deno.test("docstrings: every example runs and its assertions hold (deno task check has their types)", async () => {
  const files: string[] = [];
  for await (const file of sources(new URL("src/", root))) {
    if (/^ \* ```ts$/m.test(await Deno.readTextFile(file))) files.push(file.pathname);
  }
  assert.ok(files.length >= 3, files.join());
  const run = await outcome(
    new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", "--doc", ...files],
      cwd: root,
      env: { NO_COLOR: "1" },
    }),
  );
  assert.equal(run.code, 0, run.stdout + run.stderr);
  // Each file gives at least one test; none is passed over.
  const passed = Number(run.stdout.match(/^ok \| (\d+) passed \| 0 failed/m)?.[1]);
  assert.ok(passed >= files.length, run.stdout);
});

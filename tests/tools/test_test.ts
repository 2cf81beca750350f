import assert from "node:assert/strict";
import { readJunit } from "../../tools/test.ts";

Deno.test("readJunit() counts what a real run of deno test reports", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${dir}/a_test.ts`,
      `Deno.test("good", () => {});
       Deno.test("bad <&>", () => { throw new Error("<skipped/>"); });
       Deno.test.ignore("ignored <&> [no disk]", () => {});
       Deno.test("steps", async (t) => { await t.step("one", () => {}); });`,
    );
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-config", "--no-check", "--junit-path=junit.xml", "a_test.ts"],
      cwd: dir,
      stdout: "null",
      stderr: "null",
    }).output();
    assert.equal(success, false);
    assert.deepEqual(readJunit(await Deno.readTextFile(`${dir}/junit.xml`)), {
      passed: 3,
      failed: 1,
      skipped: ["ignored <&> [no disk]"],
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

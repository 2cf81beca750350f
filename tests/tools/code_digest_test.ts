/** The digest by which table1 knows rows of other code. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { codeDigest as embedded } from "../../src/run/code.gen.ts";
import { codeDigest } from "../../tools/code_digest.ts";

const src = new URL("../../src/", import.meta.url);

Deno.test("the embedded digest is that of this checkout", () => {
  assert.match(embedded, /^[0-9a-f]{64}$/);
  assert.equal(embedded, codeDigest(src), "deno task build makes it anew");
});

Deno.test("a digest changes with what computes, kernels included, not with what prints", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const write = async (path: string, text: string) => {
      const file = join(folder, path);
      await Deno.mkdir(join(file, ".."), { recursive: true });
      await Deno.writeTextFile(file, text);
      return codeDigest(pathToFileURL(folder + "/"));
    };
    let last = await write("math/random.ts", "export const a = 1;");
    for (
      const [path, text] of [
        ["math/random.ts", "export const a = 2;"],
        ["backends/wasm/kernels.gen.ts", "export const b = 1;"],
        ["backends/webgpu/shaders.gen.ts", "export const c = 1;"],
        ["run/train.ts", "export const d = 1;"],
      ]
    ) {
      const next = await write(path, text);
      assert.notEqual(next, last, path);
      last = next;
    }
    for (const path of ["cli/main.ts", "report/page.ts", "run/code.gen.ts", "notes.txt"]) {
      assert.equal(await write(path, "export {};"), last, path);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

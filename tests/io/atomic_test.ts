import assert from "node:assert/strict";
import { join } from "node:path";
import { InputError } from "../../src/errors.ts";
import { asInputError, ensureWritableDirectory, writeFileAtomic } from "../../src/io/atomic.ts";

async function inFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const names = (dir: string) => [...Deno.readDirSync(dir)].map((e) => e.name).sort();
const refused = (pattern: RegExp) => (error: unknown) =>
  error instanceof InputError && pattern.test(error.message) && !error.message.includes("\n");

Deno.test("writeFileAtomic() writes text, bytes and streams of chunks", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "a");
    await writeFileAtomic(path, "Δt");
    assert.equal(await Deno.readTextFile(path), "Δt");
    await writeFileAtomic(path, new Uint8Array([1, 2, 3]));
    assert.deepEqual(await Deno.readFile(path), new Uint8Array([1, 2, 3]));
    await writeFileAtomic(path, [new Uint8Array([4]), new Uint8Array(0), new Uint8Array([5, 6])]);
    assert.deepEqual(await Deno.readFile(path), new Uint8Array([4, 5, 6]));
    await writeFileAtomic(
      path,
      (async function* () {
        yield new Uint8Array(100_000).fill(7);
        await Promise.resolve();
        yield new Uint8Array([8]);
      })(),
    );
    const bytes = await Deno.readFile(path);
    assert.equal(bytes.length, 100_001);
    assert.ok(bytes[99_999] === 7 && bytes[100_000] === 8);
    assert.deepEqual(names(dir), ["a"]);
  });
});

Deno.test("writeFileAtomic() leaves the earlier file and nothing else when the content fails", async () => {
  await inFolder(async (dir) => {
    const path = join(dir, "a");
    await writeFileAtomic(path, "before");
    const failing = async function* () {
      yield new Uint8Array(1000);
      await Promise.resolve();
      throw new Error("no more");
    };
    await assert.rejects(writeFileAtomic(path, failing()), /no more/);
    assert.equal(await Deno.readTextFile(path), "before");
    await assert.rejects(writeFileAtomic(join(dir, "new"), failing()), /no more/);
    assert.deepEqual(names(dir), ["a"]);
  });
});

Deno.test("writeFileAtomic() follows a symbolic link and keeps it", async () => {
  await inFolder(async (dir) => {
    await writeFileAtomic(join(dir, "real"), "1");
    await Deno.symlink("real", join(dir, "link"));
    await writeFileAtomic(join(dir, "link"), "2");
    assert.equal(await Deno.readTextFile(join(dir, "real")), "2");
    assert.ok((await Deno.lstat(join(dir, "link"))).isSymlink);
  });
});

Deno.test("writeFileAtomic() refuses folders, devices, missing folders and paths below a file", async () => {
  await inFolder(async (dir) => {
    const file = join(dir, "file");
    await writeFileAtomic(file, "x");
    await assert.rejects(writeFileAtomic(dir, "x"), refused(/cannot write .*: it is a folder$/));
    await assert.rejects(writeFileAtomic(join(dir, "no", "a"), "x"), refused(/no such file/));
    await assert.rejects(writeFileAtomic(join(file, "a"), "x"), refused(/is a file, not a folder/));
    await assert.rejects(
      writeFileAtomic(join(dir, "a".repeat(300)), "x"),
      refused(/the name is too long/),
    );
    if (Deno.build.os === "linux") {
      await assert.rejects(writeFileAtomic("/dev/full", "x"), refused(/not a regular file/));
      assert.ok((await Deno.stat("/dev/full")).isCharDevice);
    }
    assert.deepEqual(names(dir), ["file"]);
  });
});

Deno.test("ensureWritableDirectory() makes folders, refuses files, and leaves no trace", async () => {
  await inFolder(async (dir) => {
    await ensureWritableDirectory(join(dir, "a", "b"));
    await ensureWritableDirectory(join(dir, "a", "b"));
    assert.deepEqual(names(join(dir, "a", "b")), []);
    await Deno.writeTextFile(join(dir, "file"), "");
    await assert.rejects(ensureWritableDirectory(join(dir, "file")), refused(/file.*in the way/));
    await assert.rejects(ensureWritableDirectory(join(dir, "file", "x")), refused(/not a folder/));
  });
});

Deno.test("ensureWritableDirectory() removes temporary files of dead processes only", async () => {
  await inFolder(async (dir) => {
    const child = new Deno.Command(Deno.execPath(), { args: ["--version"], stdout: "null" })
      .spawn();
    await child.status;
    const own = `.a.${Deno.pid}.999999.tmp`;
    await Deno.writeTextFile(join(dir, `.a.${child.pid}.3.tmp`), "half");
    await Deno.writeTextFile(join(dir, own), "being written");
    await Deno.writeTextFile(join(dir, "notes.tmp"), "the user's");
    await ensureWritableDirectory(dir);
    assert.deepEqual(names(dir), [own, "notes.tmp"].sort());
  });
});

Deno.test("asInputError() words system errors and passes others through", () => {
  const full = Object.assign(new Error("No space left (os error 28)"), { code: "ENOSPC" });
  const error = asInputError(full, "cannot write a.npz");
  assert.ok(error instanceof InputError);
  assert.equal(error.message, "cannot write a.npz: no space left on the disk");
  assert.equal(error.cause, full);
  const large = asInputError(new Error("File too large (os error 27)"), "cannot write a.npz");
  assert.ok(large instanceof InputError);
  assert.equal(large.message, "cannot write a.npz: file too large");
  const bug = new TypeError("x is undefined");
  assert.equal(asInputError(bug, "cannot write a.npz"), bug);
});

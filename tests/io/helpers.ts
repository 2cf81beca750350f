/** What the tests of the file formats share. */
import assert from "node:assert/strict";
import { InputError } from "../../src/errors.ts";

/** A temporary folder that is removed when `body` is done. */
export async function inFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The bytes of several pieces one after another. */
export function joined(pieces: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> {
  const list = [...pieces].map((p) => p.slice());
  const out = new Uint8Array(list.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const piece of list) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** `bytes` with one bit turned over. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array<ArrayBuffer> {
  const out = bytes.slice();
  out[bit >> 3] ^= 1 << (bit & 7);
  return out;
}

/** An InputError of one line that names the file and matches `pattern`. */
export function refused(pattern: RegExp, file = "") {
  return (error: unknown): boolean => {
    assert.ok(error instanceof InputError, `not an InputError: ${error}`);
    assert.match(error.message, pattern);
    assert.ok(error.message.includes(file) && !error.message.includes("\n"), error.message);
    return true;
  };
}

/** The value, or null where an InputError naming `file` is thrown; nothing else may be. */
export function orRefused<T>(read: () => T, file: string): T | null {
  try {
    return read();
  } catch (error) {
    refused(/./, file)(error);
    return null;
  }
}

const python = await (async () => {
  try {
    const { success } = await new Deno.Command("python3", {
      args: ["-c", "import numpy"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false;
  }
})();

/** A test that asks numpy; ignored, and its name says why, where there is none. */
export function numpyTest(name: string, body: () => Promise<void>): void {
  Deno.test({
    name: python ? name : `${name} (ignored: no python3 with numpy here)`,
    ignore: !python,
    fn: body,
  });
}

/** Runs a Python script with arguments and gives its standard output. */
export async function runPython(script: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", script, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

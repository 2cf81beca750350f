/** Runs the real command line as a subprocess, and tiny runs for it to work on. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { main as run } from "../../src/cli/main.ts";

export const root = new URL("../../", import.meta.url);
const main = new URL("src/mod.ts", root).pathname;

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Arguments of Deno that start the command line. */
export const denoArgs = (args: readonly string[]): string[] => ["run", "-A", "-q", main, ...args];

const environment = { NO_COLOR: "1" };

/** One command to its end. */
export async function mintjulep(...args: string[]): Promise<Outcome> {
  return await outcome(
    new Deno.Command(Deno.execPath(), { args: denoArgs(args), cwd: root, env: environment }),
  );
}

/** The same in this process, in a hundredth of the time: for commands that end before they begin. */
export async function mintjulepHere(...args: string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const text = new TextDecoder();
  for (const name of ["stdout", "stderr"] as const) {
    Deno[name].writeSync = (bytes) => {
      written[name] += text.decode(bytes);
      return bytes.length;
    };
  }
  try {
    return { code: await run(args), ...written };
  } finally {
    for (const name of ["stdout", "stderr"] as const) {
      delete (Deno[name] as Partial<typeof Deno.stdout>).writeSync; // The prototype's is back.
    }
  }
}

/** Starts a command and leaves it running. */
export function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: denoArgs(args),
    cwd: root,
    env: environment,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

export async function outcome(command: Deno.Command): Promise<Outcome> {
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Asserts exit code 2, no data, and exactly one line `mintjulep: ...` that matches. */
export function assertRefused({ code, stdout, stderr }: Outcome, pattern: RegExp): void {
  assert.equal(code, 2, stderr);
  assert.equal(stdout, "");
  const lines = stderr.split("\n").filter((line) => line.startsWith("mintjulep:"));
  assert.equal(lines.length, 1, stderr);
  assert.match(lines[0], pattern);
  assert.doesNotMatch(stderr, /\n {4}at |internal failure/);
}

/** Settings that make training take a moment; it is as complete as any. */
const small = {
  "mint.components": 2,
  "mint.starts": 4,
  "mint.descentSteps": 20,
  "mint.iterations": 3,
  "mint.samples": 32,
  "julep.steps": 5,
  "julep.samples": 16,
  "julep.iterations": 4,
  "julep.network.hidden": 8,
  "julep.network.layers": 1,
  checkpointEvery: 2,
};

/** Arguments of a quick training of DW-4, with changed settings. */
export function trainArgs(out: string, changes: Record<string, unknown> = {}): string[] {
  const settings = Object.entries({ ...small, ...changes });
  return ["train", "dw4", "--out", out, ...settings.flatMap(([k, v]) => ["--set", `${k}=${v}`])];
}

export { inFolder } from "../io/helpers.ts";

/** Path → contents (base64) of every file below a folder, hidden ones too. */
export function contents(dir: string, prefix = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of Deno.readDirSync(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) {
      found[`${prefix}${entry.name}/`] = "";
      Object.assign(found, contents(path, `${prefix}${entry.name}/`));
    } else found[prefix + entry.name] = Deno.readFileSync(path).toBase64();
  }
  return found;
}

/** README.md tells the truth: its library example runs, its commands and options exist. */
import assert from "node:assert/strict";
import { presetNames } from "../src/config/presets.ts";
import { mintjulep, outcome, root } from "./cli/command.ts";

const readme = await Deno.readTextFile(new URL("README.md", root));
const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));

/** Bodies of the fenced blocks of a language, below a heading where one is given. */
function blocks(markdown: string, language: string, heading?: string): string[] {
  const start = heading === undefined ? 0 : markdown.indexOf(`\n## ${heading}\n`);
  assert.ok(start >= 0, `no section "${heading}"`);
  const next = heading === undefined ? -1 : markdown.indexOf("\n## ", start + 1);
  const section = markdown.slice(start, next < 0 ? undefined : next);
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language).map(([, , body]) => body);
}

const commandLines = blocks(readme, "sh").flatMap((body) => body.trim().split("\n"));
const flags = (text: string) => text.match(/(?<![\w-])--[a-z][\w-]*/g) ?? [];

Deno.test("README: the library example type-checks and prints an ESS and the log Z of DW-4", async () => {
  const examples = blocks(readme, "ts", "Library");
  assert.equal(examples.length, 1);
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, examples[0]);
    const config = new URL("deno.json", root).pathname;
    const run = await outcome(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--check", "-A", "-q", "--config", config, file],
        env: { NO_COLOR: "1" },
      }),
    );
    assert.equal(run.code, 0, run.stderr);
    const [ess, logZ] = run.stdout.match(/-?\d+\.\d+/g)!.map(Number);
    // The seed is fixed: a wrong density or weight, not chance, would move these.
    assert.ok(ess > 0.2 && ess <= 1, run.stdout);
    assert.ok(Math.abs(logZ - 31.0535) < 0.3, run.stdout);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("README: both of its first commands and every other task exist", () => {
  const called = [...readme.matchAll(/npx -y deno@2\.9\.6 task ([\w-]+)|`deno task ([\w-]+)/g)]
    .map(([, npx, plain]) => npx ?? plain);
  for (const name of ["demo", "test", "mintjulep"]) assert.ok(called.includes(name), name);
  for (const name of called) assert.ok(Object.hasOwn(tasks, name), `no task "${name}"`);
  for (const line of commandLines) {
    assert.match(line, /^npx -y deno@2\.9\.6 task [\w-]+/, `not runnable by a stranger: ${line}`);
  }
});

Deno.test("README: every mintjulep command and option is in the program's own help", async () => {
  const used = commandLines.map((line) => line.match(/ task mintjulep (\w+)(.*)$/))
    .filter((match) => match !== null).map(([, command, rest]) => ({ command, rest }));
  const commands = [...new Set(used.map(({ command }) => command))].sort();
  const all = "doctor energy evaluate inspect sample table1 train tune";
  assert.deepEqual(commands, all.split(" "));
  const help = new Map(
    await Promise.all(commands.map(async (command) => {
      const { code, stdout } = await mintjulep(command, "--help");
      assert.equal(code, 0, command);
      return [command, new Set(flags(stdout))] as const;
    })),
  );
  for (const { command, rest } of used) {
    for (const flag of flags(rest)) assert.ok(help.get(command)!.has(flag), `${command} ${flag}`);
  }
  // In running text: `evaluate --reference x` names its command, `--workers` any.
  for (const [, code] of readme.replaceAll(/^```.*?^```$/gms, "").matchAll(/`([^`\n]+)`/g)) {
    const owner = help.get(code.split(" ")[0]);
    for (const flag of flags(code)) {
      const known = owner ? owner.has(flag) : [...help.values()].some((set) => set.has(flag));
      assert.ok(known, `\`${code}\`: no option ${flag}`);
    }
  }
});

Deno.test("README: presets are listed in full", () => {
  const listed = readme.match(/^Presets: (.*)$/m)?.[1].match(/`[^`]+`/g) ?? [];
  assert.deepEqual(listed.map((name) => name.slice(1, -1)).sort(), [...presetNames].sort());
});

Deno.test("README: linked files exist", async () => {
  for (const [, target] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
    const found = await Deno.stat(new URL(target, root)).then(() => true, () => false);
    assert.ok(found, `README.md links ${target}, which does not exist`);
  }
});

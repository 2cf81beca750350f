/** JSON from files the user may have edited or lost half of: errors say where. */
import { InputError } from "../errors.ts";

/**
 * The value of a JSON text. Throws InputError `<path>: not valid JSON at line 3, column 7: ...`,
 * with the first place where the text cannot be continued to valid JSON.
 */
export function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const { at, problem } = firstError(text);
    const lines = text.slice(0, at).split("\n");
    const place = `line ${lines.length}, column ${lines[lines.length - 1].length + 1}`;
    throw new InputError(`${path}: not valid JSON at ${place}: ${problem}`);
  }
}

// Numbered groups: a mark, a string, a number or literal. \p{Cc} stands for control characters.
const token =
  /[ \t\r\n]*(?:([{}\[\],:])|("(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|true\b|false\b|null\b))/uy;

/** What may come next; V8's messages give no position for many mistakes, so it is found here. */
const wanted = {
  value: "a value",
  item: 'a value or "]"',
  key: "a key",
  firstKey: 'a key or "}"',
  colon: '":"',
  afterItem: '"," or "]"',
  afterEntry: '"," or "}"',
  end: "the end of the text",
};
type Wanted = keyof typeof wanted;

function firstError(text: string): { at: number; problem: string } {
  const open: string[] = [];
  let next: Wanted = "value";
  const afterValue = (): Wanted =>
    open.length === 0 ? "end" : open[open.length - 1] === "[" ? "afterItem" : "afterEntry";
  token.lastIndex = 0;
  while (true) {
    const start = token.lastIndex;
    const [, mark, string, scalar] = token.exec(text) ?? [];
    const isValue = next === "value" || next === "item";
    if (isValue && (string !== undefined || scalar !== undefined)) next = afterValue();
    else if (isValue && (mark === "{" || mark === "[")) {
      open.push(mark);
      next = mark === "{" ? "firstKey" : "item";
    } else if (string !== undefined && (next === "key" || next === "firstKey")) next = "colon";
    else if (mark === ":" && next === "colon") next = "value";
    else if (mark === "," && next === "afterItem") next = "value";
    else if (mark === "," && next === "afterEntry") next = "key";
    else if (
      mark === "]" && (next === "item" || next === "afterItem") ||
      mark === "}" && (next === "firstKey" || next === "afterEntry")
    ) {
      open.pop();
      next = afterValue();
    } else {
      const at = start + /^[ \t\r\n]*/.exec(text.slice(start))![0].length;
      return { at, problem: describe(text, at, next) };
    }
  }
}

function describe(text: string, at: number, next: Wanted): string {
  if (at >= text.length) return `the text ends where ${wanted[next]} is expected (truncated?)`;
  if (text[at] === '"') {
    return next === "value" || next === "item" || next === "key" || next === "firstKey"
      ? "a string is not closed or has a wrong escape"
      : `${wanted[next]} expected, found a string`;
  }
  const word = /^[\w.+-]{1,20}/.exec(text.slice(at, at + 20))?.[0] ?? text[at];
  return `${wanted[next]} expected, found ${JSON.stringify(word)}`;
}

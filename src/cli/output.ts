/** Standard output carries data alone, standard error everything for the reader's eyes. */

const encoder = new TextEncoder();

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch (error) {
    // The reader went away (`| head`): nothing left to tell it.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Text with a final newline to standard output. */
export function printData(text: string): void {
  writeAll(Deno.stdout, text.endsWith("\n") ? text : `${text}\n`);
}

/** Text as it is to standard output: a piece of something long. */
export function printPiece(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Text as it is to standard error. */
export function printNotice(text: string): void {
  writeAll(Deno.stderr, text);
}

/** Everything on one line: control characters and runs of blanks become one blank. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, " ").trim();
}

/** Plain objects as an aligned table of names and figures; nested ones as `outer.inner`. */
export function table(fields: object): string {
  const rows = flatten(fields, "");
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}

function flatten(fields: object, prefix: string): [string, string][] {
  return Object.entries(fields).flatMap(([key, value]): [string, string][] => {
    const name = prefix + key;
    if (value === undefined) return [];
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      return flatten(value, `${name}.`);
    }
    return [[name, Array.isArray(value) ? value.map(figure).join(", ") : figure(value)]];
  });
}

/** Six significant digits; integers in full; what has no estimate (log Z of chains) is "unknown". */
export function figure(value: unknown): string {
  if (Number.isNaN(value)) return "unknown";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(6)));
}

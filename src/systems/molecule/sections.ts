/** The frame of an AMBER parameter file: %FLAG sections of fixed-width values, with line numbers. */
import { InputError } from "../../errors.ts";

/** Section of a prmtop file; `line` is that of its %FLAG, from 1. */
export interface Section {
  readonly flag: string;
  readonly line: number;
  readonly kind: "text" | "integer" | "number";
  readonly values: readonly string[];
  /** Line of each value. */
  readonly lines: Int32Array;
}

const FORMAT = /^%FORMAT\s*\((\d*)([aAiIeEfFdD])(\d+)(?:\.\d+)?\)\s*$/;
const INTEGER = /^ *[-+]?\d+$/;
const NUMBER = /^ *[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?$/;

/** Longest line that is looked at: the format never needs more than about 130 characters. */
const MAX_LINE = 1000;

/**
 * Sections of a 7-style prmtop by name. Throws InputError with file, section and line: no %FLAG at
 * all, an unreadable format, a value that is no number of its full width, a section twice.
 *
 * @param known Says of each flag whether it may be there; throws where not.
 */
export function readSections(
  text: string,
  path: string,
  known: (flag: string, line: number) => void,
): Map<string, Section> {
  const sections = new Map<string, Section>();
  let line = 0;
  let flag = "";
  let flagLine = 0;
  let format: { kind: Section["kind"]; perLine: number; width: number } | null = null;
  let values: string[] = [];
  let lines: number[] = [];
  const fail = (what: string, at = line): never => {
    const place = flag === "" ? "" : `section ${flag}, `;
    throw new InputError(`cannot read ${path}: ${place}line ${at}: ${what}`);
  };
  const close = () => {
    if (flag === "") return;
    if (!format) fail("no %FORMAT follows its %FLAG", flagLine);
    const { kind } = format!;
    sections.set(flag, { flag, line: flagLine, kind, values, lines: Int32Array.from(lines) });
  };
  for (let at = 0; at < text.length;) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    line++;
    const start = at;
    at = end + 1;
    if (end > start && text.charCodeAt(end - 1) === 13) end--; // CRLF
    if (end - start > MAX_LINE) fail("longer than any line of a prmtop file");
    const row = text.slice(start, end);
    if (row.startsWith("%FLAG")) {
      close();
      const name = row.slice(5).trim();
      if (!/^[A-Z0-9_]{1,80}$/i.test(name)) fail(`unreadable flag ${shown(name)}`);
      if (sections.has(name)) fail(`section ${name} is there twice`);
      flag = name;
      flagLine = line;
      known(flag, line);
      format = null;
      values = [];
      lines = [];
    } else if (row.startsWith("%FORMAT")) {
      const found = FORMAT.exec(row);
      if (flag === "" || format || !found) return fail(`unreadable format ${shown(row)}`);
      const letter = found[2].toUpperCase();
      const kind = letter === "A" ? "text" : letter === "I" ? "integer" : "number";
      format = { kind, perLine: Number(found[1] || 1), width: Number(found[3]) };
      if (format.perLine < 1 || format.width < 1 || format.perLine * format.width > MAX_LINE) {
        fail(`unreadable format ${shown(row)}`);
      }
    } else if (row.startsWith("%")) {
      // %VERSION before the first section, %COMMENT anywhere.
      if (!/^%(VERSION|COMMENT)/.test(row)) fail(`unknown line ${shown(row)}`);
    } else if (!format) {
      if (flag !== "" && row.trim() !== "") fail("no %FORMAT follows its %FLAG");
      if (row.trim() !== "") {
        fail("this is no AMBER parameter file: it does not start with %VERSION or %FLAG");
      }
    } else if (format.kind === "text") {
      for (let k = 0; k < format.perLine && k * format.width < row.length; k++) {
        values.push(row.slice(k * format.width, (k + 1) * format.width));
        lines.push(line);
      }
      if (row.slice(format.perLine * format.width).trim() !== "") fail("longer than its %FORMAT");
    } else {
      const { width, kind } = format;
      const written = row.trimEnd();
      if (written.length > format.perLine * width) fail("longer than its %FORMAT");
      for (let k = 0; k < written.length; k += width) {
        const value = written.slice(k, k + width);
        // A right-justified value ends where its field ends: anything else was cut short.
        if (!(kind === "integer" ? INTEGER : NUMBER).test(value) || value.length < width) {
          fail(
            `${shown(value)} is not ${kind === "integer" ? "an integer" : "a number"} of ` +
              `${width} characters`,
          );
        }
        values.push(value);
        lines.push(line);
      }
    }
  }
  close();
  if (sections.size === 0) {
    throw new InputError(
      `cannot read ${path}: this is no AMBER parameter file: it has no %FLAG section`,
    );
  }
  return sections;
}

/** A piece of a file in a message: short, quoted. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text);
}

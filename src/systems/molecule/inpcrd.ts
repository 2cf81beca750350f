/** AMBER coordinate files in ASCII (inpcrd, rst7, crd): one configuration, Å. */
import { InputError } from "../../errors.ts";
import { shown } from "./sections.ts";

const WIDTH = 12;
const PER_LINE = 6;
const NUMBER = /^ *[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?$/;

export interface Coordinates {
  readonly title: string;
  /** (N, 3), nm. */
  readonly positions: Float64Array;
}

/**
 * Positions of an inpcrd or rst7 text; velocities and a box behind them are left out. Throws
 * InputError naming file and line: another number of atoms than `atoms`, truncated or unreadable
 * numbers, a binary (NetCDF) file.
 */
export function readInpcrd(text: string, path: string, atoms: number): Coordinates {
  const fail = (line: number, what: string): never => {
    throw new InputError(`cannot read ${path}: line ${line}: ${what}`);
  };
  if (/^(CDF|.HDF)/.test(text)) {
    fail(1, "this is a binary NetCDF file; only ASCII coordinates are read (ntxo = 1)");
  }
  const needed = Math.ceil(3 * atoms / PER_LINE);
  // Title, count, positions, velocities, box, and a few blank lines: more is another kind of file.
  const lines = firstLines(text, 2 * needed + 10);
  const count = /^\s*(\d{1,9})(\s+[-+\d.EeDd]+)*\s*$/.exec(lines[1] ?? "");
  if (!count) return fail(2, `expected the number of atoms, got ${shown(lines[1] ?? "")}`);
  if (Number(count[1]) !== atoms) {
    fail(2, `coordinates of ${Number(count[1])} atoms, the molecule has ${atoms}`);
  }
  const positions = new Float64Array(3 * atoms);
  let at = 0;
  for (let k = 0; k < needed; k++) {
    const line = k + 3;
    const row = lines[line - 1];
    if (row === undefined) return fail(line, `the file ends after ${at} of ${3 * atoms} numbers`);
    const here = Math.min(PER_LINE, 3 * atoms - at);
    if (row.trimEnd().length !== here * WIDTH) {
      fail(line, `expected ${here} numbers of ${WIDTH} characters, got ${shown(row)}`);
    }
    for (let c = 0; c < here; c++) {
      const value = row.slice(c * WIDTH, (c + 1) * WIDTH);
      const number = NUMBER.test(value) ? Number(value.replace(/[Dd]/, "E")) : NaN;
      if (!Number.isFinite(number)) fail(line, `${shown(value)} is not a number`);
      positions[at++] = number / 10;
    }
  }
  const rest = lines.slice(needed + 2).filter((row) => row.trim() !== "").length;
  if (![0, 1, needed, needed + 1].includes(rest)) {
    fail(needed + 3, `${rest} more lines: expected none, a box, or velocities`);
  }
  return { title: lines[0].trim(), positions };
}

function firstLines(text: string, most: number): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length && lines.length < most;) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    lines.push(text.slice(at, Math.min(end, at + 1000)).replace(/\r$/, ""));
    at = end + 1;
  }
  return lines;
}

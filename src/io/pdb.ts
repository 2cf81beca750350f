/** Protein Data Bank files with several models: positions in Å. https://www.wwpdb.org (format 3.30) */
import { InputError } from "../errors.ts";

/** Names of what is written or was read. */
export interface PdbAtoms {
  readonly names: readonly string[];
  /** Residue of each atom, an index to residueNames. */
  readonly residues: readonly number[];
  readonly residueNames: readonly string[];
  /** Element symbols; "X" where unknown. */
  readonly symbols: readonly string[];
}

export interface PdbModels {
  readonly count: number;
  /** (count, N, 3), nm. */
  readonly positions: Float64Array;
  /** Atom names of the first model. */
  readonly names: readonly string[];
}

const right = (value: string | number, width: number) =>
  String(value).slice(-width).padStart(width);

/** A coordinate in eight columns; as many decimals as fit, up to three. */
function coordinate(value: number): string {
  for (let digits = 3; digits >= 0; digits--) {
    const text = value.toFixed(digits);
    if (text.length <= 8) return text.padStart(8);
  }
  throw new InputError(`a coordinate of ${value} Å does not fit a PDB file`);
}

/** A name in four columns: elements of one letter start in the second. */
function atomName(name: string, symbol: string): string {
  const short = name.slice(0, 4);
  return short.length < 4 && symbol.length < 2 ? ` ${short}`.padEnd(4) : short.padEnd(4);
}

/**
 * One MODEL for each of `count` configurations (count, N, 3), given in nm. `remarks` are lines of text
 * before the first model. Throws InputError for coordinates that do not fit.
 */
export function* encodePdb(
  atoms: PdbAtoms,
  positions: ArrayLike<number>,
  count: number,
  remarks: readonly string[] = [],
): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  const N = atoms.names.length;
  const head = atoms.names.map((name, i) => {
    const residue = atoms.residues[i];
    return `ATOM  ${right((i + 1) % 100_000, 5)} ${atomName(name, atoms.symbols[i])} ` +
      `${right(atoms.residueNames[residue], 3)} A${right((residue + 1) % 10_000, 4)}    `;
  });
  const tail = atoms.symbols.map((symbol) =>
    `  1.00  0.00          ${right(symbol === "X" ? "" : symbol.toUpperCase(), 2)}\n`
  );
  yield encoder.encode(
    remarks.map((line) => `REMARK 250 ${line}\n`).join(""),
  );
  for (let s = 0; s < count; s++) {
    let text = `MODEL     ${right(s + 1, 4)}\n`;
    for (let i = 0; i < N; i++) {
      text += head[i];
      for (let a = 0; a < 3; a++) text += coordinate(10 * positions[3 * (s * N + i) + a]);
      text += tail[i];
    }
    yield encoder.encode(`${text}ENDMDL\n`);
  }
  yield encoder.encode("END\n");
}

/**
 * All models of a text. Throws InputError naming file and line: models of different lengths, alternate
 * locations, coordinates that are no numbers.
 */
export function decodePdb(text: string, path: string): PdbModels {
  const fail = (line: number, what: string): never => {
    throw new InputError(`cannot read ${path}: line ${line}: ${what}`);
  };
  const names: string[] = [];
  const values: number[] = [];
  let line = 0;
  let count = 0;
  let inModel = 0;
  let closed = true;
  const close = () => {
    if (inModel === 0) return;
    if (count > 0 && inModel !== names.length) {
      fail(line, `model ${count + 1} has ${inModel} atoms, the first has ${names.length}`);
    }
    count++;
    inModel = 0;
  };
  for (let at = 0; at < text.length;) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    line++;
    const row = text.slice(at, Math.min(end, at + 100));
    at = end + 1;
    const record = row.slice(0, 6).trimEnd();
    if (record === "MODEL") {
      if (!closed) fail(line, "MODEL inside a model");
      close();
      closed = false;
    } else if (record === "ENDMDL") {
      close();
      closed = true;
    } else if (record === "ATOM" || record === "HETATM") {
      if (row.charAt(16).trim() !== "") fail(line, "alternate locations are not read");
      const name = row.slice(12, 16).trim();
      if (count === 0) names.push(name);
      else if (names[inModel] !== name) {
        fail(
          line,
          `atom ${JSON.stringify(name)}, the first model has ` +
            `${JSON.stringify(names[inModel] ?? "none")} there`,
        );
      }
      inModel++;
      for (let a = 0; a < 3; a++) {
        const field = row.slice(30 + 8 * a, 38 + 8 * a);
        const value = /^ *-?\d+\.\d* *$|^ *-?\d+ *$/.test(field) ? Number(field) : NaN;
        if (!Number.isFinite(value) || field.length < 8) {
          fail(line, `${JSON.stringify(field)} is not a coordinate of 8 characters`);
        }
        values.push(value / 10);
      }
    } else if (/[^\t\r -~]/.test(row)) {
      fail(line, "this is no PDB file: it holds bytes that are no text");
    }
  }
  if (!closed) fail(line, "the last model has no ENDMDL");
  close();
  if (count === 0) fail(line, "there is no ATOM record");
  return { count, positions: Float64Array.from(values), names };
}

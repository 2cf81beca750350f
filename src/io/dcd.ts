/**
 * DCD trajectories as CHARMM writes them and VMD, MDTraj and MDAnalysis read them: float32 positions
 * in Å, no box, little-endian. The format has no time here: frames are samples, the step is 1.
 */
import { unreadable } from "./unreadable.ts";

/** Records of at most this many titles of 80 characters. */
const TITLE = 80;

/** Fortran frames a record by its length. */
function record(bytes: number): { view: DataView<ArrayBuffer>; out: Uint8Array } {
  const view = new DataView(new ArrayBuffer(bytes + 8));
  view.setInt32(0, bytes, true);
  view.setInt32(bytes + 4, bytes, true);
  return { view, out: new Uint8Array(view.buffer) };
}

/**
 * The bytes of a trajectory of `count` configurations (count, N, 3), multiplied by `scale` (10 from nm
 * to Å).
 */
export function* encodeDcd(
  positions: ArrayLike<number>,
  count: number,
  atoms: number,
  scale: number,
  title: string,
): Generator<Uint8Array> {
  const header = record(84);
  "CORD".split("").forEach((letter, k) => header.view.setUint8(4 + k, letter.charCodeAt(0)));
  // Number of frames, first step, steps between frames, all steps; the rest is 0 but the version.
  [count, 1, 1, count].forEach((value, k) => header.view.setInt32(8 + 4 * k, value, true));
  header.view.setFloat32(8 + 4 * 9, 1, true); // time step
  header.view.setInt32(8 + 4 * 19, 24, true); // CHARMM 24
  yield header.out;
  const titles = record(4 + TITLE);
  titles.view.setInt32(4, 1, true);
  const text = new TextEncoder().encode(title.replace(/[^\x20-\x7e]/g, "?").padEnd(TITLE)).subarray(
    0,
    TITLE,
  );
  titles.out.set(text, 8);
  yield titles.out;
  const size = record(4);
  size.view.setInt32(4, atoms, true);
  yield size.out;
  for (let s = 0; s < count; s++) {
    const frame = new Uint8Array(3 * (4 * atoms + 8));
    for (let a = 0; a < 3; a++) {
      const { view, out } = record(4 * atoms);
      for (let i = 0; i < atoms; i++) {
        view.setFloat32(4 + 4 * i, scale * positions[3 * (s * atoms + i) + a], true);
      }
      frame.set(out, a * out.length);
    }
    yield frame;
  }
}

export interface DcdFrames {
  readonly count: number;
  readonly atoms: number;
  /** (count, N, 3) in the file's unit, Å. */
  readonly positions: Float32Array;
}

/**
 * All frames of a DCD, with or without boxes (left out). Throws InputError naming `path` for anything
 * that is not whole.
 */
export function decodeDcd(bytes: Uint8Array, path: string): DcdFrames {
  const fail = (what: string): never => {
    throw unreadable(path, "DCD", what);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  /** Start and length of the next record. */
  const next = (what: string): [number, number] => {
    const length = at + 4 <= bytes.length ? view.getInt32(at, true) : -1;
    const end = at + 4 + length;
    if (length < 0 || end + 4 > bytes.length || view.getInt32(end, true) !== length) {
      fail(`${what} is damaged or truncated (byte ${at}); only little-endian files are read`);
    }
    const start = at + 4;
    at = end + 4;
    return [start, length];
  };
  const [header, headerLength] = next("its header");
  if (
    headerLength !== 84 || new TextDecoder().decode(bytes.subarray(header, header + 4)) !== "CORD"
  ) {
    fail("it does not start with a CORD header");
  }
  const word = (k: number) => view.getInt32(header + 4 + 4 * k, true);
  if (word(8) !== 0) fail("files with fixed atoms are not read");
  const boxed = word(10) !== 0;
  if (word(11) !== 0) fail("four-dimensional files are not read");
  next("its title");
  const [size, sizeLength] = next("its number of atoms");
  const atoms = sizeLength === 4 ? view.getInt32(size, true) : 0;
  if (atoms < 1) fail(`it has ${atoms} atoms`);
  const frame = 3 * (4 * atoms + 8) + (boxed ? 56 : 0);
  const count = (bytes.length - at) / frame;
  if (!Number.isInteger(count)) fail(`its last frame is truncated (${bytes.length} bytes)`);
  const positions = new Float32Array(3 * count * atoms);
  for (let s = 0; s < count; s++) {
    if (boxed) next(`the box of frame ${s}`);
    for (let a = 0; a < 3; a++) {
      const [start, length] = next(`frame ${s}`);
      if (length !== 4 * atoms) fail(`frame ${s} has ${length / 4} atoms, expected ${atoms}`);
      for (let i = 0; i < atoms; i++) {
        positions[3 * (s * atoms + i) + a] = view.getFloat32(start + 4 * i, true);
      }
    }
  }
  return { count, atoms, positions };
}

/** .npz: a zip of .npy files; written without compression and with fixed times. */
import { Zip, ZipPassThrough } from "fflate";
import { crc32, inflateRawSync } from "node:zlib";
import { InputError } from "../errors.ts";
import { decodeNpy, encodeNpy, type NpyArray } from "./npy.ts";
import { unreadable } from "./unreadable.ts";

/** The zip format's own earliest date, so that no clock gets into the file. */
const EPOCH = new Date(1980, 0, 1, 12);
const CHUNK = 1 << 22;

/** What 32-bit sizes and offsets can say (zip64 is not written). */
const LIMIT = 0xffffffff;

/**
 * The bytes of an .npz in order; arrays are passed through in pieces, never held twice, and equal
 * arrays give equal bytes. Throws InputError beyond 4 GiB, before the first byte.
 */
export function encodeNpz(arrays: Readonly<Record<string, NpyArray>>): Generator<Uint8Array> {
  const pieces = Object.entries(arrays).map(([name, { data, shape }]) =>
    [`${name}.npy`, ...encodeNpy(data, shape)] as const
  );
  const size = pieces.reduce(
    (sum, [name, header, body]) => sum + header.length + body.length + 2 * name.length + 100,
    22,
  );
  if (size > LIMIT) {
    throw new InputError(
      `an .npz of ${(size / 2 ** 30).toFixed(1)} GiB cannot be written, 4 GiB is the limit: ` +
        `draw the samples in several files with different seeds`,
    );
  }
  return stream(pieces);
}

function* stream(
  pieces: readonly (readonly [string, Uint8Array, Uint8Array])[],
): Generator<Uint8Array> {
  let pending: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    pending.push(chunk);
  });
  for (const [name, header, body] of pieces) {
    const entry = new ZipPassThrough(name);
    entry.mtime = EPOCH;
    zip.add(entry);
    entry.push(header, body.length === 0);
    for (let at = 0; at < body.length; at += CHUNK) {
      entry.push(body.subarray(at, at + CHUNK), at + CHUNK >= body.length);
      yield* pending;
      pending = [];
    }
  }
  zip.end();
  yield* pending;
}

const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const END = 0x06054b50;

/**
 * The arrays of an .npz by name (without ".npy"), stored or deflated, checksums verified. Throws
 * InputError naming `path` and the array for anything that is not a whole, sound archive.
 */
export function decodeNpz(bytes: Uint8Array, path: string): Record<string, NpyArray> {
  const fail = (what: string): never => {
    throw unreadable(path, ".npz", what);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  // Archive comments are not looked for: numpy writes none.
  const end = bytes.length - 22;
  if (end < 0 || u32(end) !== END || u16(end + 20) !== 0) {
    fail("the directory of the archive is missing or truncated");
  }
  const entries = u16(end + 10);
  const directory = u32(end + 16);
  if (u32(end + 4) !== 0 || u16(end + 8) !== entries || directory + u32(end + 12) !== end) {
    fail("its directory is damaged, or it is larger than 4 GiB");
  }
  const arrays = new Map<string, NpyArray>();
  let at = directory;
  let reached = 0;
  for (let k = 0; k < entries; k++) {
    if (at + 46 > end || u32(at) !== ENTRY) fail(`entry ${k} of its directory is damaged`);
    const [flags, method, crc] = [u16(at + 8), u16(at + 10), u32(at + 16)];
    const [packed, size, local] = [u32(at + 20), u32(at + 24), u32(at + 42)];
    const nameEnd = at + 46 + u16(at + 28);
    const next = nameEnd + u16(at + 30) + u16(at + 32);
    if (next > end) fail(`entry ${k} of its directory is damaged`);
    const nameBytes = bytes.subarray(at + 46, nameEnd);
    const file = new TextDecoder().decode(nameBytes);
    if (!file.endsWith(".npy")) fail(`entry ${JSON.stringify(file)} is not a .npy file`);
    if ((flags & 1) !== 0 || (method !== 0 && method !== 8)) {
      fail(`${file} is encrypted or packed with method ${method}`);
    }
    // Entries follow one another, each with its own header; sizes there may be left out.
    const nameLength = local + 30 <= directory ? u16(local + 26) : 0;
    const from = local + 30 <= directory ? local + 30 + nameLength + u16(local + 28) : Infinity;
    if (
      local < reached || from + packed > directory || u32(local) !== LOCAL ||
      u16(local + 6) !== flags || u16(local + 8) !== method ||
      nameLength !== nameBytes.length || nameBytes.some((b, i) => b !== bytes[local + 30 + i])
    ) fail(`${file} is not where the directory says`);
    const body = unpack(bytes.subarray(from, from + packed), method, size);
    if (!body || body.length !== size || crc32(body) !== crc) {
      return fail(`${file} is damaged: its checksum does not match`);
    }
    const name = file.slice(0, -".npy".length);
    if (arrays.has(name)) fail(`${file} is there twice`);
    arrays.set(name, decodeNpy(body, `${path}: ${file}`));
    reached = from + packed;
    at = next;
  }
  if (at !== end) fail("its directory is damaged");
  return Object.fromEntries(arrays);
}

function unpack(packed: Uint8Array, method: number, size: number): Uint8Array | null {
  if (method === 0) return packed;
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(size, 1) });
  } catch {
    return null;
  }
}

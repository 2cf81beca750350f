/** The .npy format, version 1.0: one array with its dtype and shape (numpy.lib.format). */
import { unreadable } from "./unreadable.ts";

/** Numbers in C order, or one string (a unicode scalar of shape ()). */
export type NpyData = Float32Array | Float64Array | BigInt64Array | string;

export interface NpyArray<T extends NpyData = NpyData> {
  readonly data: T;
  readonly shape: readonly number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY

const TYPES = { "<f4": Float32Array, "<f8": Float64Array, "<i8": BigInt64Array } as const;

function describe(data: NpyData): string {
  if (typeof data === "string") return `<U${Math.max(1, [...data].length)}`;
  if (data instanceof Float32Array) return "<f4";
  return data instanceof Float64Array ? "<f8" : "<i8";
}

/**
 * Header and data as separate pieces, so that a large array is not copied. Throws RangeError when
 * the shape does not fit the data.
 */
export function encodeNpy(
  data: NpyData,
  shape: readonly number[],
): [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>] {
  const elements = typeof data === "string" ? 1 : data.length;
  if (elementsOf(shape) !== elements) {
    throw new RangeError(`shape (${shape.join(", ")}) does not hold ${elements} elements`);
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${describe(data)}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = new Uint8Array(length).fill(0x20);
  header.set(MAGIC);
  header[6] = 1;
  header[7] = 0;
  new DataView(header.buffer).setUint16(8, length - 10, true);
  header.set(new TextEncoder().encode(text), 10);
  header[length - 1] = 0x0a;
  if (typeof data === "string") {
    const points = Uint32Array.from([...data], (c) => c.codePointAt(0)!);
    return [header, new Uint8Array(points.length ? points.buffer : new ArrayBuffer(4))];
  }
  return [
    header,
    new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
  ];
}

/**
 * Reads float32, float64 or int64 in C order, or one unicode string. Throws InputError naming `path`
 * and what is wrong.
 */
export function decodeNpy(bytes: Uint8Array, path: string): NpyArray {
  const fail = (what: string): never => {
    throw unreadable(path, ".npy", what);
  };
  if (MAGIC.some((byte, i) => i < bytes.length && bytes[i] !== byte)) {
    fail("it does not start with \\x93NUMPY");
  }
  if (bytes.length < 12) fail(`it is truncated (${bytes.length} bytes)`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [major, minor] = [bytes[6], bytes[7]];
  if (major < 1 || major > 2 || minor !== 0) fail(`format version ${major}.${minor} is not known`);
  const start = major === 1 ? 10 : 12;
  const headerLength = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const from = start + headerLength;
  if (from > bytes.length) fail("the header is truncated");
  const header = parseHeader(new TextDecoder("latin1").decode(bytes.subarray(start, from)));
  if (!header) return fail("the header is not one of descr, fortran_order and shape");
  const { descr, fortranOrder, shape } = header;
  if (fortranOrder && shape.length > 1) fail("the array is in Fortran order, C order is read");
  const letters = /^<U([1-9]\d{0,8})$/.exec(descr);
  if (letters && shape.length > 0) fail("arrays of strings are not read");
  if (!letters && !Object.hasOwn(TYPES, descr)) {
    fail(`dtype ${descr} is not read; save it as float32 or float64`);
  }
  const Type = TYPES[descr as keyof typeof TYPES];
  const needed = letters ? 4 * Number(letters[1]) : elementsOf(shape) * Type.BYTES_PER_ELEMENT;
  const present = bytes.length - from;
  if (needed !== present) {
    fail(`shape (${shape.join(", ")}) of ${descr} needs ${needed} bytes, ${present} are there`);
  }
  // Not slice(): that of a Node Buffer does not copy.
  const data = new Uint8Array(bytes.subarray(from)).buffer;
  if (!letters) return { data: new Type(data), shape };
  const points = new Uint32Array(data);
  if (points.some((p) => p > 0x10ffff)) fail("its text is not Unicode");
  // numpy pads strings with zeros.
  const end = points.findLastIndex((p) => p !== 0) + 1;
  return {
    data: Array.from(points.subarray(0, end), (p) => String.fromCodePoint(p)).join(""),
    shape,
  };
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

const ENTRY =
  /'(?:(descr)': *'([^']*)'|(fortran_order)': *(True|False)|(shape)': *\(((?:\d+(?:, *\d+)*,?)?)\)), */y;

/** The header's dictionary, its keys in any order; null when it is anything else. */
function parseHeader(
  text: string,
): { descr: string; fortranOrder: boolean; shape: number[] } | null {
  const frame = /^\{(.*?)\} *\n$/.exec(text);
  if (!frame) return null;
  const body = /, *$/.test(frame[1]) ? frame[1] : frame[1] + ",";
  const values = new Map<string, string>();
  ENTRY.lastIndex = 0;
  for (let at = 0; at < body.length; at = ENTRY.lastIndex) {
    const match = ENTRY.exec(body);
    const key = match?.[1] ?? match?.[3] ?? match?.[5];
    if (!match || key === undefined || values.has(key)) return null;
    values.set(key, match[2] ?? match[4] ?? match[6]);
  }
  if (values.size !== 3) return null;
  return {
    descr: values.get("descr")!,
    fortranOrder: values.get("fortran_order") === "True",
    shape: values.get("shape")!.split(",").map((size) => size.trim()).filter(Boolean).map(Number),
  };
}

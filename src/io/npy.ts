/** The .npy format, version 1.0: one array with its dtype and shape (numpy.lib.format). */
import { InputError } from "../errors.ts";

export type NpyData = Float32Array | Float64Array | BigInt64Array | string;

export interface NpyArray {
  readonly data: Float32Array | Float64Array | BigInt64Array;
  readonly shape: readonly number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY

function describe(data: NpyData): string {
  if (typeof data === "string") return `<U${Math.max(1, [...data].length)}`;
  if (data instanceof Float32Array) return "<f4";
  return data instanceof Float64Array ? "<f8" : "<i8";
}

/** Header and data as separate pieces, so that a large array is not copied. */
export function encodeNpy(data: NpyData, shape: readonly number[]): Uint8Array<ArrayBuffer>[] {
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

/** Reads float32, float64 or int64 in C order. Throws InputError naming `path` and what is wrong. */
export function decodeNpy(bytes: Uint8Array, path: string): NpyArray {
  const fail = (what: string): never => {
    throw new InputError(`${path} is not a readable .npy file: ${what}`);
  };
  if (bytes.length < 10) fail(`it is truncated (${bytes.length} bytes)`);
  if (MAGIC.some((b, i) => bytes[i] !== b)) fail("it does not start with \\x93NUMPY");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  if (version !== 1 && version !== 2) fail(`format version ${version}.${bytes[7]} is not known`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) fail("the header is truncated");
  const headerLength = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (start + headerLength > bytes.length) fail("the header is truncated");
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + headerLength));
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const tuple = /'shape':\s*\(([\d\s,]*)\)/.exec(header)?.[1];
  if (descr === undefined || fortran === undefined || tuple === undefined) {
    return fail("the header lacks descr, fortran_order or shape");
  }
  const shape = tuple.split(",").map((t) => t.trim()).filter((t) => t !== "").map(Number);
  if (fortran === "True" && shape.length > 1) {
    fail("the array is in Fortran order, C order is read");
  }
  const size: number = { "<f4": 4, "<f8": 8, "<i8": 8 }[descr] ??
    fail(`dtype ${descr} is not read; save it as float32 or float64`);
  const count = shape.reduce((product, d) => product * d, 1);
  const from = start + headerLength;
  const present = bytes.length - from;
  if (!Number.isSafeInteger(count) || count * size !== present) {
    fail(
      `shape (${shape.join(", ")}) of ${descr} needs ${count * size} bytes, ${present} are there`,
    );
  }
  const data = bytes.slice(from).buffer as ArrayBuffer;
  if (descr === "<f4") return { data: new Float32Array(data), shape };
  if (descr === "<f8") return { data: new Float64Array(data), shape };
  return { data: new BigInt64Array(data), shape };
}

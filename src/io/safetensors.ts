/** The safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes. */
import { unreadable } from "./unreadable.ts";

export type TensorData = Float64Array | Float32Array | Int32Array;

export interface SafetensorsFile {
  readonly tensors: Record<string, TensorData>;
  readonly metadata: Record<string, string>;
}

const DTYPES = { F64: Float64Array, F32: Float32Array, I32: Int32Array } as const;
type Dtype = keyof typeof DTYPES;

const dtypeOf = (data: TensorData): Dtype =>
  data instanceof Float64Array ? "F64" : data instanceof Float32Array ? "F32" : "I32";

/**
 * All tensors are flat; their meaning stands in the metadata. Equal content in equal order gives
 * equal bytes. Throws RangeError for the one name the format keeps to itself.
 */
export function encodeSafetensors(file: SafetensorsFile): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = Object.assign(Object.create(null), {
    __metadata__: file.metadata,
  });
  // Wide elements first: then each tensor stands at a multiple of its element size.
  const tensors = Object.entries(file.tensors)
    .sort(([, a], [, b]) => b.BYTES_PER_ELEMENT - a.BYTES_PER_ELEMENT);
  let end = 0;
  for (const [name, data] of tensors) {
    if (name === "__metadata__") throw new RangeError(`a tensor cannot be named ${name}`);
    header[name] = {
      dtype: dtypeOf(data),
      shape: [data.length],
      data_offsets: [end, end + data.byteLength],
    };
    end += data.byteLength;
  }
  let text = new TextEncoder().encode(JSON.stringify(header));
  // Padding with spaces keeps the tensors 8-byte aligned, as the format recommends.
  const padded = Math.ceil(text.length / 8) * 8;
  text = new TextEncoder().encode(JSON.stringify(header) + " ".repeat(padded - text.length));
  const out = new Uint8Array(8 + text.length + end);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  let at = 8 + text.length;
  for (const [, data] of tensors) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}

/** Throws InputError naming `path` and the tensor for anything that is not a whole, sound file. */
export function decodeSafetensors(bytes: Uint8Array, path: string): SafetensorsFile {
  const fail = (what: string): never => {
    throw unreadable(path, "safetensors", what);
  };
  if (bytes.length < 8) fail(`it is truncated (${bytes.length} bytes)`);
  const length = Number(
    new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true),
  );
  if (length > bytes.length - 8) fail("the header is truncated");
  let header: Record<string, unknown> = {};
  try {
    header = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)),
    );
  } catch {
    fail("the header is not JSON");
  }
  if (!isPlainObject(header)) fail("the header is not an object");
  const body = bytes.subarray(8 + length);
  // By way of maps: a name such as __proto__ is a name like any other.
  const tensors = new Map<string, TensorData>();
  const metadata = new Map<string, string>();
  const spans: [number, number, string][] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (!isPlainObject(entry)) return fail("__metadata__ is not an object");
      for (const [key, value] of Object.entries(entry)) {
        if (typeof value !== "string") fail(`metadata ${key} is not a string`);
        metadata.set(key, value as string);
      }
      continue;
    }
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    const whole = (list: unknown): list is number[] =>
      Array.isArray(list) && list.every((v) => Number.isSafeInteger(v) && v >= 0);
    if (typeof dtype !== "string" || !Object.hasOwn(DTYPES, dtype)) {
      fail(`tensor ${name} has dtype ${dtype}`);
    }
    if (!whole(shape) || !whole(offsets) || offsets.length !== 2) {
      return fail(`tensor ${name} has no proper shape and data_offsets`);
    }
    const Type = DTYPES[dtype as Dtype];
    const [from, to] = offsets;
    const count = shape.reduce((product, d) => product * d, 1);
    if (to > body.length) fail(`tensor ${name} is truncated`);
    if (to - from !== count * Type.BYTES_PER_ELEMENT) {
      fail(`tensor ${name}: ${to - from} bytes for shape (${shape.join(", ")}) of ${dtype}`);
    }
    spans.push([from, to, name]);
    tensors.set(name, new Type(new Uint8Array(body.subarray(from, to)).buffer));
  }
  spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let end = 0;
  for (const [from, to, name] of spans) {
    if (from !== end) fail(`tensor ${name} overlaps another or leaves a gap`);
    end = to;
  }
  if (end !== body.length) fail(`${body.length - end} bytes follow the last tensor`);
  return { tensors: Object.fromEntries(tensors), metadata: Object.fromEntries(metadata) };
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

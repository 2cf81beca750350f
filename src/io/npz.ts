/** .npz: a store-only zip of .npy files, with fixed times so that equal arrays give equal bytes. */
import { Zip, ZipPassThrough } from "fflate";
import { encodeNpy, type NpyData } from "./npy.ts";

/** The zip format's own earliest date, so that no clock gets into the file. */
const EPOCH = new Date(1980, 0, 1);
const CHUNK = 1 << 22;

/** The bytes of an .npz in order; arrays are passed through in pieces, never held twice. */
export function* encodeNpz(
  arrays: Readonly<Record<string, { data: NpyData; shape: readonly number[] }>>,
): Generator<Uint8Array> {
  let pending: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    pending.push(chunk);
  });
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    const entry = new ZipPassThrough(`${name}.npy`);
    entry.mtime = EPOCH;
    zip.add(entry);
    const [header, body] = encodeNpy(data, shape);
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

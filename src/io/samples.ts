/** Weighted samples out, reference samples in. */
import { InputError } from "../errors.ts";
import { asInputError, writeFileAtomic } from "./atomic.ts";
import { decodeNpy, type NpyData } from "./npy.ts";
import { decodeNpz, encodeNpz } from "./npz.ts";

export interface SampleFile {
  /** (count, N, n). */
  readonly positions: Float32Array;
  readonly shape: readonly [number, number, number];
  readonly logWeights: Float64Array;
  readonly energies: Float64Array;
  readonly seed: number;
  readonly definition: string;
  readonly hash: string;
}

/**
 * An .npz with positions (float32), log_weights and energies (float64), seed (int64), definition and
 * hash (unicode scalars). Throws InputError where it cannot be written.
 */
export async function writeSamples(path: string, samples: SampleFile): Promise<void> {
  const count = samples.shape[0];
  await writeFileAtomic(
    path,
    encodeNpz({
      positions: { data: samples.positions, shape: samples.shape },
      log_weights: { data: samples.logWeights, shape: [count] },
      energies: { data: samples.energies, shape: [count] },
      seed: { data: BigInt64Array.from([BigInt(samples.seed)]), shape: [] },
      definition: { data: samples.definition, shape: [] },
      hash: { data: samples.hash, shape: [] },
    }),
  );
}

/** Reads what `writeSamples` wrote. Throws InputError naming the file and the array at fault. */
export async function readSamples(path: string): Promise<SampleFile> {
  const arrays = decodeNpz(await readBytes(path, `cannot read ${path}`), path);
  const take = <T extends NpyData>(name: string, is: (data: NpyData) => data is T) => {
    if (!Object.hasOwn(arrays, name)) throw new InputError(`${path} has no array ${name}`);
    const { data, shape } = arrays[name];
    if (!is(data)) throw new InputError(`${path}: array ${name} is of another type than expected`);
    return { data, shape };
  };
  const isFloat64 = (data: NpyData) => data instanceof Float64Array;
  const isString = (data: NpyData) => typeof data === "string";
  const positions = take("positions", (data) => data instanceof Float32Array);
  const [count, particles, dimension] = positions.shape;
  if (positions.shape.length !== 3) {
    throw new InputError(
      `${path}: positions have shape (${positions.shape.join(", ")}), expected (n, N, dim)`,
    );
  }
  const [logWeights, energies] = ["log_weights", "energies"].map((name) => {
    const { data, shape } = take(name, isFloat64);
    if (shape.length !== 1 || shape[0] !== count) {
      throw new InputError(
        `${path}: ${name} has shape (${shape.join(", ")}), expected (${count},)`,
      );
    }
    return data;
  });
  const seed = take("seed", (data) => data instanceof BigInt64Array).data;
  if (seed.length !== 1) throw new InputError(`${path}: seed is not one number`);
  return {
    positions: positions.data,
    shape: [count, particles, dimension],
    logWeights,
    energies,
    seed: Number(seed[0]),
    definition: take("definition", isString).data,
    hash: take("hash", isString).data,
  };
}

async function readBytes(path: string, action: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw asInputError(error, action);
  }
}

/**
 * Target samples from a .npy of shape (S, N·n) or (S, N, n), float32 or float64, as (S, N·n).
 * Throws InputError for another shape, an empty set, or numbers that are not finite.
 */
export async function readReference(
  path: string,
  particles: number,
  dimension: number,
): Promise<Float64Array> {
  const bytes = await readBytes(path, `cannot read ${path}`);
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) { // PK
    throw new InputError(
      `${path} is a zip archive (.npz?), a reference is one array in a .npy file`,
    );
  }
  const { data, shape } = decodeNpy(bytes, path);
  if (typeof data === "string") throw new InputError(`${path} holds a text, not configurations`);
  const size = particles * dimension;
  const flat = shape.length === 2 && shape[1] === size;
  const full = shape.length === 3 && shape[1] === particles && shape[2] === dimension;
  if (!flat && !full) {
    throw new InputError(
      `${path} has shape (${shape.join(", ")}), expected (S, ${size}) or ` +
        `(S, ${particles}, ${dimension})`,
    );
  }
  if (shape[0] === 0) throw new InputError(`${path} holds no configuration`);
  const out = data instanceof Float64Array
    ? data
    : Float64Array.from(data as ArrayLike<number | bigint>, Number);
  const bad = out.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) {
    throw new InputError(
      `${path}: configuration ${Math.floor(bad / size)} has a value ${out[bad]}`,
    );
  }
  return out;
}

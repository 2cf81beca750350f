/** Weighted samples out, reference samples in. */
import { InputError } from "../errors.ts";
import { asInputError, writeFileAtomic } from "./atomic.ts";
import { decodeNpy } from "./npy.ts";
import { encodeNpz } from "./npz.ts";

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

/**
 * Target samples from a .npy of shape (S, N·n) or (S, N, n), float32 or float64, as (S, N·n).
 * Throws InputError for another shape, an empty set, or numbers that are not finite.
 */
export async function readReference(
  path: string,
  particles: number,
  dimension: number,
): Promise<Float64Array> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw asInputError(error, `cannot read the reference ${path}`);
  }
  const { data, shape } = decodeNpy(bytes, path);
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
  const out = Float64Array.from(data as ArrayLike<number | bigint>, Number);
  const bad = out.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) {
    throw new InputError(
      `${path}: configuration ${Math.floor(bad / size)} has a value ${out[bad]}`,
    );
  }
  return out;
}

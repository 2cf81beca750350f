/**
 * Checkpoints that survive a kill at any moment: the newest file is replaced by renaming, the one
 * before it is kept, and a checksum over tensors and metadata detects damage.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { asInputError, writeFileAtomic } from "./atomic.ts";
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from "./safetensors.ts";

export type Checkpoint = SafetensorsFile;

export const checkpointFile = (dir: string): string => join(dir, "checkpoint.safetensors");
export const previousCheckpointFile = (dir: string): string =>
  join(dir, "checkpoint.previous.safetensors");

const CHECKSUM = "sha256";

/** Digest of everything in the file but itself. */
function checksum({ tensors, metadata }: Checkpoint): string {
  const hash = sha256.create();
  const text = (value: string) => hash.update(new TextEncoder().encode(`${value.length}:${value}`));
  for (const key of Object.keys(metadata).sort()) {
    if (key !== CHECKSUM) text(key), text(metadata[key]);
  }
  for (const name of Object.keys(tensors).sort()) {
    const data = tensors[name];
    text(name), text(data.constructor.name);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return bytesToHex(hash.digest());
}

/**
 * Writes DIR/checkpoint.safetensors; what was there becomes checkpoint.previous.safetensors, unless
 * it is damaged: the one sound file is never replaced by a copy of a damaged one. The bytes depend
 * on the checkpoint alone. Throws InputError where it cannot be written; the old files stay.
 */
export async function saveCheckpoint(dir: string, checkpoint: Checkpoint): Promise<void> {
  const path = checkpointFile(dir);
  const metadata = { ...checkpoint.metadata, [CHECKSUM]: checksum(checkpoint) };
  const bytes = encodeSafetensors({ tensors: checkpoint.tensors, metadata });
  const old = await readBytes(path);
  if (old && isSound(old, path)) await writeFileAtomic(previousCheckpointFile(dir), old);
  await writeFileAtomic(path, bytes);
}

async function readBytes(path: string): Promise<Uint8Array | null> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw asInputError(error, `cannot read ${path}`);
  }
}

function decode(bytes: Uint8Array, path: string): Checkpoint {
  const { tensors, metadata: { [CHECKSUM]: digest, ...metadata } } = decodeSafetensors(bytes, path);
  if (digest !== checksum({ tensors, metadata })) {
    throw new InputError(`${path} is damaged: its checksum does not match its content`);
  }
  return { tensors, metadata };
}

function isSound(bytes: Uint8Array, path: string): boolean {
  try {
    decode(bytes, path);
    return true;
  } catch {
    return false;
  }
}

async function read(path: string): Promise<Checkpoint | null> {
  const bytes = await readBytes(path);
  return bytes && decode(bytes, path);
}

/**
 * The newest sound checkpoint of a folder; null when there is none at all. A damaged newest file
 * falls back to the previous one, with a word to `note`. Throws InputError when no sound one is left.
 */
export async function loadCheckpoint(
  dir: string,
  note: (line: string) => void = () => {},
): Promise<Checkpoint | null> {
  try {
    const newest = await read(checkpointFile(dir));
    if (newest) return newest;
    return await read(previousCheckpointFile(dir));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    let previous: Checkpoint | null = null;
    try {
      previous = await read(previousCheckpointFile(dir));
    } catch (second) {
      if (!(second instanceof InputError)) throw second;
    }
    if (!previous) throw error;
    note(`${error.message}; going on from ${previousCheckpointFile(dir)}`);
    return previous;
  }
}

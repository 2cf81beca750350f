/**
 * Files appear whole or not at all: contents go to a temporary file in the same folder, are synced,
 * and take the final name in one rename. A failure leaves the earlier file as it was.
 */
import { basename, dirname, join } from "node:path";
import { kill } from "node:process";
import { InputError } from "../errors.ts";

/** What a file is made of: bytes, text (UTF-8) or chunks of bytes one after another. */
export type FileContent =
  | Uint8Array
  | string
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>;

/** System error codes that the user can do something about, in words. */
const reasons: Record<string, string> = {
  EACCES: "permission denied",
  EBUSY: "it is in use",
  EDQUOT: "disk quota exceeded",
  EEXIST: "a file of that name is in the way",
  EISDIR: "it is a folder",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENAMETOOLONG: "the name is too long",
  ENFILE: "too many open files",
  ENODEV: "no such device",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "a part of the path is a file, not a folder",
  ENOTEMPTY: "a folder of that name is in the way",
  ENXIO: "no such device",
  EPERM: "operation not permitted",
  EROFS: "the file system is read-only",
  ETXTBSY: "it is in use",
};

/**
 * Turns a file-system error into an InputError of one line, `<action>: <reason>`; any other error
 * is returned as it is. `action` names the path, e.g. "cannot write runs/x/samples.npz".
 */
export function asInputError(error: unknown, action: string): unknown {
  if (error instanceof InputError || !(error instanceof Error)) return error;
  if (error instanceof Deno.errors.NotCapable) {
    return new InputError(`${action}: this program was not given the permission`, { cause: error });
  }
  const code = (error as { code?: unknown }).code;
  const reason = typeof code === "string" ? reasons[code] : systemReason(error.message);
  return reason === undefined ? error : new InputError(`${action}: ${reason}`, { cause: error });
}

/** The system's own words, for errors Deno gives no code ("File too large (os error 27)"). */
function systemReason(message: string): string | undefined {
  const words = /^(.+?) \(os error \d+\)/.exec(message)?.[1];
  return words && words[0].toLowerCase() + words.slice(1);
}

let written = 0;

/** `.<name>.<pid>.<count>.tmp`: never the name of another writer, and its owner can be looked up. */
function temporaryName(name: string): string {
  return `.${name}.${Deno.pid}.${written++}.tmp`;
}

const temporaryPattern = /^\..*\.(\d+)\.\d+\.tmp$/;

/**
 * Writes a file whole or not at all; an existing file is replaced only at the very end. Symbolic
 * links are followed. The bytes are on the disk (fsync of file and folder) when it returns.
 *
 * Throws InputError naming the path when the disk is full, the folder is missing or not writable,
 * or the path is a folder or a device; whatever `content` throws passes through. The temporary
 * file is removed in every case.
 */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  const action = `cannot write ${path}`;
  let temporary: string | undefined;
  let file: Deno.FsFile | undefined;
  try {
    const target = await replaceableTarget(path);
    const folder = dirname(target);
    const name = join(folder, temporaryName(basename(target)));
    file = await Deno.open(name, { write: true, createNew: true });
    temporary = name;
    for await (const chunk of chunksOf(content)) await writeAll(file, chunk);
    await file.sync();
    file.close();
    file = undefined;
    await Deno.rename(temporary, target);
    temporary = undefined;
    await syncFolder(folder);
  } catch (error) {
    throw asInputError(error, action);
  } finally {
    file?.close();
    if (temporary !== undefined) await Deno.remove(temporary).catch(() => {});
  }
}

/** The regular file behind `path` (links resolved), or `path` itself where nothing stands yet. */
async function replaceableTarget(path: string): Promise<string> {
  let found: Deno.FileInfo;
  try {
    found = await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
  if (found.isDirectory) throw new InputError(`cannot write ${path}: it is a folder`);
  // A rename would put a plain file in the place of the device (/dev/full, /dev/null).
  if (!found.isFile) throw new InputError(`cannot write ${path}: it is not a regular file`);
  return await Deno.realPath(path);
}

function chunksOf(content: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof content === "string") return [new TextEncoder().encode(content)];
  return content instanceof Uint8Array ? [content] : content;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Makes the rename itself durable. Not every platform can open a folder: then it is skipped. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using handle = await Deno.open(folder);
    await handle.sync();
  } catch { /* the file is complete either way */ }
}

/**
 * Makes `dir` (with its parents) when missing and proves by a small write that files can be put
 * there. Also removes what a killed earlier process left half-written in it. Throws InputError
 * naming the folder when a file is in the way, the folder cannot be written, or the disk is full.
 */
export async function ensureWritableDirectory(dir: string): Promise<void> {
  const action = `cannot write to folder ${dir}`;
  try {
    await Deno.mkdir(dir, { recursive: true });
    await removeOrphans(dir);
  } catch (error) {
    throw asInputError(error, action);
  }
  const probe = join(dir, temporaryName("probe"));
  try {
    await Deno.writeFile(probe, new Uint8Array(4096), { createNew: true });
  } catch (error) {
    throw asInputError(error, action);
  } finally {
    await Deno.remove(probe).catch(() => {});
  }
}

/**
 * Proves, before hours of work, that `path` can be written by writeFileAtomic later. Throws
 * InputError naming the path as that would; leaves no trace.
 */
export async function ensureWritableFile(path: string): Promise<void> {
  let probe: string | undefined;
  try {
    const target = await replaceableTarget(path);
    const name = join(dirname(target), temporaryName(basename(target)));
    await Deno.writeFile(name, new Uint8Array(0), { createNew: true });
    probe = name;
  } catch (error) {
    throw asInputError(error, `cannot write ${path}`);
  } finally {
    if (probe !== undefined) await Deno.remove(probe).catch(() => {});
  }
}

/** Temporary files whose process is gone (kill -9, power failure). */
async function removeOrphans(dir: string): Promise<void> {
  for await (const entry of Deno.readDir(dir)) {
    const owner = temporaryPattern.exec(entry.name)?.[1];
    if (!entry.isFile || owner === undefined || isRunning(Number(owner))) continue;
    await Deno.remove(join(dir, entry.name)).catch(() => {});
  }
}

function isRunning(pid: number): boolean {
  try {
    kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs and belongs to someone else. Anything unclear counts as running.
    return (error as { code?: unknown }).code !== "ESRCH";
  }
}

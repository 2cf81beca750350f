/** What tells the code of one checkout from that of another, as far as a run's numbers depend on it. */
import { createHash } from "node:crypto";

/** Below src/: what only prints numbers, and the digest itself. */
const without = /^(cli\/|report\/|run\/table1_markdown\.ts$|run\/code\.gen\.ts$)/;

function* filesBelow(folder: URL, prefix = ""): Iterable<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder), `${prefix}${name}/`);
    else if (name.endsWith(".ts")) yield prefix + name;
  }
}

/** SHA-256 of all .ts files below `src`, embedded kernels and shaders among them; hexadecimal. */
export function codeDigest(src: URL): string {
  const hash = createHash("sha256");
  for (const path of [...filesBelow(src)].filter((path) => !without.test(path)).sort()) {
    const text = Deno.readFileSync(new URL(path, src));
    hash.update(`${path} ${text.length}\n`).update(text);
  }
  return hash.digest("hex");
}

/** Training curves as CSV, rewritten whole: a stopped run leaves no torn line. */
import { writeFileAtomic } from "./atomic.ts";

/** One header line, one line per row; numbers in full precision, NaN and infinities as such. */
export async function writeCurve(
  path: string,
  curve: { readonly columns: readonly string[]; readonly rows: readonly (readonly number[])[] },
): Promise<void> {
  const lines = [curve.columns.join(","), ...curve.rows.map((row) => row.join(","))];
  await writeFileAtomic(path, lines.join("\n") + "\n");
}

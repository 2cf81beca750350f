/** JSON as this program writes it: two spaces, keys in their own order, null for what is not finite. */

/** Text of plain data; NaN and infinities become null, typed arrays become arrays. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, node) => {
    if (typeof node === "number" && !Number.isFinite(node)) return null;
    if (ArrayBuffer.isView(node)) return Array.from(node as Float64Array);
    return node;
  }, 2);
}

/** JSON as this program writes it: two spaces, keys in their own order, null for what is not finite. */

/** Text of plain data; NaN and infinities become null, typed arrays become arrays. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, node) => {
    if (typeof node === "number" && !Number.isFinite(node)) return null;
    if (ArrayBuffer.isView(node)) return Array.from(node as Float64Array);
    return node;
  }, 2);
}

/** One line of JSON with sorted keys: equal data give equal text, whatever order fields were set in. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, node) => {
    if (node === null || typeof node !== "object" || Array.isArray(node)) return node;
    return Object.fromEntries(Object.entries(node).sort(([a], [b]) => a < b ? -1 : 1));
  });
}

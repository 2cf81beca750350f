/**
 * Plain data (nested objects and arrays with numbers, strings, booleans, null and typed arrays) to
 * named tensors plus one JSON string, and back to the bit: how training states go into checkpoints.
 */
export type Tensor = Float64Array | Float32Array | Int32Array;

/** Marks the place of a tensor in the JSON. */
const TENSOR = "$tensor";

/** Tensors are named by their path, e.g. "julep.adam.first". */
export function pack(value: unknown): { tensors: Record<string, Tensor>; json: string } {
  const tensors: Record<string, Tensor> = {};
  const visit = (node: unknown, path: string): unknown => {
    if (
      node instanceof Float64Array || node instanceof Float32Array || node instanceof Int32Array
    ) {
      tensors[path] = node;
      return { [TENSOR]: path };
    }
    if (Array.isArray(node)) return node.map((item, i) => visit(item, `${path}.${i}`));
    if (node !== null && typeof node === "object") {
      return Object.fromEntries(
        Object.entries(node).map((
          [key, item],
        ) => [key, visit(item, path ? `${path}.${key}` : key)]),
      );
    }
    if (typeof node === "number" && !Number.isFinite(node)) {
      throw new TypeError(
        `state ${path} is ${node}: put numbers that may not be finite in a tensor`,
      );
    }
    return node;
  };
  return { json: JSON.stringify(visit(value, "")), tensors };
}

/** The inverse of `pack`. Throws TypeError when a tensor is missing. */
export function unpack(tensors: Readonly<Record<string, Tensor>>, json: string): unknown {
  return JSON.parse(json, (_key, node) => {
    if (node !== null && typeof node === "object" && TENSOR in node) {
      const tensor = tensors[node[TENSOR] as string];
      if (!tensor) throw new TypeError(`tensor ${node[TENSOR]} is missing`);
      return tensor;
    }
    return node;
  });
}

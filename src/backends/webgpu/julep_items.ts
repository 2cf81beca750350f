/** The items of shaders/julep_gradient.wgsl. */
import { LANES } from "../backend.ts";

/** Sample, state, and which kernels act there, for every state inside the samples' windows. */
export function itemsOf(windows: Int32Array, column: number, count: number): number[] {
  const items: number[] = [];
  for (let s = 0; s < count; s++) {
    const block = Math.floor((column + s) / LANES);
    const first = windows[2 * block];
    const last = first + windows[2 * block + 1];
    for (let j = first; j <= last; j++) {
      items.push(column + s, j, (j < last ? 1 : 0) + (j > first ? 2 : 0));
    }
  }
  return items;
}

import { LANES } from "../backends/backend.ts";

/**
 * Splits samples first..first+count−1 into ranges of `size` (the last may be shorter), in order.
 * `first` and `size` must be multiples of LANES, so that no result depends on the split.
 */
export function chunks(
  first: number,
  count: number,
  size: number,
): { first: number; count: number }[] {
  if (!Number.isSafeInteger(size) || size <= 0 || size % LANES !== 0) {
    throw new RangeError(`chunk size must be a positive multiple of ${LANES}, got ${size}`);
  }
  if (!Number.isSafeInteger(first) || first < 0 || first % LANES !== 0) {
    throw new RangeError(`first sample must be a multiple of ${LANES}, got ${first}`);
  }
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`number of samples must be an integer of at least 0, got ${count}`);
  }
  return Array.from({ length: Math.ceil(count / size) }, (_, k) => ({
    first: first + k * size,
    count: Math.min(size, count - k * size),
  }));
}

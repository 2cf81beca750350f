// Weights of a population after a level, and who descends from whom where it is resampled, in float64:
// what src/backends/smc.ts computes from log-weights, which is the oracle. A log-weight that is not a
// number, or +∞, weighs nothing.

// 0 log2 e, 1 1.5·2^52, 2 log 2 (high part), 3 log 2 (low part), 4..13 (e^r − 1 − r)/r² from the highest
// power down (minimax on |r| ≤ ½ log 2, relative error 4e-18), 14 one, 15 below it e^x counts as zero.
const EXP = memory.data<f64>([
  1.4426950408889634, 6755399441055744, 6.93147180369123816490e-1, 1.90821492927058770002e-10,
  2.5117606318323912e-8, 2.763085616963711e-7, 2.755721720958806e-6, 2.4801491260698613e-5,
  1.9841269916210953e-4, 1.3888888945573566e-3, 8.333333333307847e-3, 4.166666666652186e-2,
  1.66666666666667e-1, 5.000000000000012e-1, 1, -708,
], 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 { return v128.load64_splat(EXP + (k << 3)); }

// @ts-ignore: decorator
@inline function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f64x2.relaxed_madd(a, b, c);
  else return f64x2.add(f64x2.mul(a, b), c);
}

/** e^x for x ≤ 0 to 2 ulp of float64; 0 below −708 and where x is not a number at most 0. */
// @ts-ignore: decorator
@inline function expOfNegative(x: v128): v128 {
  const inside = v128.and(f64x2.le(x, f64x2.splat(0)), f64x2.ge(x, constant(15)));
  // Adding 1.5·2^52 rounds to an integer and leaves it in the low bits.
  const shifted = f64x2.add(f64x2.mul(x, constant(0)), constant(1));
  const n = f64x2.sub(shifted, constant(1));
  let r = f64x2.sub(x, f64x2.mul(n, constant(2)));
  r = f64x2.sub(r, f64x2.mul(n, constant(3)));
  let p = multiplyAdd(constant(4), r, constant(5));
  p = multiplyAdd(p, r, constant(6));
  p = multiplyAdd(p, r, constant(7));
  p = multiplyAdd(p, r, constant(8));
  p = multiplyAdd(p, r, constant(9));
  p = multiplyAdd(p, r, constant(10));
  p = multiplyAdd(p, r, constant(11));
  p = multiplyAdd(p, r, constant(12));
  p = multiplyAdd(p, r, constant(13));
  p = f64x2.add(multiplyAdd(p, f64x2.mul(r, r), r), constant(14));
  const scale = i64x2.add(i64x2.shl(shifted, 52), constant(14));
  return v128.and(f64x2.mul(p, scale), inside);
}

// @ts-ignore: decorator
@inline function sumOf(v: v128): f64 { return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1); }

/**
 * Log-weights accumulated − energies of `count` samples, an even number. Overwrites `logWeights`, which
 * holds those before the level, and `weights`, relative to the largest. out: f64[5], the largest
 * log-weight, Σ w, Σ w², and of what the level added, d, Σ w d and Σ w d².
 */
export function populationWeights(
  accumulated: usize, energies: usize, logWeights: usize, weights: usize, count: i32, out: usize,
): void {
  const infinity = f64x2.splat(Infinity);
  const none = f64x2.splat(-Infinity);
  let largest = none;
  const size = <usize>count << 3;
  for (let s: usize = 0; s < size; s += 16) {
    const energy = f64x2.promote_low_f32x4(v128.load64_zero(energies + (s >> 1)));
    const after = f64x2.sub(v128.load(accumulated + s), energy);
    // What the level added waits where the weights will be.
    v128.store(weights + s, f64x2.sub(after, v128.load(logWeights + s)));
    v128.store(logWeights + s, after);
    const weighs = v128.bitselect(after, none, f64x2.lt(after, infinity));
    largest = f64x2.pmax(largest, weighs);
  }
  const max = Math.max(f64x2.extract_lane(largest, 0), f64x2.extract_lane(largest, 1));
  const top = f64x2.splat(max);
  const zero = f64x2.splat(0);
  let sum = zero, squares = zero, added = zero, addedSquares = zero;
  for (let s: usize = 0; s < size; s += 16) {
    const w = expOfNegative(f64x2.sub(v128.load(logWeights + s), top));
    // Where the weight is zero, what was added may be infinite.
    const d = v128.and(v128.load(weights + s), f64x2.gt(w, zero));
    v128.store(weights + s, w);
    const wd = f64x2.mul(w, d);
    sum = f64x2.add(sum, w);
    squares = multiplyAdd(w, w, squares);
    added = f64x2.add(added, wd);
    addedSquares = multiplyAdd(wd, d, addedSquares);
  }
  store<f64>(out, max);
  store<f64>(out, sumOf(sum), 8);
  store<f64>(out, sumOf(squares), 16);
  store<f64>(out, sumOf(added), 24);
  store<f64>(out, sumOf(addedSquares), 32);
}

/**
 * systematicAncestors of src/backends/smc.ts, bit for bit. ancestors: i32[count]; scratch: i32[2·count + 2].
 */
export function populationAncestors(
  weights: usize, count: i32, offset: f64, ancestors: usize, scratch: usize,
): void {
  const end = weights + (<usize>count << 3);
  let total: f64 = 0;
  let last = weights;
  for (let at = weights; at < end; at += 8) {
    const w = load<f64>(at);
    total += w;
    if (w > 0) last = at;
  }
  // Places whose samples have no copy, and the further copies of others. Both lists are written to before
  // it is known whether they grow (hence one place more): a branch would often be guessed wrong.
  const empty = scratch;
  const further = scratch + (<usize>(count + 1) << 2);
  let empties = empty, furthers = further;
  let cumulative: f64 = 0;
  let taken = 0;
  const n = <f64>count;
  for (let i = 0; i < count; i++, weights += 8) {
    cumulative += load<f64>(weights);
    let upTo = count;
    if (weights < last) upTo = min(<i32>Math.floor(cumulative / total * n - offset) + 1, count);
    const copies = upTo - taken;
    taken = upTo;
    store<i32>(ancestors + (<usize>i << 2), i);
    store<i32>(empties, i);
    empties += <usize>(copies == 0) << 2;
    store<i32>(furthers, i);
    furthers += <usize>(copies > 1) << 2;
    for (let copy = 2; copy < copies; copy++, furthers += 4) store<i32>(furthers, i);
  }
  for (let from = further; from < furthers; from += 4, scratch += 4) {
    store<i32>(ancestors + (<usize>load<i32>(scratch) << 2), load<i32>(from));
  }
}

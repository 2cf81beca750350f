// The Mint prior's kernels: where things are in memory, and what both dimensions share.
//
// The prior as the host packs it (src/backends/wasm/orbit_vmf.ts):
//   i32 at 0: N, n, K, |G|; f32 at 16: log constant of the broad part (−inf without), 1/s²; i32 at
//   24: the family (mint_prior.ts);
//   the node tables of orbit_integral3.ts (n = 3 only);
//   the labellings, |G| rows of N i32 (anchor first, rows sorted by it), padded to 16 bytes;
//   K components: f32 constant, π_k, Σκ, 1/Σκ; then M places of κ, κμ̂ (3; n = 2: two and 1/κ), ρ,
//   1/σ, mean cosine, 1/|μ|. The constant lacks −Σκ, which is joined to log I(C).
import { exp4 } from "./math";
import { LEVEL_BYTES, LEVELS } from "./orbit_integral3";

// @ts-ignore: decorator
@inline export const HEADER: usize = 32;
// @ts-ignore: decorator
@inline export const COMPONENT: usize = 16;
// @ts-ignore: decorator
@inline export const PLACE: usize = 32;

/** Terms whose bound lies more than this (in log) below the largest so far are zero: 1e-7. */
// @ts-ignore: decorator
@inline export const CUT: f32 = 16;

// Constants in memory: inside loops V8 would rebuild literals (see simd.ts).
const CONSTANTS = memory.data<f32>([0.5, 1, CUT, -0.0, 1e-30, 30], 16);
// @ts-ignore: decorator
@inline export function half(): v128 { return v128.load_splat<f32>(CONSTANTS); }
// @ts-ignore: decorator
@inline export function one(): v128 { return v128.load_splat<f32>(CONSTANTS, 4); }
// @ts-ignore: decorator
@inline export function cut(): v128 { return v128.load_splat<f32>(CONSTANTS, 8); }
// @ts-ignore: decorator
@inline export function signBit(): v128 { return v128.load_splat<f32>(CONSTANTS, 12); }
// @ts-ignore: decorator
@inline export function tiny(): v128 { return v128.load_splat<f32>(CONSTANTS, 16); }
// @ts-ignore: decorator
@inline export function headroom(): v128 { return v128.load_splat<f32>(CONSTANTS, 20); }

/** What a pass over the terms does with them. */
export namespace Mode {
  /** Sums the terms. */
  export const VALUE: i32 = 0;
  /** Sums the terms and their derivatives by positions. */
  export const POSITIONS: i32 = 1;
  /** Sums derivatives by parameters, with total and scale known from a pass before. */
  export const PARAMETERS: i32 = 2;
}

// For the call in progress (a module instance serves one caller at a time):
export let N: usize = 0;
export let M: usize = 0;
export let n: usize = 0;
export let K: usize = 0;
export let G: usize = 0;
export let nodeTables: usize = 0;
export let labellings: usize = 0;
export let components: usize = 0;
export let componentBytes: usize = 0;
/** x with harmless numbers in lanes that are not finite (N·n). */
export let clean: usize = 0;
/** Per ordered pair (a, b): direction of x_b − x_a (n), log r, 1/r. */
export let geometry: usize = 0;
export let geometryStride: usize = 0;
/** Per ordered pair: ∂/∂direction (n), ∂/∂log r, times the total. */
export let slopes: usize = 0;
export let slopeStride: usize = 0;
/** Per anchor: −n Σ_b log r_ab, and the sum of its terms. */
export let anchors: usize = 0;
/** Per place and particle, for one component and anchor: see tabulate in either dimension. */
export let table: usize = 0;
export let tableStride: usize = 0;
/** C or ∂log I/∂C of the term in hand, row-major. */
export let matrix: usize = 0;
/** Derivatives by parameters of the component in hand: see orbit_vmf_parameters.ts. */
export let sums: usize = 0;
/**
 * Running state of a pass: largest bound, reference exponent, total; for PARAMETERS also the factor
 * of every term and the components' share; last a place for four numbers.
 */
export let state: usize = 0;

/** Numbers in one entry of the table: −½z², −z/σ, then P and M (n = 2) or κμθᵀ (n = 3). */
// @ts-ignore: decorator
@inline function entryNumbers(n: i32): i32 {
  return n == 2 ? 6 : 11;
}

/** Bytes of scratch that a prior of this shape needs. */
export function orbitVmfScratchBytes(N: i32, n: i32, K: i32, G: i32): i32 {
  const M = N - 1;
  return 16 * (N * n + N * N * (n + 2) + N * N * (n + 1) + 2 * N + M * N * entryNumbers(n) +
    9 + 1 + M * (n + 2) + 6);
}

export function bind(prior: usize, scratch: usize): void {
  N = <usize>load<i32>(prior);
  n = <usize>load<i32>(prior, 4);
  K = <usize>load<i32>(prior, 8);
  G = <usize>load<i32>(prior, 12);
  M = N - 1;
  nodeTables = prior + HEADER;
  labellings = nodeTables + (n == 3 ? LEVEL_BYTES * <usize>LEVELS : 0);
  components = labellings + (((G * N << 2) + 15) & ~15);
  componentBytes = COMPONENT + PLACE * M;
  clean = scratch;
  geometry = clean + (N * n << 4);
  geometryStride = (n + 2) << 4;
  slopes = geometry + geometryStride * N * N;
  slopeStride = (n + 1) << 4;
  anchors = slopes + slopeStride * N * N;
  table = anchors + (N << 5);
  tableStride = <usize>entryNumbers(<i32>n) << 4;
  matrix = table + tableStride * M * N;
  sums = matrix + 9 * 16;
  state = sums + ((1 + M * (n + 2)) << 4);
}

// @ts-ignore: decorator
@inline export function splat(address: usize): v128 {
  return v128.load_splat<f32>(address);
}

// @ts-ignore: decorator
@inline export function addTo(address: usize, value: v128): void {
  v128.store(address, f32x4.add(v128.load(address), value));
}

// The state of a pass.
// @ts-ignore: decorator
@inline export function largest(): v128 { return v128.load(state); }
// @ts-ignore: decorator
@inline export function reference(): v128 { return v128.load(state, 16); }
// @ts-ignore: decorator
@inline export function total(): v128 { return v128.load(state, 32); }
// @ts-ignore: decorator
@inline export function scale(): v128 { return v128.load(state, 48); }
// @ts-ignore: decorator
@inline export function inside(): usize { return state + 64; }
// @ts-ignore: decorator
@inline export function laneValues(): usize { return state + 80; }

/** Clears slopes and anchors' sums; the pass starts from the broad term's logarithm. */
export function beginPass(broad: v128): void {
  const zero = f32x4.splat(0);
  for (let i: usize = 0; i < slopeStride * N * N; i += 16) v128.store(slopes + i, zero);
  for (let a: usize = 0; a < N; a++) v128.store(anchors + (a << 5), zero, 16);
  v128.store(state, broad);
  v128.store(state, broad, 16);
  v128.store(state, v128.and(f32x4.gt(broad, f32x4.splat(-Infinity)), one()), 32);
}

/**
 * Takes note of a bound. Terms are summed as multiples of e^reference; a lane's reference is moved
 * up, and what it has summed scaled down, only where f32 would otherwise run out of range.
 */
// @ts-ignore: decorator
@inline export function raise(bound: v128): void {
  v128.store(state, f32x4.pmax(largest(), bound));
  const over = f32x4.gt(bound, f32x4.add(reference(), headroom()));
  if (v128.any_true(over)) moveReference(v128.bitselect(bound, reference(), over));
}

function moveReference(to: v128): void {
  const factor = exp4(f32x4.sub(reference(), to));
  v128.store(state, to, 16);
  v128.store(state, f32x4.mul(total(), factor), 32);
  for (let at = slopes; at < slopes + slopeStride * N * N; at += 16) {
    v128.store(at, f32x4.mul(v128.load(at), factor));
  }
  for (let a: usize = 0; a < N; a++) {
    v128.store(anchors + (a << 5), f32x4.mul(v128.load(anchors + (a << 5), 16), factor), 16);
  }
}

// The Mint prior on a block of four systems: log q, ∂log q/∂x, ∂log q/∂parameters.
// Formulas and reference: src/mint/orbit_vmf.ts and src/mint/mixture.ts.
//
// Two passes over the K·|G| terms (component, labelling). The first finds an upper bound of every
// term's logarithm from tables of each place with each particle: log I(C) ≤ the sum of C's singular
// values. The second computes, without a logarithm per term, the few terms that matter and their
// derivatives. In each lane a term whose bound lies more than CUT below the lane's largest is zero,
// whatever the other lanes hold; a term that is zero in all four lanes is skipped.
import { exp4, i0e4, i1e4, log4 } from "./math";
import { LEVEL_BYTES, LEVELS, logOrbitIntegral3, orbitIntegral3Matrix } from "./orbit_integral3";
import { fma, fnma } from "./simd";

// ---- The prior as the host packs it (src/backends/wasm/orbit_vmf.ts) --------------------------
// i32 at 0: N, n, K, |G|; f32 at 16: log constant of the broad part (−inf without), 1/s²;
// then the node tables (n = 3 only), the labellings (|G| rows of N i32), K components: f32
// constant, π_k, Σκ, 0; M places of κ, μ̂ (3), ρ, 1/σ, mean cosine, 1/|μ|.
const HEADER: usize = 32;
const PLACE: usize = 32;

const CUT: f32 = 18;
/** Coordinates from here on count as not finite: their squares would not be. */
const HUGE: f32 = 1e15;

// ---- Where things are for the call in progress (a module serves one caller at a time) ----------
let N: i32 = 0;
let M: i32 = 0;
let n: i32 = 0;
let K: i32 = 0;
let G: i32 = 0;
let nodeTables: usize = 0;
let labellings: usize = 0;
let components: usize = 0;
let componentBytes: usize = 0;
let clean: usize = 0; // x with harmless numbers in lanes that are not finite (N·n)
let geometry: usize = 0; // per ordered pair (a, b): direction of x_b − x_a (n), log r, 1/r
let geometryStride: usize = 0;
let slopes: usize = 0; // per ordered pair: ∂/∂direction (n), ∂/∂log r; unnormalised
let slopeStride: usize = 0;
let anchors: usize = 0; // per anchor: −n Σ_b log r_ab
let table: usize = 0; // per place and particle: radial term, then P and M (n = 2) or κμθᵀ (n = 3)
let tableStride: usize = 0;
let bounds: usize = 0; // per term (K·|G|)
let places: usize = 0; // per place: four numbers of the term in hand
let matrix: usize = 0; // C or ∂log I/∂C of the term in hand (9)
let sums: usize = 0; // ∂/∂parameters of the component in hand

/** Bytes of scratch that a prior of this shape needs. */
export function orbitVmfScratchBytes(N: i32, n: i32, K: i32, G: i32): i32 {
  const M = N - 1;
  return 16 * (N * n + N * N * (n + 2) + N * N * (n + 1) + N + M * N * (1 + (n == 2 ? 4 : 9)) +
    K * G + 4 * M + 9 + 1 + M * (n + 3));
}

/** Bytes of the node tables that stand in a packed prior with n = 3. */
export function orbitVmfTableBytes(): i32 {
  return <i32>LEVEL_BYTES * LEVELS;
}

function bind(prior: usize, scratch: usize): void {
  N = load<i32>(prior);
  n = load<i32>(prior, 4);
  K = load<i32>(prior, 8);
  G = load<i32>(prior, 12);
  M = N - 1;
  nodeTables = prior + HEADER;
  labellings = nodeTables + (n == 3 ? LEVEL_BYTES * LEVELS : 0);
  components = labellings + (((<usize>(G * N) << 2) + 15) & ~15);
  componentBytes = 16 + PLACE * M;
  clean = scratch;
  geometry = clean + (<usize>(N * n) << 4);
  geometryStride = <usize>(n + 2) << 4;
  slopes = geometry + geometryStride * (N * N);
  slopeStride = <usize>(n + 1) << 4;
  anchors = slopes + slopeStride * (N * N);
  table = anchors + (<usize>N << 4);
  tableStride = n == 2 ? 5 * 16 : 10 * 16;
  bounds = table + tableStride * (M * N);
  places = bounds + (<usize>(K * G) << 4);
  matrix = places + (<usize>(4 * M) << 4);
  sums = matrix + 9 * 16;
}

// @ts-ignore: decorator
@inline function splat(address: usize): v128 {
  return v128.load_splat<f32>(address);
}

// @ts-ignore: decorator
@inline function addTo(address: usize, value: v128): void {
  v128.store(address, f32x4.add(v128.load(address), value));
}

// ---- Geometry ---------------------------------------------------------------------------------

/** Copies x, harmless numbers in lanes that are not finite; returns the mask of the finite lanes. */
function sanitise(x: usize): v128 {
  const huge = f32x4.splat(HUGE);
  let finite = i32x4.splat(-1);
  for (let i = 0; i < N * n; i++) {
    finite = v128.and(finite, f32x4.lt(f32x4.abs(v128.load(x + (<usize>i << 4))), huge));
  }
  for (let i = 0; i < N * n; i++) {
    // Points on a parabola: no two alike.
    const harmless = f32x4.splat(<f32>i * <f32>(i + 1) * 0.1);
    v128.store(
      clean + (<usize>i << 4),
      v128.bitselect(v128.load(x + (<usize>i << 4)), harmless, finite),
    );
  }
  return finite;
}

function pairGeometry(): void {
  const smallest = f32x4.splat(1e-30);
  const one = f32x4.splat(1);
  const zero = f32x4.splat(0);
  for (let a = 0; a < N; a++) v128.store(anchors + (<usize>a << 4), zero);
  for (let a = 0; a < N; a++) {
    for (let b = a + 1; b < N; b++) {
      const there = geometry + geometryStride * <usize>(a * N + b);
      const back = geometry + geometryStride * <usize>(b * N + a);
      let square = zero;
      for (let d = 0; d < n; d++) {
        const delta = f32x4.sub(
          v128.load(clean + (<usize>(b * n + d) << 4)),
          v128.load(clean + (<usize>(a * n + d) << 4)),
        );
        v128.store(there + (<usize>d << 4), delta);
        square = fma(delta, delta, square);
      }
      square = f32x4.pmax(square, smallest);
      const inverse = f32x4.div(one, f32x4.sqrt(square));
      const logRadius = f32x4.mul(log4(square), f32x4.splat(0.5));
      for (let d = 0; d < n; d++) {
        const direction = f32x4.mul(v128.load(there + (<usize>d << 4)), inverse);
        v128.store(there + (<usize>d << 4), direction);
        v128.store(back + (<usize>d << 4), f32x4.neg(direction));
      }
      const at = <usize>n << 4;
      v128.store(there + at, logRadius);
      v128.store(back + at, logRadius);
      v128.store(there + at, inverse, 16);
      v128.store(back + at, inverse, 16);
      const jacobian = f32x4.mul(logRadius, f32x4.splat(-(<f32>n)));
      addTo(anchors + (<usize>a << 4), jacobian);
      addTo(anchors + (<usize>b << 4), jacobian);
    }
  }
}

/** Adds to `gradient` what the slopes come to: [θ ∂/∂log r + (1 − θθᵀ)∂/∂θ]/r, times `scale`. */
function pullBack(gradient: usize, scale: v128): void {
  for (let a = 0; a < N; a++) {
    for (let b = 0; b < N; b++) {
      if (a == b) continue;
      const pair = geometry + geometryStride * <usize>(a * N + b);
      const slope = slopes + slopeStride * <usize>(a * N + b);
      const end = <usize>n << 4;
      let along = v128.load(slope + end);
      for (let d: usize = 0; d < end; d += 16) {
        along = fnma(v128.load(pair + d), v128.load(slope + d), along);
      }
      const inverse = f32x4.mul(v128.load(pair + end, 16), scale);
      const toB = gradient + (<usize>(b * n) << 4);
      const toA = gradient + (<usize>(a * n) << 4);
      for (let d: usize = 0; d < end; d += 16) {
        const force = f32x4.mul(inverse, fma(v128.load(pair + d), along, v128.load(slope + d)));
        addTo(toB + d, force);
        v128.store(toA + d, f32x4.sub(v128.load(toA + d), force));
      }
    }
  }
}

// ---- First pass: bounds -----------------------------------------------------------------------

/** Terms of every place with every particle, seen from one anchor, n = 2. */
function tabulate2(component: usize, anchor: i32): void {
  const half = f32x4.splat(-0.5);
  for (let j = 0; j < M; j++) {
    const place = component + 16 + PLACE * <usize>j;
    const kappa = splat(place);
    const mx = f32x4.mul(kappa, splat(place + 4));
    const my = f32x4.mul(kappa, splat(place + 8));
    const rho = splat(place + 16);
    const inverseSigma = splat(place + 20);
    let pair = geometry + geometryStride * <usize>(anchor * N);
    let out = table + tableStride * <usize>(j * N);
    for (let b = 0; b < N; b++, pair += geometryStride, out += tableStride) {
      if (b == anchor) continue;
      const x = v128.load(pair);
      const y = v128.load(pair, 16);
      const z = f32x4.mul(f32x4.sub(v128.load(pair, 32), rho), inverseSigma);
      v128.store(out, f32x4.mul(half, f32x4.mul(z, z)));
      const xx = f32x4.mul(mx, x);
      const yy = f32x4.mul(my, y);
      const xy = f32x4.mul(mx, y);
      const yx = f32x4.mul(my, x);
      v128.store(out, f32x4.add(xx, yy), 16);
      v128.store(out, f32x4.sub(yx, xy), 32);
      v128.store(out, f32x4.sub(xx, yy), 48);
      v128.store(out, f32x4.add(xy, yx), 64);
    }
  }
}

function tabulate3(component: usize, anchor: i32): void {
  const half = f32x4.splat(-0.5);
  for (let j = 0; j < M; j++) {
    const place = component + 16 + PLACE * <usize>j;
    const kappa = splat(place);
    const rho = splat(place + 16);
    const inverseSigma = splat(place + 20);
    let pair = geometry + geometryStride * <usize>(anchor * N);
    let out = table + tableStride * <usize>(j * N);
    for (let b = 0; b < N; b++, pair += geometryStride, out += tableStride) {
      if (b == anchor) continue;
      const z = f32x4.mul(f32x4.sub(v128.load(pair, 48), rho), inverseSigma);
      v128.store(out, f32x4.mul(half, f32x4.mul(z, z)));
      for (let d: usize = 0; d < 3; d++) {
        const scaled = f32x4.mul(kappa, splat(place + 4 + (d << 2)));
        for (let e: usize = 0; e < 3; e++) {
          v128.store(out + 16 + ((3 * d + e) << 4), f32x4.mul(scaled, v128.load(pair + (e << 4))));
        }
      }
    }
  }
}

/** An upper bound, close where it matters, of the sum of singular values of the 3×3 matrix. */
function nuclearNorm3(kappas: v128): v128 {
  const c0 = v128.load(matrix);
  const c1 = v128.load(matrix, 16);
  const c2 = v128.load(matrix, 32);
  const c3 = v128.load(matrix, 48);
  const c4 = v128.load(matrix, 64);
  const c5 = v128.load(matrix, 80);
  const c6 = v128.load(matrix, 96);
  const c7 = v128.load(matrix, 112);
  const c8 = v128.load(matrix, 128);
  // Scaled by Σκ, so that everything is at most 1 and nothing overflows.
  const unit = f32x4.div(f32x4.splat(1), kappas);
  const unit2 = f32x4.mul(unit, unit);
  // Cofactors: their squares sum to e2 = Σ_{i<j} s_i² s_j².
  const m0 = f32x4.sub(f32x4.mul(c4, c8), f32x4.mul(c5, c7));
  const m1 = f32x4.sub(f32x4.mul(c5, c6), f32x4.mul(c3, c8));
  const m2 = f32x4.sub(f32x4.mul(c3, c7), f32x4.mul(c4, c6));
  const m3 = f32x4.sub(f32x4.mul(c2, c7), f32x4.mul(c1, c8));
  const m4 = f32x4.sub(f32x4.mul(c0, c8), f32x4.mul(c2, c6));
  const m5 = f32x4.sub(f32x4.mul(c1, c6), f32x4.mul(c0, c7));
  const m6 = f32x4.sub(f32x4.mul(c1, c5), f32x4.mul(c2, c4));
  const m7 = f32x4.sub(f32x4.mul(c2, c3), f32x4.mul(c0, c5));
  const m8 = f32x4.sub(f32x4.mul(c0, c4), f32x4.mul(c1, c3));
  let square = f32x4.mul(c0, c0);
  square = fma(c1, c1, square);
  square = fma(c2, c2, square);
  square = fma(c3, c3, square);
  square = fma(c4, c4, square);
  square = fma(c5, c5, square);
  square = fma(c6, c6, square);
  square = fma(c7, c7, square);
  square = fma(c8, c8, square);
  let minors = f32x4.mul(m0, m0);
  minors = fma(m1, m1, minors);
  minors = fma(m2, m2, minors);
  minors = fma(m3, m3, minors);
  minors = fma(m4, m4, minors);
  minors = fma(m5, m5, minors);
  minors = fma(m6, m6, minors);
  minors = fma(m7, m7, minors);
  minors = fma(m8, m8, minors);
  const determinant = f32x4.abs(fma(c0, m0, fma(c1, m1, f32x4.mul(c2, m2))));
  // s1 + s2 + s3 is the largest root of λ⁴ − 2qλ² − 8|det|λ + q² − 4e2 (Theobald 2005), convex
  // above it: Newton's iteration comes down to it from the bound Σκ and stays above.
  const q = f32x4.mul(square, unit2);
  const e2 = f32x4.mul(minors, f32x4.mul(unit2, unit2));
  const det8 = f32x4.mul(f32x4.mul(determinant, f32x4.splat(8)), f32x4.mul(unit2, unit));
  const constant = f32x4.sub(f32x4.mul(q, q), f32x4.mul(f32x4.splat(4), e2));
  const two = f32x4.splat(2);
  const four = f32x4.splat(4);
  // Also s1 + s2 + s3 ≤ √(3 Σs²).
  let root = f32x4.pmin(f32x4.splat(1), f32x4.sqrt(f32x4.mul(f32x4.splat(3), q)));
  root = f32x4.add(root, f32x4.splat(1e-6));
  for (let iteration = 0; iteration < 6; iteration++) {
    const r2 = f32x4.mul(root, root);
    const inner = f32x4.sub(r2, f32x4.mul(two, q));
    const value = fma(f32x4.sub(f32x4.mul(inner, root), det8), root, constant);
    const slope = f32x4.sub(f32x4.mul(f32x4.mul(four, root), f32x4.sub(r2, q)), det8);
    const step = f32x4.div(value, f32x4.pmax(slope, f32x4.splat(1e-12)));
    root = f32x4.sub(root, f32x4.pmax(step, f32x4.splat(0)));
  }
  return f32x4.mul(root, kappas);
}

/** Bounds of all terms; returns the largest, starting from `largest`. */
function boundTerms(largest: v128): v128 {
  let out = bounds;
  for (let k = 0; k < K; k++) {
    const component = components + componentBytes * <usize>k;
    const constant = f32x4.sub(splat(component), splat(component + 8));
    let anchor = -1;
    let base = constant;
    let row = labellings;
    for (let g = 0; g < G; g++, row += <usize>N << 2, out += 16) {
      const first = load<i32>(row);
      if (first != anchor) {
        anchor = first;
        base = f32x4.add(constant, v128.load(anchors + (<usize>anchor << 4)));
        if (n == 2) tabulate2(component, anchor);
        else tabulate3(component, anchor);
      }
      let radial = base;
      let bound: v128;
      if (n == 2) {
        let pr = f32x4.splat(0);
        let pi = pr;
        let mr = pr;
        let mi = pr;
        let places = table;
        for (let j: usize = 1; j <= <usize>M; j++, places += tableStride * <usize>N) {
          const entry = places + tableStride * <usize>load<i32>(row + (j << 2));
          radial = f32x4.add(radial, v128.load(entry));
          pr = f32x4.add(pr, v128.load(entry, 16));
          pi = f32x4.add(pi, v128.load(entry, 32));
          mr = f32x4.add(mr, v128.load(entry, 48));
          mi = f32x4.add(mi, v128.load(entry, 64));
        }
        const p2 = fma(pr, pr, f32x4.mul(pi, pi));
        const m2 = fma(mr, mr, f32x4.mul(mi, mi));
        bound = f32x4.add(radial, f32x4.sqrt(f32x4.pmax(p2, m2)));
      } else {
        for (let e: usize = 0; e < 144; e += 16) v128.store(matrix + e, f32x4.splat(0));
        let places = table;
        for (let j: usize = 1; j <= <usize>M; j++, places += tableStride * <usize>N) {
          const entry = places + tableStride * <usize>load<i32>(row + (j << 2));
          radial = f32x4.add(radial, v128.load(entry));
          for (let e: usize = 0; e < 144; e += 16) addTo(matrix + e, v128.load(entry + e, 16));
        }
        bound = f32x4.add(radial, nuclearNorm3(splat(component + 8)));
      }
      v128.store(out, bound);
      largest = f32x4.pmax(largest, bound);
    }
  }
  return largest;
}

// ---- Second pass: one term --------------------------------------------------------------------
// Each term function returns the term times e^{-largest} (zero outside `mask`), and leaves in
// `places`, for each place: ∂/∂θ (n) and z. They are relative to the term's own value.

/** −½ Σ z² + the anchor's part + the constant; z goes to the last number of each place. */
// @ts-ignore: decorator
@inline function radialTerm(component: usize, row: usize, anchor: i32): v128 {
  const half = f32x4.splat(-0.5);
  let radial = f32x4.add(splat(component), v128.load(anchors + (<usize>anchor << 4)));
  const logRadius = geometry + (<usize>n << 4) + geometryStride * <usize>(anchor * N);
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    const b = <usize>load<i32>(row + (j << 2), 4);
    const z = f32x4.mul(
      f32x4.sub(v128.load(logRadius + geometryStride * b), splat(place + 16)),
      splat(place + 20),
    );
    v128.store(places + (j << 6), z, 48);
    radial = fma(f32x4.mul(half, z), z, radial);
  }
  return radial;
}

function term2(component: usize, row: usize, anchor: i32, largest: v128, mask: v128): v128 {
  const radial = radialTerm(component, row, anchor);
  const around = geometry + geometryStride * <usize>(anchor * N);
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const kappas = splat(component + 8);
  // P = Σ κ μ θ* and M = Σ κ μ θ as complex numbers: p = |P|, m = |M|.
  let pr = zero;
  let pi = zero;
  let mr = zero;
  let mi = zero;
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2), 4);
    const kappa = splat(place);
    const mx = f32x4.mul(kappa, splat(place + 4));
    const my = f32x4.mul(kappa, splat(place + 8));
    const x = v128.load(pair);
    const y = v128.load(pair, 16);
    const xx = f32x4.mul(mx, x);
    const yy = f32x4.mul(my, y);
    const xy = f32x4.mul(mx, y);
    const yx = f32x4.mul(my, x);
    pr = f32x4.add(pr, f32x4.add(xx, yy));
    pi = f32x4.add(pi, f32x4.sub(yx, xy));
    mr = f32x4.add(mr, f32x4.sub(xx, yy));
    mi = f32x4.add(mi, f32x4.add(xy, yx));
  }
  const p = f32x4.sqrt(fma(pr, pr, f32x4.mul(pi, pi)));
  const m = f32x4.sqrt(fma(mr, mr, f32x4.mul(mi, mi)));
  // Σκ − p without cancellation: Σκ − |P| = Σκ Σ κ|u − P/Σκ|² / (Σκ + |P|), u = μθ* of unit length.
  const share = f32x4.div(one, kappas);
  const cpr = f32x4.mul(pr, share);
  const cpi = f32x4.mul(pi, share);
  const cmr = f32x4.mul(mr, share);
  const cmi = f32x4.mul(mi, share);
  let spreadP = zero;
  let spreadM = zero;
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2), 4);
    const mx = splat(place + 4);
    const my = splat(place + 8);
    const x = v128.load(pair);
    const y = v128.load(pair, 16);
    const xx = f32x4.mul(mx, x);
    const yy = f32x4.mul(my, y);
    const xy = f32x4.mul(mx, y);
    const yx = f32x4.mul(my, x);
    const kappa = splat(place);
    const ar = f32x4.sub(f32x4.add(xx, yy), cpr);
    const ai = f32x4.sub(f32x4.sub(yx, xy), cpi);
    const br = f32x4.sub(f32x4.sub(xx, yy), cmr);
    const bi = f32x4.sub(f32x4.add(xy, yx), cmi);
    spreadP = fma(kappa, fma(ar, ar, f32x4.mul(ai, ai)), spreadP);
    spreadM = fma(kappa, fma(br, br, f32x4.mul(bi, bi)), spreadM);
  }
  const lossP = f32x4.div(f32x4.mul(kappas, spreadP), f32x4.add(kappas, p));
  const lossM = f32x4.div(f32x4.mul(kappas, spreadM), f32x4.add(kappas, m));
  const loss = f32x4.pmin(lossP, lossM);
  const weightP = exp4(f32x4.sub(loss, lossP));
  const weightM = exp4(f32x4.sub(loss, lossM));
  const value = fma(weightP, i0e4(p), f32x4.mul(weightM, i0e4(m)));
  const inverse = f32x4.div(one, value);
  // I₁(p)/p; its limit at zero is finite, and P is zero there.
  const tiny = f32x4.splat(1e-30);
  const p1 = f32x4.pmax(p, tiny);
  const m1 = f32x4.pmax(m, tiny);
  const fp = f32x4.div(f32x4.mul(f32x4.mul(weightP, i1e4(p1)), inverse), p1);
  const fm = f32x4.div(f32x4.mul(f32x4.mul(weightM, i1e4(m1)), inverse), m1);
  pr = f32x4.mul(pr, fp);
  pi = f32x4.mul(pi, fp);
  mr = f32x4.mul(mr, fm);
  mi = f32x4.mul(mi, fm);
  const a = f32x4.add(pr, mr);
  const b = f32x4.add(pi, mi);
  const c = f32x4.sub(pr, mr);
  const d = f32x4.sub(mi, pi);
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    const kappa = splat(place);
    const mx = f32x4.mul(kappa, splat(place + 4));
    const my = f32x4.mul(kappa, splat(place + 8));
    v128.store(places + (j << 6), fma(mx, a, f32x4.mul(my, b)));
    v128.store(places + (j << 6), fma(my, c, f32x4.mul(mx, d)), 16);
  }
  // ∂log I/∂C, for the parameters.
  v128.store(matrix, a);
  v128.store(matrix, d, 16);
  v128.store(matrix, b, 32);
  v128.store(matrix, c, 48);
  const logTerm = f32x4.sub(f32x4.sub(radial, loss), largest);
  return f32x4.mul(v128.and(exp4(logTerm), mask), f32x4.mul(value, f32x4.splat(0.5)));
}

/** 1/|v| of a nearly unit vector; 1 where particles coincide and v is zero. */
// @ts-ignore: decorator
@inline function unitLength(x: f64, y: f64, z: f64): f64 {
  const square = x * x + y * y + z * z;
  return square > 0.5 ? 1 / Math.sqrt(square) : 1;
}

function term3(component: usize, row: usize, anchor: i32, largest: v128, mask: v128): v128 {
  const radial = f32x4.sub(radialTerm(component, row, anchor), largest);
  const around = geometry + geometryStride * <usize>(anchor * N);
  const zero = f32x4.splat(0);
  const c = orbitIntegral3Matrix();
  for (let e: usize = 0; e < 144; e += 16) v128.store(matrix + e, zero);
  v128.store(sums, zero);
  const active = i32x4.bitmask(mask);
  for (let lane: usize = 0; lane < 4; lane++) {
    if (!(active & (1 << <i32>lane))) continue;
    memory.fill(c, 0, 72);
    let kappas: f64 = 0;
    for (let j: usize = 0; j < <usize>M; j++) {
      const place = component + 16 + PLACE * j;
      const pair = around + geometryStride * <usize>load<i32>(row + (j << 2), 4) + (lane << 2);
      const kappa = <f64>load<f32>(place);
      kappas += kappa;
      const x = <f64>load<f32>(pair);
      const y = <f64>load<f32>(pair, 16);
      const z = <f64>load<f32>(pair, 32);
      // log I − Σκ is a small difference: μ and θ, rounded to f32, are brought back to unit length.
      const unit = kappa * unitLength(x, y, z) *
        unitLength(load<f32>(place, 4), load<f32>(place, 8), load<f32>(place, 12));
      for (let d: usize = 0; d < 3; d++) {
        const scaled = unit * <f64>load<f32>(place + (d << 2), 4);
        store<f64>(c + 24 * d, load<f64>(c + 24 * d) + scaled * x);
        store<f64>(c + 24 * d, load<f64>(c + 24 * d, 8) + scaled * y, 8);
        store<f64>(c + 24 * d, load<f64>(c + 24 * d, 16) + scaled * z, 16);
      }
    }
    const value = logOrbitIntegral3(nodeTables, kappas);
    store<f32>(sums + (lane << 2), <f32>value);
    for (let e: usize = 0; e < 9; e++) {
      store<f32>(matrix + (e << 4) + (lane << 2), <f32>load<f64>(c + (e << 3)));
    }
  }
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    for (let e: usize = 0; e < 3; e++) {
      let slope = f32x4.mul(splat(place + 4), v128.load(matrix + (e << 4)));
      slope = fma(splat(place + 8), v128.load(matrix + (e << 4), 48), slope);
      slope = fma(splat(place + 12), v128.load(matrix + (e << 4), 96), slope);
      v128.store(places + (j << 6) + (e << 4), f32x4.mul(splat(place), slope));
    }
  }
  return v128.and(exp4(f32x4.add(radial, v128.load(sums))), mask);
}

/** Adds to `slopes` weight · ∂(log of the term in hand)/∂(pairs). */
function addSlopes(component: usize, row: usize, anchor: i32, weight: v128): void {
  const end = <usize>n << 4;
  const minusN = f32x4.splat(-(<f32>n));
  for (let j: usize = 0; j < <usize>M; j++) {
    const b = load<i32>(row + (j << 2), 4);
    const out = slopes + slopeStride * <usize>(anchor * N + b);
    const place = places + (j << 6);
    for (let d: usize = 0; d < end; d += 16) {
      v128.store(out + d, fma(weight, v128.load(place + d), v128.load(out + d)));
    }
    const inverseSigma = splat(component + 16 + PLACE * j + 20);
    const byLogRadius = fnma(v128.load(place, 48), inverseSigma, minusN);
    v128.store(out + end, fma(weight, byLogRadius, v128.load(out + end)));
  }
}

// ---- The whole mixture ------------------------------------------------------------------------

/** Centre-of-mass coordinate d, and Σ |x − com|² added to `square`. */
// @ts-ignore: decorator
@inline function centre(d: i32): v128 {
  let sum = f32x4.splat(0);
  for (let i = 0; i < N; i++) sum = f32x4.add(sum, v128.load(clean + (<usize>(i * n + d) << 4)));
  return f32x4.mul(sum, f32x4.splat(1 / <f32>N));
}

/** log of the broad part, its weight included. */
function logBroad(prior: usize): v128 {
  let square = f32x4.splat(0);
  for (let d = 0; d < n; d++) {
    const middle = centre(d);
    for (let i = 0; i < N; i++) {
      const delta = f32x4.sub(v128.load(clean + (<usize>(i * n + d) << 4)), middle);
      square = fma(delta, delta, square);
    }
  }
  return fma(f32x4.mul(square, splat(prior + 20)), f32x4.splat(-0.5), splat(prior + 16));
}

/**
 * log q of a block, and ∂log q/∂x for all N particles. A lane with a coordinate that is NaN or at
 * least 1e15 in size gets NaN throughout. Exported to other kernels; the host uses orbitVmfBatch.
 */
export function orbitVmf(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  bind(prior, scratch);
  const finite = sanitise(x);
  pairGeometry();
  const zero = f32x4.splat(0);
  const broad = logBroad(prior);
  const largest = boundTerms(broad);
  const floor = f32x4.sub(largest, f32x4.splat(CUT));
  for (let i: usize = 0; i < slopeStride * <usize>(N * N); i += 16) v128.store(slopes + i, zero);
  const broadTerm = exp4(f32x4.sub(broad, largest));
  let total = broadTerm;
  let bound = bounds;
  for (let k = 0; k < K; k++) {
    const component = components + componentBytes * <usize>k;
    let row = labellings;
    for (let g = 0; g < G; g++, row += <usize>N << 2, bound += 16) {
      const mask = f32x4.gt(v128.load(bound), floor);
      if (!v128.any_true(mask)) continue;
      const anchor = load<i32>(row);
      const term = n == 2
        ? term2(component, row, anchor, largest, mask)
        : term3(component, row, anchor, largest, mask);
      total = f32x4.add(total, term);
      addSlopes(component, row, anchor, term);
    }
  }
  const nan = f32x4.splat(NaN);
  const scale = v128.bitselect(f32x4.div(f32x4.splat(1), total), nan, finite);
  const pull = f32x4.neg(f32x4.mul(f32x4.mul(broadTerm, splat(prior + 20)), scale));
  for (let d = 0; d < n; d++) {
    const middle = centre(d);
    for (let i = 0; i < N; i++) {
      const at = <usize>(i * n + d) << 4;
      v128.store(gradient + at, f32x4.mul(pull, f32x4.sub(v128.load(clean + at), middle)));
    }
  }
  if (K > 0) pullBack(gradient, scale);
  return v128.bitselect(f32x4.add(largest, log4(total)), nan, finite);
}

/**
 * out += Σ over lanes of weight · ∂log q/∂parameters, `out` f32[] in MintModel's layout. Lanes of
 * weight 0 and lanes that are not finite add nothing.
 */
export function orbitVmfParameterGradient(
  prior: usize,
  x: usize,
  weight: v128,
  out: usize,
  scratch: usize,
): void {
  bind(prior, scratch);
  const used = v128.and(sanitise(x), f32x4.ne(weight, f32x4.splat(0)));
  if (!v128.any_true(used)) return;
  pairGeometry();
  const zero = f32x4.splat(0);
  const broad = logBroad(prior);
  const largest = boundTerms(broad);
  const floor = f32x4.sub(largest, f32x4.splat(CUT));
  const broadTerm = exp4(f32x4.sub(broad, largest));
  // Terms are evaluated twice: first for the normaliser, then with their derivatives.
  let total = broadTerm;
  for (let k = 0; k < K; k++) {
    const component = components + componentBytes * <usize>k;
    for (let g = 0; g < G; g++) {
      const mask = f32x4.gt(v128.load(bounds + (<usize>(k * G + g) << 4)), floor);
      if (!v128.any_true(mask)) continue;
      const row = labellings + (<usize>(g * N) << 2);
      const anchor = load<i32>(row);
      total = f32x4.add(
        total,
        n == 2
          ? term2(component, row, anchor, largest, mask)
          : term3(component, row, anchor, largest, mask),
      );
    }
  }
  const scale = f32x4.div(v128.and(weight, used), total);
  // The share of all components: π_k of it is what the softmax takes back.
  const inside = f32x4.mul(f32x4.sub(total, broadTerm), scale);
  const size = 1 + M * (n + 3);
  for (let k = 0; k < K; k++) {
    const component = components + componentBytes * <usize>k;
    for (let i = 0; i < size; i++) v128.store(sums + (<usize>i << 4), zero);
    let logit = f32x4.neg(f32x4.mul(inside, splat(component + 4)));
    for (let g = 0; g < G; g++) {
      const mask = v128.and(
        f32x4.gt(v128.load(bounds + (<usize>(k * G + g) << 4)), floor),
        used,
      );
      if (!v128.any_true(mask)) continue;
      const row = labellings + (<usize>(g * N) << 2);
      const anchor = load<i32>(row);
      const term = n == 2
        ? term2(component, row, anchor, largest, mask)
        : term3(component, row, anchor, largest, mask);
      const share = f32x4.mul(term, scale);
      logit = f32x4.add(logit, share);
      addParameterSums(component, row, anchor, share);
    }
    v128.store(sums, logit);
    let to = out + (<usize>(k * size) << 2);
    for (let i: usize = 0; i < <usize>size; i++, to += 4) {
      const v = v128.load(sums + (i << 4));
      store<f32>(to, load<f32>(to) + ((f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
        (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))));
    }
  }
}

/** Adds share · ∂(log of the term in hand)/∂parameters to the component's sums. */
function addParameterSums(component: usize, row: usize, anchor: i32, share: v128): void {
  const around = geometry + geometryStride * <usize>(anchor * N);
  const one = f32x4.splat(1);
  const vector = <usize>n << 4;
  for (let j: usize = 0; j < <usize>M; j++) {
    const place = component + 16 + PLACE * j;
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2), 4);
    const slope = places + (j << 6); // κ ∂log I/∂Cᵀ μ
    const kappa = splat(place);
    const z = v128.load(slope, 48);
    let cosine = f32x4.mul(v128.load(slope), v128.load(pair)); // κ μᵀ(∂log I/∂C)θ
    for (let e: usize = 16; e < vector; e += 16) {
      cosine = fma(v128.load(slope + e), v128.load(pair + e), cosine);
    }
    const scaled = f32x4.mul(share, splat(place + 28));
    for (let d: usize = 0; d < <usize>n; d++) {
      let byMu = f32x4.splat(0);
      for (let e: usize = 0; e < vector; e += 16) {
        byMu = fma(v128.load(matrix + d * vector + e), v128.load(pair + e), byMu);
      }
      byMu = fnma(cosine, splat(place + 4 + (d << 2)), f32x4.mul(kappa, byMu));
      const to = sums + ((1 + j * <usize>n + d) << 4);
      v128.store(to, fma(scaled, byMu, v128.load(to)));
    }
    const m = <usize>M;
    const radius = sums + ((1 + m * <usize>n + j) << 4);
    v128.store(radius, fma(share, f32x4.mul(z, splat(place + 20)), v128.load(radius)));
    const sigma = radius + (m << 4);
    v128.store(sigma, fma(share, f32x4.sub(f32x4.mul(z, z), one), v128.load(sigma)));
    const log = sigma + (m << 4);
    const byKappa = fnma(kappa, splat(place + 24), cosine);
    v128.store(log, fma(share, byKappa, v128.load(log)));
  }
}

/** For the host: log q (f32x4 each) and gradients of `blocks` blocks one after another. */
export function orbitVmfBatch(
  prior: usize,
  x: usize,
  gradient: usize,
  logDensity: usize,
  blocks: i32,
  scratch: usize,
): void {
  const bytes = <usize>(load<i32>(prior) * load<i32>(prior, 4)) << 4;
  for (let block: usize = 0; block < <usize>blocks; block++) {
    v128.store(
      logDensity + (block << 4),
      orbitVmf(prior, x + bytes * block, gradient + bytes * block, scratch),
    );
  }
}

/** For the host: orbitVmfParameterGradient with the four weights in memory. */
export function orbitVmfParameterGradientBlock(
  prior: usize,
  x: usize,
  weights: usize,
  out: usize,
  scratch: usize,
): void {
  orbitVmfParameterGradient(prior, x, v128.load(weights), out, scratch);
}

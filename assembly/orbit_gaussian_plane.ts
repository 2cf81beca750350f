// Labelled Gaussian components in two dimensions, fully on f32x4.
//
// I(C) = ½[I₀(p) + I₀(m)], p and m the largest tr RᵀC over rotations and over reflections R, and
// −½|y|² − ½|a|² + p = −½|y − aR|²: each half of the orbit is a Gaussian about the mean turned by its
// best R, times I₀(p)e^{−p}. In this form nothing is a small difference of large numbers.
import { exp4, i0e4WithRatio } from "./math";
import {
  addTo, clean, COMPONENT, components, cut, G, K, labellings, largest, M, N, one, raise, reference,
  slopes, splat, state, tiny, total,
} from "./orbit_vmf_layout";
import { fma, fnma } from "./simd";

// A component: f32 constant, padded to COMPONENT; P (M·M), mean (M·2), B = P·mean (M·2), all f32.

/** The better and the other half: cosine, sine, sign (+1 rotation, −1 reflection), tr RᵀC. */
const COSINE: usize = 0;
const SINE: usize = 16;
const SIGN: usize = 32;
const LENGTH: usize = 48;
/** I₀(l)e^{−l} times the half's weight, and l·I₁/(l I₀) − 1. */
const VALUE: usize = 64;
const EXCESS: usize = 80;
const HALF: usize = 96;
const halves = memory.data(2 * 96, 16);
const ratio = memory.data(16, 16);

// Scratch: positions by place (M·2), then for each half x − mean R (M·2), f32x4.
let places: usize = 0;
let residuals: usize = 0;

/** Scratch beside the layout's, f32x4: three times M·2. */
export function bindPlane(scratch: usize): void {
  places = scratch;
  residuals = scratch + (M << 5);
}

// @ts-ignore: decorator
@inline function precisionOf(component: usize): usize { return component + COMPONENT; }
// @ts-ignore: decorator
@inline function meanOf(component: usize): usize { return component + COMPONENT + (M * M << 2); }
// @ts-ignore: decorator
@inline function scaledOf(component: usize): usize { return meanOf(component) + (M << 3); }

/** x − mean R of one half to its residuals; returns −½ Σ P_jk d_j·d_k. */
function logHalf(component: usize, half: usize, residual: usize): v128 {
  const c = v128.load(half, COSINE);
  const s = v128.load(half, SINE);
  const sign = v128.load(half, SIGN);
  let mean = meanOf(component);
  for (let j: usize = 0; j < M << 5; j += 32, mean += 8) {
    const mx = splat(mean);
    const my = splat(mean + 4);
    const turned = fnma(mx, s, f32x4.mul(my, c));
    v128.store(residual + j, fnma(mx, c, fnma(my, s, v128.load(places + j))));
    v128.store(residual + j, fnma(sign, turned, v128.load(places + j, 16)), 16);
  }
  let square = f32x4.splat(0);
  let p = precisionOf(component);
  for (let j: usize = 0; j < M; j++, p += M << 2) {
    let x = f32x4.splat(0);
    let y = f32x4.splat(0);
    for (let k: usize = 0; k < j; k++) {
      const weight = splat(p + (k << 2));
      x = fma(weight, v128.load(residual + (k << 5)), x);
      y = fma(weight, v128.load(residual + (k << 5), 16), y);
    }
    const dx = v128.load(residual + (j << 5));
    const dy = v128.load(residual + (j << 5), 16);
    const own = splat(p + (j << 2));
    square = fma(dx, fma(own, dx, f32x4.add(x, x)), square);
    square = fma(dy, fma(own, dy, f32x4.add(y, y)), square);
  }
  return f32x4.mul(square, f32x4.splat(-0.5));
}

/** Reads positions by place and both halves of C; the half with the larger tr RᵀC stands first. */
function readTerm(component: usize, row: usize): void {
  const origin = clean + (<usize>load<i32>(row) << 5);
  const ox = v128.load(origin);
  const oy = v128.load(origin, 16);
  let c0 = f32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  let scaled = scaledOf(component);
  for (let j: usize = 0; j < M; j++, scaled += 8) {
    const from = clean + (<usize>load<i32>(row + (j << 2), 4) << 5);
    const x = f32x4.sub(v128.load(from), ox);
    const y = f32x4.sub(v128.load(from, 16), oy);
    v128.store(places + (j << 5), x);
    v128.store(places + (j << 5), y, 16);
    const bx = splat(scaled);
    const by = splat(scaled + 4);
    c0 = fma(bx, x, c0);
    c1 = fma(bx, y, c1);
    c2 = fma(by, x, c2);
    c3 = fma(by, y, c3);
  }
  const p1 = f32x4.add(c0, c3);
  const p2 = f32x4.sub(c2, c1);
  const m1 = f32x4.sub(c0, c3);
  const m2 = f32x4.add(c1, c2);
  const p = f32x4.sqrt(f32x4.pmax(fma(p1, p1, f32x4.mul(p2, p2)), tiny()));
  const m = f32x4.sqrt(f32x4.pmax(fma(m1, m1, f32x4.mul(m2, m2)), tiny()));
  const isP = f32x4.ge(p, m);
  const plus = one();
  const minus = f32x4.neg(plus);
  const byP = f32x4.div(plus, p);
  const byM = f32x4.div(plus, m);
  const pc = f32x4.mul(p1, byP);
  const ps = f32x4.mul(p2, byP);
  const mc = f32x4.mul(m1, byM);
  const ms = f32x4.mul(m2, byM);
  v128.store(halves, v128.bitselect(pc, mc, isP), COSINE);
  v128.store(halves, v128.bitselect(ps, ms, isP), SINE);
  v128.store(halves, v128.bitselect(plus, minus, isP), SIGN);
  v128.store(halves, v128.bitselect(p, m, isP), LENGTH);
  v128.store(halves, v128.bitselect(mc, pc, isP), HALF + COSINE);
  v128.store(halves, v128.bitselect(ms, ps, isP), HALF + SINE);
  v128.store(halves, v128.bitselect(minus, plus, isP), HALF + SIGN);
  v128.store(halves, v128.bitselect(m, p, isP), HALF + LENGTH);
}

/** VALUE and EXCESS of a half of weight `weight` (½ e^…); zero where that is. */
function besselOf(half: usize, weight: v128): void {
  const length = v128.load(half, LENGTH);
  const bessel = i0e4WithRatio(length, f32x4.div(one(), length), ratio);
  v128.store(half, f32x4.mul(weight, bessel), VALUE);
  v128.store(half, f32x4.sub(f32x4.mul(length, v128.load(ratio)), one()), EXCESS);
}

/**
 * The term at `row`: its value over e^reference in lanes where it matters, zero in others; VALUE of
 * the halves adds up to it. False where it matters nowhere.
 */
function term(component: usize, row: usize, settled: bool): bool {
  readTerm(component, row);
  const first = logHalf(component, halves, residuals);
  const bound = f32x4.add(splat(component), first);
  const mask = f32x4.gt(bound, f32x4.sub(largest(), cut()));
  if (!v128.any_true(mask)) return false;
  if (!settled) raise(bound);
  const half = f32x4.splat(0.5);
  const weight = f32x4.mul(v128.and(exp4(f32x4.sub(bound, reference())), mask), half);
  besselOf(halves, weight);
  const apart = f32x4.sub(v128.load(halves, LENGTH), v128.load(halves, HALF + LENGTH));
  const both = v128.and(f32x4.lt(apart, cut()), mask);
  v128.store(halves, f32x4.splat(0), HALF + VALUE);
  v128.store(halves, f32x4.splat(0), HALF + EXCESS);
  if (v128.any_true(both)) {
    const second = logHalf(component, halves + HALF, residuals + (M << 5));
    const less = v128.and(exp4(f32x4.sub(second, first)), both);
    besselOf(halves + HALF, f32x4.mul(weight, less));
  } else {
    for (let j: usize = 0; j < M << 5; j += 16) {
      v128.store(residuals + (M << 5) + j, f32x4.splat(0));
    }
  }
  return true;
}

/** Adds value · ∂(a half's logarithm)/∂x to the slopes: −P d + EXCESS · B R. */
function addForces(component: usize, row: usize, half: usize, residual: usize): void {
  const value = v128.load(half, VALUE);
  if (!v128.any_true(f32x4.gt(value, f32x4.splat(0)))) return;
  const c = v128.load(half, COSINE);
  const s = v128.load(half, SINE);
  const sign = v128.load(half, SIGN);
  const excess = v128.load(half, EXCESS);
  let allX = f32x4.splat(0);
  let allY = allX;
  let p = precisionOf(component);
  let scaled = scaledOf(component);
  for (let j: usize = 0; j < M; j++, p += M << 2, scaled += 8) {
    const bx = splat(scaled);
    const by = splat(scaled + 4);
    let x = f32x4.mul(excess, fma(bx, c, f32x4.mul(by, s)));
    let y = f32x4.mul(f32x4.mul(excess, sign), fnma(bx, s, f32x4.mul(by, c)));
    for (let k: usize = 0; k < M; k++) {
      const weight = splat(p + (k << 2));
      x = fnma(weight, v128.load(residual + (k << 5)), x);
      y = fnma(weight, v128.load(residual + (k << 5), 16), y);
    }
    x = f32x4.mul(value, x);
    y = f32x4.mul(value, y);
    allX = f32x4.add(allX, x);
    allY = f32x4.add(allY, y);
    const to = slopes + (<usize>load<i32>(row + (j << 2), 4) << 5);
    addTo(to, x);
    addTo(to + 16, y);
  }
  const anchor = slopes + (<usize>load<i32>(row) << 5);
  v128.store(anchor, f32x4.sub(v128.load(anchor), allX));
  v128.store(anchor, f32x4.sub(v128.load(anchor, 16), allY), 16);
}

/** One pass over all terms: sums them, and their forces into the layout's slopes where wanted. */
export function gaussianPlanePass(stride: usize, positions: bool): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + stride * k;
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      if (!term(component, row, false)) continue;
      const value = f32x4.add(v128.load(halves, VALUE), v128.load(halves, HALF + VALUE));
      v128.store(state, f32x4.add(total(), value), 32);
      if (!positions) continue;
      addForces(component, row, halves, residuals);
      addForces(component, row, halves + HALF, residuals + (M << 5));
    }
  }
}

// @ts-ignore: decorator
@inline function addLanes(address: usize, value: v128): void {
  const low = f32x4.extract_lane(value, 0) + f32x4.extract_lane(value, 1);
  const high = f32x4.extract_lane(value, 2) + f32x4.extract_lane(value, 3);
  store<f32>(address, load<f32>(address) + (low + high));
}

/** Second pass, for orbitGaussianStatistics: `factor` over the total is every term's weight. */
export function gaussianPlaneStatistics(stride: usize, factor: v128, out: usize): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + stride * k;
    const own = out + ((1 + M * (M + 1) / 2 + 2 * M) * k << 2);
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      if (!term(component, row, true)) continue;
      const first = f32x4.mul(v128.load(halves, VALUE), factor);
      const second = f32x4.mul(v128.load(halves, HALF + VALUE), factor);
      const share = f32x4.add(first, second);
      addLanes(own, share);
      let at = own + 4;
      for (let j: usize = 0; j < M << 5; j += 32) {
        for (let l: usize = 0; l <= j; l += 32, at += 4) {
          const dot = fma(
            v128.load(places + j), v128.load(places + l),
            f32x4.mul(v128.load(places + j, 16), v128.load(places + l, 16)),
          );
          const minus = f32x4.splat(j == l ? -0.5 : -1);
          addLanes(at, f32x4.mul(minus, f32x4.mul(share, dot)));
        }
      }
      // share · ∂log I/∂C = Σ over halves of value · I₁/I₀ · R.
      const a = f32x4.mul(first, f32x4.add(v128.load(halves, EXCESS), one()));
      const b = f32x4.mul(second, f32x4.add(v128.load(halves, HALF + EXCESS), one()));
      const ac = f32x4.mul(a, v128.load(halves, COSINE));
      const as = f32x4.mul(a, v128.load(halves, SINE));
      const bc = f32x4.mul(b, v128.load(halves, HALF + COSINE));
      const bs = f32x4.mul(b, v128.load(halves, HALF + SINE));
      const signA = v128.load(halves, SIGN);
      const signB = v128.load(halves, HALF + SIGN);
      const s0 = f32x4.add(ac, bc);
      const s1 = f32x4.neg(fma(signA, as, f32x4.mul(signB, bs)));
      const s2 = f32x4.add(as, bs);
      const s3 = fma(signA, ac, f32x4.mul(signB, bc));
      for (let j: usize = 0; j < M << 5; j += 32, at += 8) {
        const x = v128.load(places + j);
        const y = v128.load(places + j, 16);
        addLanes(at, fma(s0, x, f32x4.mul(s1, y)));
        addLanes(at + 4, fma(s2, x, f32x4.mul(s3, y)));
      }
    }
  }
}

// The Mint prior's terms in three dimensions: bounds on f32x4 for all, then for each term and lane
// that matters a singular value decomposition in f64 and a quadrature on f32x4.
import { exp4 } from "./math";
import { logOrbitIntegral3, orbitIntegral3Matrix } from "./orbit_integral3";
import {
  addTo, anchors, COMPONENT, componentBytes, components, cut, G, geometry, geometryStride, half, K,
  labellings, laneValues, largest, M, matrix, Mode, N, nodeTables, one, PLACE, raise, reference, scale, slopes,
  slopeStride, splat, state, table, tableStride, total,
} from "./orbit_vmf_layout";
import { addParameterSums, beginParameterSums, endParameterSums } from "./orbit_vmf_parameters";
import { fma, fnma } from "./simd";

/** Per place and particle: −½z², −z/σ and κμθᵀ (9) of the pair seen from the anchor. */
function tabulate(component: usize, anchor: usize): void {
  for (let j: usize = 0; j < M; j++) {
    const place = component + COMPONENT + PLACE * j;
    const rho = splat(place + 16);
    const inverseSigma = splat(place + 20);
    let pair = geometry + geometryStride * anchor * N;
    let out = table + tableStride * j * N;
    for (let b: usize = 0; b < N; b++, pair += geometryStride, out += tableStride) {
      if (b == anchor) continue;
      const z = f32x4.mul(f32x4.sub(rho, v128.load(pair, 48)), inverseSigma);
      v128.store(out, f32x4.neg(f32x4.mul(f32x4.mul(half(), z), z)));
      v128.store(out, f32x4.mul(z, inverseSigma), 16);
      for (let d: usize = 0; d < 3; d++) {
        const scaled = splat(place + 4 + (d << 2));
        for (let e: usize = 0; e < 3; e++) {
          v128.store(out + ((3 * d + e) << 4), f32x4.mul(scaled, v128.load(pair + (e << 4))), 32);
        }
      }
    }
  }
}

// Constants of Newton's iteration: 2, 4, 8, 3, 1e-6, 1e-12.
const NEWTON = memory.data<f32>([2, 4, 8, 3, 1e-6, 1e-12], 16);

/** Cofactor ab − cd. */
// @ts-ignore: decorator
@inline function minor(a: v128, b: v128, c: v128, d: v128): v128 {
  return fnma(c, d, f32x4.mul(a, b));
}

/** An upper bound, close to it, of the sum of singular values of the matrix in hand. */
export function nuclearNorm(kappas: v128, inverse: v128): v128 {
  // Scaled by Σκ, so that everything is at most 1 and nothing overflows.
  const c0 = f32x4.mul(v128.load(matrix), inverse);
  const c1 = f32x4.mul(v128.load(matrix, 16), inverse);
  const c2 = f32x4.mul(v128.load(matrix, 32), inverse);
  const c3 = f32x4.mul(v128.load(matrix, 48), inverse);
  const c4 = f32x4.mul(v128.load(matrix, 64), inverse);
  const c5 = f32x4.mul(v128.load(matrix, 80), inverse);
  const c6 = f32x4.mul(v128.load(matrix, 96), inverse);
  const c7 = f32x4.mul(v128.load(matrix, 112), inverse);
  const c8 = f32x4.mul(v128.load(matrix, 128), inverse);
  // Σ s_i², e₂ = Σ_{i<j} s_i² s_j² (the squared cofactors' sum), and the determinant.
  let q = f32x4.mul(c0, c0);
  q = fma(c1, c1, fma(c2, c2, q));
  q = fma(c3, c3, fma(c4, c4, q));
  q = fma(c5, c5, fma(c6, c6, q));
  q = fma(c7, c7, fma(c8, c8, q));
  const m0 = minor(c4, c8, c5, c7);
  const m1 = minor(c5, c6, c3, c8);
  const m2 = minor(c3, c7, c4, c6);
  let e2 = f32x4.mul(m0, m0);
  e2 = fma(m1, m1, fma(m2, m2, e2));
  const m3 = minor(c2, c7, c1, c8);
  const m4 = minor(c0, c8, c2, c6);
  const m5 = minor(c1, c6, c0, c7);
  e2 = fma(m3, m3, fma(m4, m4, fma(m5, m5, e2)));
  const m6 = minor(c1, c5, c2, c4);
  const m7 = minor(c2, c3, c0, c5);
  const m8 = minor(c0, c4, c1, c3);
  e2 = fma(m6, m6, fma(m7, m7, fma(m8, m8, e2)));
  const det8 = f32x4.mul(
    f32x4.abs(fma(c0, m0, fma(c1, m1, f32x4.mul(c2, m2)))),
    splat(NEWTON + 8),
  );
  // s₁ + s₂ + s₃ is the largest root of λ⁴ − 2qλ² − 8|det|λ + q² − 4e₂ (Theobald 2005), which is
  // convex from there on: Newton's iteration from an upper bound (1, or √(3q)) stays above it.
  const two = splat(NEWTON);
  const four = splat(NEWTON + 4);
  const constant = fnma(four, e2, f32x4.mul(q, q));
  const q2 = f32x4.mul(two, q);
  let root = f32x4.pmin(one(), f32x4.sqrt(f32x4.mul(splat(NEWTON + 12), q)));
  root = f32x4.add(root, splat(NEWTON + 16));
  for (let iteration = 0; iteration < 6; iteration++) {
    const square = f32x4.mul(root, root);
    const value = fma(fma(f32x4.sub(square, q2), root, f32x4.neg(det8)), root, constant);
    const slope = fma(f32x4.mul(four, root), f32x4.sub(square, q), f32x4.neg(det8));
    const step = f32x4.div(value, f32x4.pmax(slope, splat(NEWTON + 20)));
    root = f32x4.sub(root, f32x4.pmax(step, f32x4.splat(0)));
  }
  return f32x4.mul(root, kappas);
}

/** 1/|v| of a nearly unit vector; 1 where particles coincide and v is zero. */
// @ts-ignore: decorator
@inline function inverseLength(x: f64, y: f64, z: f64): f64 {
  const square = x * x + y * y + z * z;
  return square > 0.5 ? 1 / Math.sqrt(square) : 1;
}

/**
 * log I(C) − Σκ in one lane, returned; ∂log I/∂C to that lane of the matrix in hand. C is summed
 * in f64 from directions of unit length: the result is a small difference of large numbers.
 */
function laneIntegral(component: usize, row: usize, around: usize, lane: usize): f64 {
  const c = orbitIntegral3Matrix();
  memory.fill(c, 0, 72);
  let kappas: f64 = 0;
  let place = component + COMPONENT;
  for (let j: usize = 1; j <= M; j++, place += PLACE) {
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2)) + (lane << 2);
    const kappa = <f64>load<f32>(place);
    kappas += kappa;
    const x = <f64>load<f32>(pair);
    const y = <f64>load<f32>(pair, 16);
    const z = <f64>load<f32>(pair, 32);
    const mx = <f64>load<f32>(place, 4);
    const my = <f64>load<f32>(place, 8);
    const mz = <f64>load<f32>(place, 12);
    const unit = inverseLength(mx / kappa, my / kappa, mz / kappa) * inverseLength(x, y, z);
    for (let d: usize = 0; d < 3; d++) {
      const scaled = unit * <f64>load<f32>(place + (d << 2), 4);
      store<f64>(c + 24 * d, load<f64>(c + 24 * d) + scaled * x);
      store<f64>(c + 24 * d, load<f64>(c + 24 * d, 8) + scaled * y, 8);
      store<f64>(c + 24 * d, load<f64>(c + 24 * d, 16) + scaled * z, 16);
    }
  }
  const value = logOrbitIntegral3(nodeTables, kappas);
  for (let e: usize = 0; e < 9; e++) {
    store<f32>(matrix + (e << 4) + (lane << 2), <f32>load<f64>(c + (e << 3)));
  }
  return value;
}

/** One pass over all terms; see Mode and the layout's `state`. */
export function spacePass(mode: i32, out: usize): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + componentBytes * k;
    const kappas = splat(component + 8);
    const inverse = splat(component + 12);
    let anchor: usize = -1;
    let base = splat(component);
    let around: usize = 0;
    let row = labellings;
    if (mode == Mode.PARAMETERS) beginParameterSums();
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      const first = <usize>load<i32>(row);
      if (first != anchor) {
        anchor = first;
        around = geometry + geometryStride * anchor * N;
        base = f32x4.add(splat(component), v128.load(anchors + (anchor << 5)));
        tabulate(component, anchor);
      }
      let radial = base;
      const zero = f32x4.splat(0);
      for (let e: usize = 0; e < 144; e += 16) v128.store(matrix + e, zero);
      let entries = table;
      for (let j: usize = 1; j <= M; j++, entries += tableStride * N) {
        const entry = entries + tableStride * <usize>load<i32>(row + (j << 2));
        radial = f32x4.add(radial, v128.load(entry));
        for (let e: usize = 0; e < 144; e += 16) addTo(matrix + e, v128.load(entry + e, 32));
      }
      const bound = f32x4.add(f32x4.sub(radial, kappas), nuclearNorm(kappas, inverse));
      const mask = f32x4.gt(bound, f32x4.sub(largest(), cut()));
      if (!v128.any_true(mask)) continue;
      if (mode != Mode.PARAMETERS) raise(bound);

      for (let e: usize = 0; e < 144; e += 16) v128.store(matrix + e, zero);
      v128.store(laneValues(), zero);
      const active = i32x4.bitmask(mask);
      for (let lane: usize = 0; lane < 4; lane++) {
        if (!(active & (1 << <i32>lane))) continue;
        store<f32>(laneValues() + (lane << 2), <f32>laneIntegral(component, row, around, lane));
      }
      const exponent = f32x4.sub(f32x4.add(radial, v128.load(laneValues())), reference());
      let term = v128.and(exp4(exponent), mask);
      if (mode == Mode.PARAMETERS) {
        term = f32x4.mul(term, scale());
      } else {
        v128.store(state, f32x4.add(total(), term), 32);
        if (mode == Mode.VALUE) continue;
      }
      for (let e: usize = 0; e < 144; e += 16) {
        v128.store(matrix + e, f32x4.mul(v128.load(matrix + e), term));
      }
      if (mode == Mode.PARAMETERS) {
        addParameterSums(row, around, term);
        continue;
      }
      addTo(anchors + (anchor << 5) + 16, term);
      const toAnchor = slopes + slopeStride * anchor * N;
      entries = table;
      let place = component + COMPONENT;
      for (let j: usize = 1; j <= M; j++, entries += tableStride * N, place += PLACE) {
        const particle = <usize>load<i32>(row + (j << 2));
        const to = toAnchor + slopeStride * particle;
        for (let e: usize = 0; e < 48; e += 16) {
          let slope = fma(splat(place + 4), v128.load(matrix + e), v128.load(to + e));
          slope = fma(splat(place + 8), v128.load(matrix + e, 48), slope);
          v128.store(to + e, fma(splat(place + 12), v128.load(matrix + e, 96), slope));
        }
        const byLogRadius = v128.load(entries + tableStride * particle, 16);
        v128.store(to, fma(term, byLogRadius, v128.load(to, 48)), 48);
      }
    }
    if (mode == Mode.PARAMETERS) endParameterSums(component, out + (k * (1 + M * 6) << 2));
  }
}

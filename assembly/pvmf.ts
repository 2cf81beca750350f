// The PvMF × LogNormal prior on a block of four systems. Formulas and reference: src/mint/pvmf.ts.
//
// A term is constant + radial terms + κ(f − 1), f = |W|²/(|B| |B₀|), W = Σ_j μ_jᵀθ_j, B = Σ_j θ_jᵀθ_j.
// f32x4 gives radial terms and a bound; κ(f − 1), a small difference of large numbers, is computed in
// f64 in the lanes where the term matters. Derivatives by parameters: the kernel sums what the host
// (src/backends/wasm/pvmf.ts) takes to parameters.
import { exp4, log4 } from "./math";
import {
  addTo, anchors, beginPass, bind, COMPONENT, componentBytes, components, cut, G, geometry,
  geometryStride, K, labellings, laneValues, largest, M, matrix, N, n, one, PLACE, raise, reference,
  slopes, slopeStride, splat, state, table, tableStride, total,
} from "./orbit_vmf_layout";
import { logBroad, pairGeometry, pullBack, pullToCentre, sanitise } from "./orbit_vmf";
import { fma } from "./simd";

// A component: f32 constant (with κ), κ; f64 |B₀|; then M places of PLACE bytes: μ at 4, ρ at 16, 1/σ at 20.

// One lane's W and B, f64 row-major.
const W = memory.data(9 * 8, 16);
const B = memory.data(9 * 8, 16);
/** 2κ/(|B||B₀|) W and −2κf/|B|² B of the term in hand, f32x4, row-major; then κf. */
const BY_MU = memory.data(9 * 16, 16);
const BY_THETA = memory.data(9 * 16, 16);
const KAPPA_F = memory.data(16, 16);

/** Per place and particle: −½z² and −z/σ of the pair seen from the anchor. */
function tabulate(component: usize, anchor: usize): void {
  const minusHalf = f32x4.splat(-0.5);
  const radius = n << 4;
  for (let j: usize = 0; j < M; j++) {
    const place = component + COMPONENT + PLACE * j;
    const rho = splat(place + 16);
    const inverseSigma = splat(place + 20);
    let pair = geometry + geometryStride * anchor * N;
    let out = table + tableStride * j * N;
    for (let b: usize = 0; b < N; b++, pair += geometryStride, out += tableStride) {
      if (b == anchor) continue;
      const z = f32x4.mul(f32x4.sub(rho, v128.load(pair + radius)), inverseSigma);
      v128.store(out, f32x4.mul(f32x4.mul(minusHalf, z), z));
      v128.store(out, f32x4.mul(z, inverseSigma), 16);
    }
  }
}

/** κ(f − 1) in one lane; its factors of derivatives go to that lane of BY_MU, BY_THETA, KAPPA_F. */
function laneCosine(component: usize, row: usize, around: usize, lane: usize): f64 {
  memory.fill(W, 0, 72);
  memory.fill(B, 0, 72);
  const t = memory.data(3 * 8, 16);
  let place = component + COMPONENT;
  for (let j: usize = 1; j <= M; j++, place += PLACE) {
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2)) + (lane << 2);
    let square: f64 = 0;
    for (let d: usize = 0; d < n; d++) {
      const v = <f64>load<f32>(pair + (d << 4));
      square += v * v;
      store<f64>(t + (d << 3), v);
    }
    // Of unit length to f64; zero where particles coincide.
    const unit: f64 = square > 0.5 ? 1 / Math.sqrt(square) : 1;
    for (let d: usize = 0; d < n; d++) store<f64>(t + (d << 3), load<f64>(t + (d << 3)) * unit);
    for (let d: usize = 0; d < n; d++) {
      const mu = <f64>load<f32>(place + (d << 2), 4);
      const theta = load<f64>(t + (d << 3));
      for (let e: usize = 0; e < n; e++) {
        const at = d * n + e << 3;
        const other = load<f64>(t + (e << 3));
        store<f64>(W + at, load<f64>(W + at) + mu * other);
        store<f64>(B + at, load<f64>(B + at) + theta * other);
      }
    }
  }
  let ww: f64 = 0;
  let bb: f64 = 0;
  for (let at: usize = 0; at < n * n << 3; at += 8) {
    const w = load<f64>(W + at);
    const b = load<f64>(B + at);
    ww += w * w;
    bb += b * b;
  }
  const kappa = <f64>load<f32>(component, 4);
  const norm = Math.sqrt(bb) * load<f64>(component, 8);
  const f = norm > 0 ? ww / norm : 0;
  const byMu = norm > 0 ? 2 * kappa / norm : 0;
  const byTheta = bb > 0 ? -2 * kappa * f / bb : 0;
  for (let e: usize = 0; e < n * n; e++) {
    store<f32>(BY_MU + (e << 4) + (lane << 2), <f32>(byMu * load<f64>(W + (e << 3))));
    store<f32>(BY_THETA + (e << 4) + (lane << 2), <f32>(byTheta * load<f64>(B + (e << 3))));
  }
  store<f32>(KAPPA_F + (lane << 2), <f32>(kappa * f));
  return kappa * (f - 1);
}

/** Radial part of a term in hand, its constant and Jacobian included. */
function radialPart(component: usize, anchor: usize, row: usize): v128 {
  let radial = f32x4.add(splat(component), v128.load(anchors + (anchor << 5)));
  let entries = table;
  for (let j: usize = 1; j <= M; j++, entries += tableStride * N) {
    radial = f32x4.add(radial, v128.load(entries + tableStride * <usize>load<i32>(row + (j << 2))));
  }
  return radial;
}

/** The term's logarithm in the lanes of the mask, −∞ in the others. */
function termValues(component: usize, row: usize, around: usize, radial: v128, mask: v128): v128 {
  const active = i32x4.bitmask(mask);
  const zero = f32x4.splat(0);
  for (let e: usize = 0; e < 144; e += 16) {
    v128.store(BY_MU + e, zero);
    v128.store(BY_THETA + e, zero);
  }
  v128.store(KAPPA_F, zero);
  v128.store(laneValues(), f32x4.splat(-Infinity));
  for (let lane: usize = 0; lane < 4; lane++) {
    if (!(active & (1 << <i32>lane))) continue;
    store<f32>(laneValues() + (lane << 2), <f32>laneCosine(component, row, around, lane));
  }
  return f32x4.add(radial, v128.load(laneValues()));
}

/** Adds term · derivatives by directions, distances and the anchor's Jacobian to the slopes. */
function scatter(component: usize, row: usize, around: usize, anchor: usize, term: v128): void {
  addTo(anchors + (anchor << 5) + 16, term);
  const toAnchor = slopes + slopeStride * anchor * N;
  let entries = table;
  let place = component + COMPONENT;
  for (let j: usize = 1; j <= M; j++, entries += tableStride * N, place += PLACE) {
    const particle = <usize>load<i32>(row + (j << 2));
    const pair = around + geometryStride * particle;
    const to = toAnchor + slopeStride * particle;
    for (let e: usize = 0; e < n; e++) {
      let slope = f32x4.splat(0);
      for (let d: usize = 0; d < n; d++) {
        const at = d * n + e << 4;
        slope = fma(splat(place + 4 + (d << 2)), v128.load(BY_MU + at), slope);
        slope = fma(v128.load(pair + (d << 4)), v128.load(BY_THETA + at), slope);
      }
      const out = to + (e << 4);
      v128.store(out, fma(term, slope, v128.load(out)));
    }
    const radius = to + (n << 4);
    const byLogRadius = v128.load(entries + tableStride * particle, 16);
    v128.store(radius, fma(term, byLogRadius, v128.load(radius)));
  }
}

/** One pass over all terms: sums them, and their slopes where wanted. */
function pass(positions: bool): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + componentBytes * k;
    let anchor: usize = -1;
    let around: usize = 0;
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      const first = <usize>load<i32>(row);
      if (first != anchor) {
        anchor = first;
        around = geometry + geometryStride * anchor * N;
        tabulate(component, anchor);
      }
      const radial = radialPart(component, anchor, row);
      const mask = f32x4.gt(radial, f32x4.sub(largest(), cut())); // κ(f − 1) ≤ 0
      if (!v128.any_true(mask)) continue;
      const values = termValues(component, row, around, radial, mask);
      raise(values);
      const term = v128.and(exp4(f32x4.sub(values, reference())), mask);
      v128.store(state, f32x4.add(total(), term), 32);
      if (positions) scatter(component, row, around, anchor, term);
    }
  }
}

/** log q and ∂log q/∂x; see mintPrior. */
export function pvmf(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  bind(prior, scratch);
  const finite = sanitise(x);
  pairGeometry();
  const broad = logBroad(prior);
  beginPass(broad);
  pass(true);
  const nan = f32x4.splat(NaN);
  const factor = v128.bitselect(f32x4.div(one(), total()), nan, finite);
  const broadTerm = exp4(f32x4.sub(broad, reference()));
  pullToCentre(gradient, f32x4.mul(f32x4.mul(broadTerm, splat(prior + 20)), factor));
  pullBack(gradient, factor);
  return v128.bitselect(f32x4.add(reference(), log4(total())), nan, finite);
}

// @ts-ignore: decorator
@inline function add(address: usize, value: v128): void {
  const low = f32x4.extract_lane(value, 0) + f32x4.extract_lane(value, 1);
  const high = f32x4.extract_lane(value, 2) + f32x4.extract_lane(value, 3);
  store<f32>(address, load<f32>(address) + (low + high));
}

/**
 * out += Σ over lanes of weight · share · (1, κf, z/σ (M), z² − 1 (M), 2κ/(|B||B₀|) Wθ (M·n)) for
 * every component, a row of 2 + M(n + 2) f32 each.
 */
export function pvmfStatistics(
  prior: usize, x: usize, weight: v128, out: usize, scratch: usize,
): void {
  bind(prior, scratch);
  const used = v128.and(sanitise(x), f32x4.ne(weight, f32x4.splat(0)));
  if (!v128.any_true(used)) return;
  pairGeometry();
  beginPass(logBroad(prior));
  pass(false);
  const factor = f32x4.div(v128.and(weight, used), total());
  for (let k: usize = 0; k < K; k++) {
    const component = components + componentBytes * k;
    const own = out + ((2 + M * (n + 2)) * k << 2);
    let anchor: usize = -1;
    let around: usize = 0;
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      const first = <usize>load<i32>(row);
      if (first != anchor) {
        anchor = first;
        around = geometry + geometryStride * anchor * N;
        tabulate(component, anchor);
      }
      const radial = radialPart(component, anchor, row);
      const mask = f32x4.gt(radial, f32x4.sub(largest(), cut()));
      if (!v128.any_true(mask)) continue;
      const values = termValues(component, row, around, radial, mask);
      const exponent = f32x4.sub(values, reference());
      const share = f32x4.mul(v128.and(exp4(exponent), mask), factor);
      add(own, share);
      add(own + 4, f32x4.mul(share, v128.load(KAPPA_F)));
      let entries = table;
      let toMu = own + 8 + (M << 3);
      for (let j: usize = 0; j < M; j++, entries += tableStride * N) {
        const particle = <usize>load<i32>(row + (j << 2), 4);
        const pair = around + geometryStride * particle;
        const entry = entries + tableStride * particle;
        // The table has −½z² and −z/σ.
        const square = v128.load(entry);
        add(own + 8 + (j << 2), f32x4.neg(f32x4.mul(share, v128.load(entry, 16))));
        const excess = f32x4.neg(f32x4.add(f32x4.add(square, square), one()));
        add(own + 8 + (M + j << 2), f32x4.mul(share, excess));
        for (let d: usize = 0; d < n; d++, toMu += 4) {
          let value = f32x4.splat(0);
          for (let e: usize = 0; e < n; e++) {
            value = fma(v128.load(BY_MU + (d * n + e << 4)), v128.load(pair + (e << 4)), value);
          }
          add(toMu, f32x4.mul(share, value));
        }
      }
    }
  }
}

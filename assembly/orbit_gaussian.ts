// Orbit Gaussians on a block of four systems. Formulas and reference: src/mint/orbit_gaussian.ts.
//
// Labelled components: with X the positions by place relative to the anchor (M × n), P the precision
// matrix of the noise and B = P·mean (both M rows, packed in f64, whatever the covariance was),
//   log term = constant − ½ Σ_jk P_jk x_j·x_k + log I(C),   C = Bᵀ X.
// In three dimensions a bound on f32x4 decides which terms matter; those are computed in f64, lane by
// lane, because they are small differences of large numbers. In two: orbit_gaussian_plane.ts.
// Derivatives by parameters: the kernel sums those by P and
// B, the host (src/backends/wasm/orbit_gaussian.ts) takes them to means and noise.
import { exp4, log4 } from "./math";
import { bindPlane, gaussianPlanePass, gaussianPlaneStatistics } from "./orbit_gaussian_plane";
import { logOrbitIntegral3, orbitIntegral3Matrix } from "./orbit_integral3";
import {
  beginPass, bind, clean, COMPONENT, components, cut, G, K, labellings, laneValues, largest, M,
  matrix, N, n, nodeTables, one, raise, reference, slopes, slopeStride, splat, state, tiny, total,
} from "./orbit_vmf_layout";
import { nuclearNorm } from "./orbit_vmf_space";
import { logBroad, pullToCentre, sanitise } from "./orbit_vmf";
import { fma } from "./simd";

// Scratch beside the layout's: dot products of positions relative to the anchor (N·N f32x4), the
// forces of one term (N·n f32x4), and one lane's positions by place (M·n f64).
let dots: usize = 0;
let forces: usize = 0;
let places: usize = 0;
/** Bytes of a component: constant (f64, and again f32), P (M·M f64), B (M·n f64); n = 2: see there. */
let stride: usize = 0;

export function orbitGaussianScratchBytes(N: i32, n: i32): i32 {
  return 16 * (N * N + N * n) + 8 * N * n + 16;
}

function bindGaussian(prior: usize, scratch: usize): void {
  bind(prior, scratch);
  dots = state + 6 * 16;
  forces = dots + (N * N << 4);
  places = forces + (N * n << 4);
  stride = COMPONENT + (n == 3 ? M * (M + 3) << 3 : ((M * (M + 4) << 2) + 15) & ~15);
  if (n == 2) bindPlane(dots);
}

/** Dot products (x_a − x_anchor)·(x_b − x_anchor), a·N + b for a ≤ b. */
function tabulate(anchor: usize): void {
  const end = n << 4;
  const origin = clean + anchor * end;
  for (let a: usize = 0; a < N; a++) {
    for (let b = a; b < N; b++) {
      let dot = f32x4.splat(0);
      for (let d: usize = 0; d < end; d += 16) {
        const o = v128.load(origin + d);
        const x = f32x4.sub(v128.load(clean + a * end + d), o);
        dot = fma(x, f32x4.sub(v128.load(clean + b * end + d), o), dot);
      }
      v128.store(dots + (a * N + b << 4), dot);
      v128.store(dots + (b * N + a << 4), dot);
    }
  }
}

// Constants in memory: 1/√3 is not exact, a little more keeps the bound a bound.
const ROOT3 = memory.data<f32>([1.7321], 16);
/** What rounding may take from a bound, relative to its parts. */
const SLACK = memory.data<f32>([1e-5], 16);

/** A close upper bound of the sum of singular values of the matrix in hand. */
function nuclearBound(): v128 {
  let norm = tiny();
  for (let e: usize = 0; e < 9; e++) {
    const c = v128.load(matrix + (e << 4));
    norm = fma(c, c, norm);
  }
  // At most √3 times the Frobenius norm.
  const most = f32x4.mul(f32x4.sqrt(norm), splat(ROOT3));
  return nuclearNorm(most, f32x4.div(one(), most));
}

/** An upper bound of a term's logarithm in each lane. */
function termBound(component: usize, row: usize): v128 {
  const precision = component + COMPONENT;
  const scaled = precision + (M * M << 3);
  const size = n << 4;
  const origin = clean + <usize>load<i32>(row) * size;
  let square = f32x4.splat(0);
  for (let e: usize = 0; e < n * n; e++) v128.store(matrix + (e << 4), square);
  for (let j: usize = 0; j < M; j++) {
    const a = <usize>load<i32>(row + (j << 2), 4);
    let sum = f32x4.splat(0);
    for (let k: usize = 0; k < j; k++) {
      const p = f32x4.splat(<f32>load<f64>(precision + (j * M + k << 3)));
      sum = fma(p, v128.load(dots + (a * N + <usize>load<i32>(row + (k << 2), 4) << 4)), sum);
    }
    const p = f32x4.splat(<f32>load<f64>(precision + (j * M + j << 3)));
    square = f32x4.add(square, f32x4.add(sum, sum));
    square = fma(p, v128.load(dots + (a * N + a << 4)), square);
    for (let e: usize = 0; e < n; e++) {
      const at = e << 4;
      const x = f32x4.sub(v128.load(clean + a * size + at), v128.load(origin + at));
      for (let d: usize = 0; d < n; d++) {
        const b = f32x4.splat(<f32>load<f64>(scaled + (j * n + d << 3)));
        const to = matrix + (d * n + e << 4);
        v128.store(to, fma(b, x, v128.load(to)));
      }
    }
  }
  const nuclear = nuclearBound();
  const half = f32x4.mul(square, f32x4.splat(0.5));
  const slack = f32x4.mul(f32x4.add(f32x4.abs(half), nuclear), splat(SLACK));
  return f32x4.add(f32x4.sub(f32x4.add(splat(component + 8), nuclear), half), slack);
}

/** One lane's term without its constant; its positions go to `places`, ∂log I/∂C to the matrix. */
function laneTerm(component: usize, row: usize, lane: usize): f64 {
  const precision = component + COMPONENT;
  const scaled = precision + (M * M << 3);
  const c = orbitIntegral3Matrix();
  memory.fill(c, 0, 72);
  const origin = clean + (<usize>load<i32>(row) * n << 4) + (lane << 2);
  let square: f64 = 0;
  for (let j: usize = 0; j < M; j++) {
    const from = clean + (<usize>load<i32>(row + (j << 2), 4) * n << 4) + (lane << 2);
    for (let e: usize = 0; e < n; e++) {
      const at = e << 4;
      const x = <f64>load<f32>(from + at) - <f64>load<f32>(origin + at);
      store<f64>(places + (j * n + e << 3), x);
      for (let d: usize = 0; d < n; d++) {
        const to = c + (d * n + e << 3);
        store<f64>(to, load<f64>(to) + load<f64>(scaled + (j * n + d << 3)) * x);
      }
      let sum: f64 = 0;
      for (let k: usize = 0; k < j; k++) {
        sum += load<f64>(precision + (j * M + k << 3)) * load<f64>(places + (k * n + e << 3));
      }
      square += x * (2 * sum + load<f64>(precision + (j * M + j << 3)) * x);
    }
  }
  return logOrbitIntegral3(nodeTables, 0) - 0.5 * square;
}

/** ∂(the lane's term)/∂x to `forces`: −P X + B ∂log I/∂C, and the opposite sum on the anchor. */
function laneForces(component: usize, row: usize, lane: usize): void {
  const precision = component + COMPONENT;
  const scaled = precision + (M * M << 3);
  const slope = orbitIntegral3Matrix();
  for (let e: usize = 0; e < n; e++) {
    let all: f64 = 0;
    for (let j: usize = 0; j < M; j++) {
      let force: f64 = 0;
      for (let k: usize = 0; k < M; k++) {
        force -= load<f64>(precision + (j * M + k << 3)) * load<f64>(places + (k * n + e << 3));
      }
      for (let d: usize = 0; d < n; d++) {
        force += load<f64>(scaled + (j * n + d << 3)) * load<f64>(slope + (d * n + e << 3));
      }
      all += force;
      const to = forces + (<usize>load<i32>(row + (j << 2), 4) * n + e << 4);
      store<f32>(to + (lane << 2), <f32>force);
    }
    store<f32>(forces + (<usize>load<i32>(row) * n + e << 4) + (lane << 2), <f32>-all);
  }
}

// @ts-ignore: decorator
@inline function add(address: usize, value: f64): void {
  store<f32>(address, load<f32>(address) + <f32>value);
}

/** Numbers that the kernel sums for one labelled component: weight, by P (j ≥ k), by B. */
// @ts-ignore: decorator
@inline function statistics(): usize {
  return 1 + M * (M + 1) / 2 + M * n;
}

/** Adds one lane's derivatives by P (both elements of a pair together) and B, times `weight`. */
function addStatistics(out: usize, weight: f64): void {
  const slope = orbitIntegral3Matrix();
  add(out, weight);
  let at = out + 4;
  for (let j: usize = 0; j < M; j++) {
    for (let k: usize = 0; k <= j; k++, at += 4) {
      let dot: f64 = 0;
      for (let e: usize = 0; e < n; e++) {
        dot += load<f64>(places + (j * n + e << 3)) * load<f64>(places + (k * n + e << 3));
      }
      add(at, weight * (k == j ? -0.5 * dot : -dot));
    }
  }
  for (let j: usize = 0; j < M; j++) {
    for (let d: usize = 0; d < n; d++, at += 4) {
      let value: f64 = 0;
      for (let e: usize = 0; e < n; e++) {
        value += load<f64>(slope + (d * n + e << 3)) * load<f64>(places + (j * n + e << 3));
      }
      add(at, weight * value);
    }
  }
}

/** One pass over all terms: sums them, and their forces into the layout's slopes where wanted. */
function pass(positions: bool): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + stride * k;
    let anchor: usize = -1;
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      const first = <usize>load<i32>(row);
      if (first != anchor) tabulate(anchor = first);
      const mask = f32x4.gt(termBound(component, row), f32x4.sub(largest(), cut()));
      if (!v128.any_true(mask)) continue;
      const active = i32x4.bitmask(mask);
      const constant = load<f64>(component);
      v128.store(laneValues(), f32x4.splat(-Infinity));
      for (let lane: usize = 0; lane < 4; lane++) {
        if (!(active & (1 << <i32>lane))) continue;
        const value = constant + laneTerm(component, row, lane);
        store<f32>(laneValues() + (lane << 2), <f32>value);
        if (positions) laneForces(component, row, lane);
      }
      const values = v128.load(laneValues());
      raise(values);
      const term = v128.and(exp4(f32x4.sub(values, reference())), mask);
      v128.store(state, f32x4.add(total(), term), 32);
      if (!positions) continue;
      for (let at: usize = 0; at < N * n << 4; at += 16) {
        const force = v128.and(v128.load(forces + at), mask);
        v128.store(slopes + at, fma(term, force, v128.load(slopes + at)));
      }
    }
  }
}

/** log q and ∂log q/∂x of labelled components; see mintPrior. */
export function orbitGaussian(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  bindGaussian(prior, scratch);
  const finite = sanitise(x);
  const broad = logBroad(prior);
  beginPass(broad);
  if (n == 2) gaussianPlanePass(stride, true);
  else pass(true);
  const nan = f32x4.splat(NaN);
  const factor = v128.bitselect(f32x4.div(one(), total()), nan, finite);
  const broadTerm = exp4(f32x4.sub(broad, reference()));
  pullToCentre(gradient, f32x4.mul(f32x4.mul(broadTerm, splat(prior + 20)), factor));
  for (let at: usize = 0; at < N * n << 4; at += 16) {
    v128.store(gradient + at, fma(factor, v128.load(slopes + at), v128.load(gradient + at)));
  }
  return v128.bitselect(f32x4.add(reference(), log4(total())), nan, finite);
}

/**
 * out += Σ over lanes of weight · share · (1, ∂/∂P, ∂/∂B) for every component, a row of 1 + M(M+1)/2
 * + M·n f32 each.
 */
export function orbitGaussianStatistics(
  prior: usize, x: usize, weight: v128, out: usize, scratch: usize,
): void {
  bindGaussian(prior, scratch);
  const used = v128.and(sanitise(x), f32x4.ne(weight, f32x4.splat(0)));
  if (!v128.any_true(used)) return;
  beginPass(logBroad(prior));
  if (n == 2) gaussianPlanePass(stride, false);
  else pass(false);
  const factor = f32x4.div(v128.and(weight, used), total());
  if (n == 2) {
    gaussianPlaneStatistics(stride, factor, out);
    return;
  }
  for (let k: usize = 0; k < K; k++) {
    const component = components + stride * k;
    let anchor: usize = -1;
    let row = labellings;
    for (let g: usize = 0; g < G; g++, row += N << 2) {
      const first = <usize>load<i32>(row);
      if (first != anchor) tabulate(anchor = first);
      const likely = f32x4.gt(termBound(component, row), f32x4.sub(largest(), cut()));
      const active = i32x4.bitmask(v128.and(likely, used));
      for (let lane: usize = 0; lane < 4; lane++) {
        if (!(active & (1 << <i32>lane))) continue;
        const value = load<f64>(component) + laneTerm(component, row, lane);
        const share = Math.exp(value - <f64>load<f32>(state + (lane << 2), 16));
        v128.store(laneValues(), factor);
        const scaled = share * <f64>load<f32>(laneValues() + (lane << 2));
        addStatistics(out + (statistics() * k << 2), scaled);
      }
    }
  }
}

// The Mint prior on a block of four systems: log q, ∂log q/∂x, ∂log q/∂parameters.
// Formulas and reference: src/mint/orbit_vmf.ts and src/mint/mixture.ts. Layout of the packed prior
// and of the scratch area: orbit_vmf_layout.ts.
//
// A pass visits the K·|G| terms (component, labelling). Tables of every place with every particle
// make a term's upper bound a few additions: log I(C) ≤ the sum of C's singular values. In each
// lane a term whose bound lies more than CUT below the largest so far is zero, whatever the other
// lanes hold; one that is zero in all four lanes is skipped. The others are computed without a
// logarithm per term, as multiples of a common e^reference.
import { exp4, log4 } from "./math";
import { planePass } from "./orbit_vmf_plane";
import { spacePass } from "./orbit_vmf_space";
import {
  addTo, anchors, beginPass, bind, clean, geometry, geometryStride, inside, K, Mode, N, n, one,
  reference, slopes, slopeStride, splat, state, total,
} from "./orbit_vmf_layout";
import { fma, fnma } from "./simd";

/** Coordinates from here on count as not finite: their squares would not be. */
const HUGE: f32 = 1e15;

/** Copies x, harmless numbers in lanes that are not finite; returns the mask of the finite lanes. */
export function sanitise(x: usize): v128 {
  const huge = f32x4.splat(HUGE);
  const end = N * n << 4;
  let finite = i32x4.splat(-1);
  for (let at: usize = 0; at < end; at += 16) {
    finite = v128.and(finite, f32x4.lt(f32x4.abs(v128.load(x + at)), huge));
  }
  for (let i: usize = 0; i < N * n; i++) {
    // Points on a parabola: no two alike.
    const harmless = f32x4.splat(<f32>(i * (i + 1)) * 0.1);
    const at = i << 4;
    v128.store(clean + at, v128.bitselect(v128.load(x + at), harmless, finite));
  }
  return finite;
}

export function pairGeometry(): void {
  const smallest = f32x4.splat(1e-30);
  const jacobian = f32x4.splat(-0.5 * <f32>(<i32>n)); // −n log r = −½n log r²
  const end = n << 4;
  for (let a: usize = 0; a < N; a++) v128.store(anchors + (a << 5), f32x4.splat(0));
  for (let a: usize = 0; a < N; a++) {
    for (let b = a + 1; b < N; b++) {
      const there = geometry + geometryStride * (a * N + b);
      const back = geometry + geometryStride * (b * N + a);
      let square = f32x4.splat(0);
      for (let d: usize = 0; d < end; d += 16) {
        const delta = f32x4.sub(v128.load(clean + b * end + d), v128.load(clean + a * end + d));
        v128.store(there + d, delta);
        square = fma(delta, delta, square);
      }
      square = f32x4.pmax(square, smallest);
      const inverse = f32x4.div(one(), f32x4.sqrt(square));
      const logSquare = log4(square);
      for (let d: usize = 0; d < end; d += 16) {
        const direction = f32x4.mul(v128.load(there + d), inverse);
        v128.store(there + d, direction);
        v128.store(back + d, f32x4.neg(direction));
      }
      const logRadius = f32x4.mul(logSquare, f32x4.splat(0.5));
      v128.store(there + end, logRadius);
      v128.store(back + end, logRadius);
      v128.store(there + end, inverse, 16);
      v128.store(back + end, inverse, 16);
      const term = f32x4.mul(logSquare, jacobian);
      addTo(anchors + (a << 5), term);
      addTo(anchors + (b << 5), term);
    }
  }
}

/** Adds to `gradient` what the slopes come to: [θ ∂/∂log r + (1 − θθᵀ)∂/∂θ]/r, times `factor`. */
export function pullBack(gradient: usize, factor: v128): void {
  const minusN = f32x4.splat(-<f32>(<i32>n));
  const end = n << 4;
  for (let a: usize = 0; a < N; a++) {
    const jacobian = f32x4.mul(minusN, v128.load(anchors + (a << 5), 16));
    for (let b: usize = 0; b < N; b++) {
      if (a == b) continue;
      const pair = geometry + geometryStride * (a * N + b);
      const slope = slopes + slopeStride * (a * N + b);
      let along = f32x4.add(v128.load(slope + end), jacobian);
      for (let d: usize = 0; d < end; d += 16) {
        along = fnma(v128.load(pair + d), v128.load(slope + d), along);
      }
      const inverse = f32x4.mul(v128.load(pair + end, 16), factor);
      const toB = gradient + b * end;
      const toA = gradient + a * end;
      for (let d: usize = 0; d < end; d += 16) {
        const force = f32x4.mul(inverse, fma(v128.load(pair + d), along, v128.load(slope + d)));
        addTo(toB + d, force);
        v128.store(toA + d, f32x4.sub(v128.load(toA + d), force));
      }
    }
  }
}

/** The mean of coordinate d over particles. */
function centre(d: usize): v128 {
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < N; i++) sum = f32x4.add(sum, v128.load(clean + (i * n + d << 4)));
  return f32x4.mul(sum, f32x4.splat(1 / <f32>(<i32>N)));
}

/** gradient = −strength · (x − centre). */
export function pullToCentre(gradient: usize, strength: v128): void {
  const pull = f32x4.neg(strength);
  for (let d: usize = 0; d < n; d++) {
    const middle = centre(d);
    for (let i: usize = 0; i < N; i++) {
      const at = i * n + d << 4;
      v128.store(gradient + at, f32x4.mul(pull, f32x4.sub(v128.load(clean + at), middle)));
    }
  }
}

/** Σ_i |x_i − centre|². */
export function squareAboutCentre(): v128 {
  let square = f32x4.splat(0);
  for (let d: usize = 0; d < n; d++) {
    const middle = centre(d);
    for (let i: usize = 0; i < N; i++) {
      const delta = f32x4.sub(v128.load(clean + (i * n + d << 4)), middle);
      square = fma(delta, delta, square);
    }
  }
  return square;
}

/** log of the broad part, its weight included. */
export function logBroad(prior: usize): v128 {
  return fma(f32x4.mul(squareAboutCentre(), splat(prior + 20)), f32x4.splat(-0.5), splat(prior + 16));
}

// @ts-ignore: decorator
@inline function pass(mode: i32, out: usize): void {
  if (n == 2) planePass(mode, out);
  else spacePass(mode, out);
}

/**
 * log q of a block, and ∂log q/∂x for all N particles. A lane with a coordinate that is NaN or at
 * least 1e15 in size gets NaN throughout. Called by mint_prior.ts.
 */
export function orbitVmf(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  bind(prior, scratch);
  const finite = sanitise(x);
  pairGeometry();
  const broad = logBroad(prior);
  beginPass(broad);
  pass(Mode.POSITIONS, 0);
  const nan = f32x4.splat(NaN);
  const factor = v128.bitselect(f32x4.div(one(), total()), nan, finite);
  const broadTerm = exp4(f32x4.sub(broad, reference()));
  pullToCentre(gradient, f32x4.mul(f32x4.mul(broadTerm, splat(prior + 20)), factor));
  if (K > 0) pullBack(gradient, factor);
  return v128.bitselect(f32x4.add(reference(), log4(total())), nan, finite);
}

/**
 * out += Σ over lanes of weight · ∂log q/∂parameters, `out` f32[] in MintModel's layout. Lanes of
 * weight 0 and lanes that are not finite add nothing.
 */
export function orbitVmfParameterGradient(
  prior: usize, x: usize, weight: v128, out: usize, scratch: usize,
): void {
  bind(prior, scratch);
  const used = v128.and(sanitise(x), f32x4.ne(weight, f32x4.splat(0)));
  if (!v128.any_true(used)) return;
  pairGeometry();
  const broad = logBroad(prior);
  beginPass(broad);
  // Once for the normaliser, then again for the derivatives.
  pass(Mode.VALUE, 0);
  const factor = f32x4.div(v128.and(weight, used), total());
  const broadTerm = exp4(f32x4.sub(broad, reference()));
  v128.store(state, factor, 48);
  // The share of all components: π_k of it is what the softmax takes back.
  v128.store(inside(), f32x4.mul(f32x4.sub(total(), broadTerm), factor));
  pass(Mode.PARAMETERS, out);
}

// Mixtures of Gaussians of mean zero and one scale each, invariant under every relabelling, on a block
// of four systems: the part of src/mint/orbit_gaussian.ts that large clusters use. They see a
// configuration only through Σ|x_i − centre|². Components: K pairs of f32, the constant and 1/s².
import { exp4, log4 } from "./math";
import { bind, components, K, laneValues, splat } from "./orbit_vmf_layout";
import { pullToCentre, sanitise, squareAboutCentre } from "./orbit_vmf";
import { fma } from "./simd";

/** log q and ∂log q/∂x of components of mean zero and one scale; see mintPrior. */
export function gaussianScales(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  bind(prior, scratch);
  const finite = sanitise(x);
  const square = squareAboutCentre();
  const half = f32x4.mul(square, f32x4.splat(-0.5));
  let top = fma(half, splat(prior + 20), splat(prior + 16));
  const broad = top;
  for (let k: usize = 0; k < K; k++) {
    const at = components + (k << 3);
    top = f32x4.max(top, fma(half, splat(at + 4), splat(at)));
  }
  let sum = exp4(f32x4.sub(broad, top));
  let pull = f32x4.mul(sum, splat(prior + 20));
  for (let k: usize = 0; k < K; k++) {
    const at = components + (k << 3);
    const term = exp4(f32x4.sub(fma(half, splat(at + 4), splat(at)), top));
    sum = f32x4.add(sum, term);
    pull = fma(term, splat(at + 4), pull);
  }
  const nan = f32x4.splat(NaN);
  pullToCentre(gradient, v128.bitselect(f32x4.div(pull, sum), nan, finite));
  return v128.bitselect(f32x4.add(top, log4(sum)), nan, finite);
}

/** out += Σ over lanes of weight · share · (1, −½ Σ|x_i − centre|²) for every component. */
export function gaussianScalesStatistics(
  prior: usize, x: usize, weight: v128, out: usize, scratch: usize,
): void {
  bind(prior, scratch);
  const used = v128.and(sanitise(x), f32x4.ne(weight, f32x4.splat(0)));
  if (!v128.any_true(used)) return;
  const half = f32x4.mul(squareAboutCentre(), f32x4.splat(-0.5));
  let top = fma(half, splat(prior + 20), splat(prior + 16));
  const broad = top;
  for (let k: usize = 0; k < K; k++) {
    const at = components + (k << 3);
    top = f32x4.max(top, fma(half, splat(at + 4), splat(at)));
  }
  let sum = exp4(f32x4.sub(broad, top));
  for (let k: usize = 0; k < K; k++) {
    const at = components + (k << 3);
    sum = f32x4.add(sum, exp4(f32x4.sub(fma(half, splat(at + 4), splat(at)), top)));
  }
  const factor = f32x4.div(v128.and(weight, used), sum);
  for (let k: usize = 0; k < K; k++) {
    const at = components + (k << 3);
    const share = f32x4.mul(exp4(f32x4.sub(fma(half, splat(at + 4), splat(at)), top)), factor);
    v128.store(laneValues(), share);
    addLanes(out + (k << 3));
    v128.store(laneValues(), f32x4.mul(share, half));
    addLanes(out + (k << 3) + 4);
  }
}

/** Adds the four numbers at laneValues(). */
function addLanes(to: usize): void {
  const v = laneValues();
  const sum = (load<f32>(v) + load<f32>(v, 4)) + (load<f32>(v, 8) + load<f32>(v, 12));
  store<f32>(to, load<f32>(to) + sum);
}

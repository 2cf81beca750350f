// The Mint prior of any family: log q, ∂log q/∂x, and derivatives by parameters, on a block of four
// systems. The family's number stands at byte 24 of the packed prior (src/backends/wasm/mint_prior.ts):
//   0 orbit_vmf, 1 orbit_gaussian (labelled), 2 pvmf, 3 permutation-invariant Gaussians.
import { gaussianScales, gaussianScalesStatistics } from "./gaussian_scales";
import {
  orbitGaussian, orbitGaussianScratchBytes, orbitGaussianStatistics,
} from "./orbit_gaussian";
import { orbitVmf, orbitVmfParameterGradient } from "./orbit_vmf";
import { orbitVmfScratchBytes } from "./orbit_vmf_layout";
import { pvmf, pvmfStatistics } from "./pvmf";

/** Bytes of scratch that a prior of this shape needs, whatever its family. */
export function mintPriorScratchBytes(N: i32, n: i32, K: i32, G: i32): i32 {
  return orbitVmfScratchBytes(N, n, K, G) + orbitGaussianScratchBytes(N, n);
}

/**
 * log q of a block, and ∂log q/∂x for all N particles. A lane with a coordinate that is NaN or at
 * least 1e15 in size gets NaN throughout. Exported to other kernels; the host uses mintPriorBatch.
 */
export function mintPrior(prior: usize, x: usize, gradient: usize, scratch: usize): v128 {
  const family = load<i32>(prior, 24);
  if (family == 0) return orbitVmf(prior, x, gradient, scratch);
  if (family == 1) return orbitGaussian(prior, x, gradient, scratch);
  if (family == 2) return pvmf(prior, x, gradient, scratch);
  return gaussianScales(prior, x, gradient, scratch);
}

/** For the host: log q (f32x4 each) and gradients of `blocks` blocks one after another. */
export function mintPriorBatch(
  prior: usize, x: usize, gradient: usize, logDensity: usize, blocks: i32, scratch: usize,
): void {
  const bytes = <usize>(load<i32>(prior) * load<i32>(prior, 4)) << 4;
  for (let block: usize = 0; block < <usize>blocks; block++) {
    v128.store(
      logDensity + (block << 4),
      mintPrior(prior, x + bytes * block, gradient + bytes * block, scratch),
    );
  }
}

/**
 * For the host: out += Σ over lanes of weight · derivatives, the four weights in memory. Lanes of
 * weight 0 and lanes that are not finite add nothing. `out`: ∂log q/∂parameters in MintModel's
 * layout (orbit_vmf), or what the host takes to them in float64 (the others; see their files).
 */
export function mintPriorParameterGradientBlock(
  prior: usize, x: usize, weights: usize, out: usize, scratch: usize,
): void {
  const weight = v128.load(weights);
  const family = load<i32>(prior, 24);
  if (family == 0) orbitVmfParameterGradient(prior, x, weight, out, scratch);
  else if (family == 1) orbitGaussianStatistics(prior, x, weight, out, scratch);
  else if (family == 2) pvmfStatistics(prior, x, weight, out, scratch);
  else gaussianScalesStatistics(prior, x, weight, out, scratch);
}

/**
 * The broad component: N(0, s²) on the centre-of-mass-free subspace, invariant under orthogonal
 * maps and under every relabelling, as a density in the anchored measure:
 * log Z_anchor = log Z_com + (n/2) log N, hence log q_anchor = log q_com − (n/2) log N.
 */
import type { RandomStream } from "../math/random.ts";

/** log density of the N·n numbers at `offset`; translation does not matter. */
export function logBroadDensity(
  positions: Float64Array | Float32Array,
  offset: number,
  particles: number,
  dimension: 2 | 3,
  scale: number,
): number {
  const n = dimension;
  let square = 0;
  for (let d = 0; d < n; d++) {
    const centre = coordinateMean(positions, offset, particles, n, d);
    for (let i = 0; i < particles; i++) square += (positions[offset + i * n + d] - centre) ** 2;
  }
  return -0.5 * square / scale ** 2 -
    0.5 * (particles - 1) * n * Math.log(2 * Math.PI * scale ** 2) -
    0.5 * n * Math.log(particles);
}

/** Adds weight · ∂log q/∂x to `gradient`, at the same offset. */
export function addBroadGradient(
  positions: Float64Array,
  offset: number,
  particles: number,
  dimension: 2 | 3,
  scale: number,
  weight: number,
  gradient: Float64Array,
  gradientOffset: number,
): void {
  const n = dimension;
  for (let d = 0; d < n; d++) {
    const centre = coordinateMean(positions, offset, particles, n, d);
    for (let i = 0; i < particles; i++) {
      gradient[gradientOffset + i * n + d] -= weight * (positions[offset + i * n + d] - centre) /
        scale ** 2;
    }
  }
}

/** A draw, not anchored: N·n independent normals (the centre of mass is free). */
export function drawBroad(random: RandomStream, scale: number, out: Float64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = scale * random.normal();
}

function coordinateMean(
  positions: Float64Array | Float32Array,
  offset: number,
  particles: number,
  n: number,
  d: number,
): number {
  let sum = 0;
  for (let i = 0; i < particles; i++) sum += positions[offset + i * n + d];
  return sum / particles;
}

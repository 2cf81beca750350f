// Derivatives of the Mint prior by its parameters, summed over labellings for one component at a
// time, projected at its end.
import {
  addTo, COMPONENT, geometryStride, inside, M, matrix, N, n, one, PLACE, sums, table, tableStride,
} from "./orbit_vmf_layout";
import { fma, fnma } from "./simd";

// `sums`: Σ term, then V = Σ term · (∂log I/∂C) θ (n per place), then per place −Σ term · z/σ, and
// −Σ term · (z² − 1).

export function beginParameterSums(): void {
  const zero = f32x4.splat(0);
  for (let i: usize = 0; i < 1 + M * (n + 2); i++) v128.store(sums + (i << 4), zero);
}

/**
 * Adds the term in hand: `term` is its weight, zero in lanes that do not count; `matrix` holds
 * term · ∂log I/∂C.
 */
export function addParameterSums(row: usize, around: usize, term: v128): void {
  addTo(sums, term);
  const vector = n << 4;
  let entries = table;
  let to = sums + 16;
  const byRadius = to + M * vector;
  for (let j: usize = 0; j < M; j++, entries += tableStride * N) {
    const particle = <usize>load<i32>(row + (j << 2), 4);
    const pair = around + geometryStride * particle;
    const entry = entries + tableStride * particle;
    for (let d: usize = 0; d < n; d++, to += 16) {
      let v = v128.load(to);
      for (let e: usize = 0; e < vector; e += 16) {
        v = fma(v128.load(matrix + d * vector + e), v128.load(pair + e), v);
      }
      v128.store(to, v);
    }
    // The table has −½z² and −z/σ.
    const radius = byRadius + (j << 4);
    v128.store(radius, fma(term, v128.load(entry, 16), v128.load(radius)));
    const sigma = radius + (M << 4);
    const square = v128.load(entry);
    v128.store(sigma, fma(term, f32x4.add(f32x4.add(square, square), one()), v128.load(sigma)));
  }
}

// @ts-ignore: decorator
@inline function sumLanes(address: usize): f32 {
  return (load<f32>(address) + load<f32>(address, 4)) + (load<f32>(address, 8) + load<f32>(address, 12));
}

// @ts-ignore: decorator
@inline function add(address: usize, value: f32): void {
  store<f32>(address, load<f32>(address) + value);
}

/** Adds the component's derivatives, summed over lanes, to its place in `out` (MintModel's layout). */
export function endParameterSums(component: usize, out: usize): void {
  const all = sumLanes(sums);
  add(out, all - sumLanes(inside()) * load<f32>(component, 4));
  const byRadius = sums + 16 + (M * n << 4);
  const radii = out + (1 + M * n << 2);
  let v = sums + 16;
  let place = component + COMPONENT;
  for (let j: usize = 0; j < M; j++, place += PLACE, v += n << 4) {
    const kappa = load<f32>(place);
    let along: f32 = 0; // κ μᵀV
    for (let d: usize = 0; d < n; d++) {
      along += load<f32>(place + (d << 2), 4) * sumLanes(v + (d << 4));
    }
    for (let d: usize = 0; d < n; d++) {
      const mu = load<f32>(place + (d << 2), 4) / kappa;
      add(
        out + (1 + j * n + d << 2),
        (kappa * sumLanes(v + (d << 4)) - along * mu) * load<f32>(place, 28),
      );
    }
    add(radii + (j << 2), -sumLanes(byRadius + (j << 4)));
    add(radii + (M + j << 2), -sumLanes(byRadius + (M + j << 4)));
    add(radii + (2 * M + j << 2), along - kappa * load<f32>(place, 24) * all);
  }
}

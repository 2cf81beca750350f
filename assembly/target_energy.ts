// Float64 energies of Lennard-Jones systems at the end of paths, where they decide the weights: bit for bit
// those of src/systems/lennard_jones.ts and pair_potential.ts, which are the oracle. Two systems side by
// side; no fused operations, whose rounding would differ.

/** Σ over pairs and oscillators of the two systems whose coordinates are at x, N·3 f64x2. */
// @ts-ignore: decorator
@inline function twoEnergies(x: usize, N: i32, epsilon: v128, oscillator: f64): v128 {
  const end = x + <usize>N * 48;
  const one = f64x2.splat(1);
  const two = f64x2.splat(2);
  let energy = f64x2.splat(0);
  for (let at = x; at < end; at += 48) {
    const xi = v128.load(at);
    const yi = v128.load(at, 16);
    const zi = v128.load(at, 32);
    for (let to = at + 48; to < end; to += 48) {
      const dx = f64x2.sub(xi, v128.load(to));
      const dy = f64x2.sub(yi, v128.load(to, 16));
      const dz = f64x2.sub(zi, v128.load(to, 32));
      const squared = f64x2.add(f64x2.add(f64x2.mul(dx, dx), f64x2.mul(dy, dy)), f64x2.mul(dz, dz));
      const q = f64x2.div(one, f64x2.mul(f64x2.mul(squared, squared), squared));
      energy = f64x2.add(energy, f64x2.mul(f64x2.mul(epsilon, q), f64x2.sub(q, two)));
    }
  }
  if (oscillator == 0) return energy;
  const particles = f64x2.splat(<f64>N);
  let squares = f64x2.splat(0);
  for (let axis: usize = 0; axis < 48; axis += 16) {
    let centre = f64x2.splat(0);
    for (let at = x + axis; at < end; at += 48) centre = f64x2.add(centre, v128.load(at));
    centre = f64x2.div(centre, particles);
    for (let at = x + axis; at < end; at += 48) {
      const d = f64x2.sub(v128.load(at), centre);
      squares = f64x2.add(squares, f64x2.mul(d, d));
    }
  }
  return f64x2.add(energy, f64x2.mul(f64x2.splat(0.5 * oscillator), squares));
}

/**
 * U = ε Σ_{i<j} (r⁻¹² − 2 r⁻⁶) + ½ k Σ_i |x_i − x_com|² of `blocks` blocks. energies: f64[4·blocks];
 * scratch: N·3 f64x2.
 */
export function lennardJonesTargets(
  x: usize, energies: usize, N: i32, epsilon: f64, oscillator: f64, blocks: i32, scratch: usize,
): void {
  const depth = f64x2.splat(epsilon);
  const size = <usize>N * 48;
  for (let b = 0; b < blocks; b++) {
    for (let half: usize = 0; half < 16; half += 8) {
      for (let a: usize = 0; a < size; a += 16) {
        v128.store(scratch + a, f64x2.promote_low_f32x4(v128.load64_zero(x + a + half)));
      }
      v128.store(energies, twoEnergies(scratch, N, depth, oscillator));
      energies += 16;
    }
    x += size;
  }
}

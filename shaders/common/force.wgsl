// The force of Julep at a state, −∇U_t with U_t = (1 − t)(−log q) + t·U.

/**
 * U_t at X, returned to all threads; F = −∇U_t, clipped and projected, to FORCE. The ends are exact: at t = 0
 * the target and at t = 1 the prior are not evaluated. GRADIENT is scratch.
 */
fn annealed_force(t: f32, first: bool, last: bool, lid: u32) -> f32 {
  var energy = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    work[FORCE + q] = 0.0;
  }
  if (!last) {
    energy -= (1.0 - t) * orbit_vmf(X, GRADIENT, lid);
    for (var q = lid; q < SIZE; q += W) {
      work[FORCE + q] = (1.0 - t) * work[GRADIENT + q];
    }
    sync();
  }
  if (!first) {
    energy = fma(t, pair_energies(X, GRADIENT, t, lid), energy);
    sync();
    for (var q = lid; q < SIZE; q += W) {
      work[FORCE + q] = fma(-t, work[GRADIENT + q], work[FORCE + q]);
    }
  }
  if (CLIP > 0.0) {
    sync();
    for (var i = lid; i < N; i += W) {
      let f = position(FORCE, i);
      let factor = 1.0 / sqrt(fma(dot(f, f), INVERSE_CLIP_SQUARED, 1.0));
      for (var a = 0u; a < DIM; a++) {
        work[FORCE + i * DIM + a] *= factor;
      }
    }
  }
  project(FORCE, DIM, lid);
  return energy;
}

// The force of Julep at a state, −∇U_t with U_t = (1 − t)(−log q) + t·U, or that of the model's own path.

/**
 * U_t at X at state `at` of T + 1, returned to all threads; F = −∇U_t, clipped and projected, to FORCE. The
 * ends are exact: at t = 0 the target and at t = 1 the prior are not evaluated. GRADIENT is scratch.
 */
fn annealed_force(at: u32, T: u32, lid: u32) -> f32 {
  let t = schedule[at];
  var energy = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    work[FORCE + q] = 0.0;
  }
  if (OWN_LEVELS && at > 0u) {
    energy = level_energy(X, GRADIENT, at, T, lid);
    sync();
    for (var q = lid; q < SIZE; q += W) {
      work[FORCE + q] = -work[GRADIENT + q];
    }
  } else if (at < T) {
    energy -= (1.0 - t) * mint_prior(X, GRADIENT, lid);
    for (var q = lid; q < SIZE; q += W) {
      work[FORCE + q] = (1.0 - t) * work[GRADIENT + q];
    }
    sync();
  }
  if (!OWN_LEVELS && at > 0u) {
    energy = fma(t, pair_energies(X, GRADIENT, t, lid), energy);
    sync();
    for (var q = lid; q < SIZE; q += W) {
      work[FORCE + q] = fma(-t, work[GRADIENT + q], work[FORCE + q]);
    }
  }
  sync();
  clip_force(FORCE, schedule[5u * T + 1u + at], lid);
  project(FORCE, DIM, lid);
  return energy;
}

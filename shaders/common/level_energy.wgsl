// Energies of an annealing path's levels: the soft Lennard-Jones energy, or the mixture (1 − t)(−log q) + t U_t
// of the prior and the system. Formulas: src/backends/reference/level_energy.ts.
//
// `path` as the host packs it (src/backends/webgpu/path.ts): 0 place of the pair flow's tables, 7 unused,
// then for every level, the prior (−1) first: ε, s, a, κ (or t, 3 unused), Δ, η, √(1 − η²), clip, the low parts of Δ, η, √(1 − η²), 1 unused. Level −1 has
// no transition: there stand κ of the target and 1/R² of PairPathLevels.saturation.

/** Place of a level's numbers; the prior is level −1. */
fn level_at(level: i32) -> u32 {
  return 8u + 12u * u32(level + 1);
}

/**
 * U_k at work[x ...], returned to all threads; its gradient to work[gradient ...]. GRADIENT is scratch of
 * mixtures. Ends with a barrier.
 */
fn level_energy(level: i32, x: u32, gradient: u32, lid: u32) -> f32 {
  let row = level_at(level);
  if (!MIXTURE) {
    let numbers = vec4<f32>(path[row], path[row + 1u], path[row + 2u], path[row + 3u]);
    var soft = soft_lennard_jones(numbers, x, gradient, lid);
    if (SATURATES && level >= 0) {
      let prior_row = level_at(-1);
      soft += saturate_confinement(numbers.w - path[prior_row + 4u], path[prior_row + 5u], x, gradient, lid);
      project(gradient, DIM, lid);
    }
    sync();
    return soft;
  }
  let t = path[row];
  var energy = 0.0;
  // The ends are exact: a prior that vanishes, or a colliding pair, must not reach them as 0·∞.
  if (t < 1.0) {
    energy = (t - 1.0) * mint_prior(x, gradient, lid);
    for (var q = lid; q < SIZE; q += W) {
      work[gradient + q] *= t - 1.0;
    }
  } else {
    for (var q = lid; q < SIZE; q += W) {
      work[gradient + q] = 0.0;
    }
  }
  if (t > 0.0) {
    energy = fma(t, pair_energies(x, GRADIENT, t, lid), energy);
    sync();
    for (var q = lid; q < SIZE; q += W) {
      work[gradient + q] = fma(t, work[GRADIENT + q], work[gradient + q]);
    }
  }
  sync();
  return energy;
}

/** The clipped force of a level, from its gradient, in place with the sign kept; ends with a barrier. */
fn clip_level(level: i32, gradient: u32, lid: u32) {
  let clip = path[level_at(level) + 7u];
  if (clip > 0.0) {
    clip_force(gradient, clip, lid);
    project(gradient, DIM, lid);
  }
}

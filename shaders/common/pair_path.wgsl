// A cluster's own path under Julep's kernels (src/julep/pair_path.ts): its levels and its pair drift.
//
// Behind the schedule's times and steps stand, for each of the T + 1 states: the force's clip (from
// 5T + 1), ε, s, a, κ of its level (from 6T + 2), the drift's table (from 10T + 6).

/** The soft Lennard-Jones energy at work[x ...] of state `at`; its gradient to work[gradient ...]. */
fn level_energy(x: u32, gradient: u32, at: u32, T: u32, lid: u32) -> f32 {
  let row = 6u * T + 2u + 4u * at;
  let level = vec4<f32>(
    schedule[row], schedule[row + 1u], schedule[row + 2u], schedule[row + 3u],
  );
  return soft_lennard_jones(level, x, gradient, lid);
}

/** The pair drift at work[x ...] of state `at` to work[velocity ...]. */
fn pair_velocity(x: u32, velocity: u32, at: u32, T: u32, lid: u32) {
  tabulated_velocity(10u * T + 6u + at * (CELLS + 1u), x, velocity, lid);
}

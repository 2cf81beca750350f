// A cluster's own path under Julep's kernels (src/julep/pair_path.ts): its levels, pair drift, pair flow.
//
// Behind the schedule's times and steps stand, for each of the T + 1 states: the force's clip (from
// 5T + 1), ε, s, a, κ of its level (from 6T + 2), the drift's table (from 10T + 6); then for each of the T steps
// the flow's.

/** The soft Lennard-Jones energy at work[x ...] of state `at`; its gradient to work[gradient ...]. */
fn level_energy(x: u32, gradient: u32, at: u32, T: u32, lid: u32) -> f32 {
  let row = 6u * T + 2u + 4u * at;
  let level = vec4<f32>(
    schedule[row], schedule[row + 1u], schedule[row + 2u], schedule[row + 3u],
  );
  var energy = soft_lennard_jones(level, x, gradient, lid);
  if (SATURATES) {
    energy += saturate_confinement(level.w - TARGET_CONFINEMENT, INVERSE_SATURATION, x, gradient, lid);
    project(gradient, DIM, lid);
  }
  return energy;
}

/** The pair drift at work[x ...] of state `at` to work[velocity ...]. */
fn pair_velocity(x: u32, velocity: u32, at: u32, T: u32, lid: u32) {
  tabulated_velocity(10u * T + 6u + at * (CELLS + 1u), x, velocity, lid);
}

/** Number i of the flow's tables. */
fn flow_number(i: u32) -> f32 {
  let T = job.steps;
  return schedule[10u * T + 6u + (T + 1u) * DRIFT_NODES + i];
}

/**
 * Moves work[x ...] by the flow of a step, or back; returns log|∂F/∂x| of the way there. The anchor goes back
 * to the origin. Begins and ends with a barrier.
 */
fn move_along(step: u32, x: u32, inverse: bool, lid: u32) -> f32 {
  sync();
  let log_determinant = pair_flow(step, x, inverse, lid);
  if (GAUGE == 0u) {
    sync();
    let origin = position(x, 0u);
    sync();
    for (var q = lid; q < SIZE; q += W) {
      work[x + q] -= origin[q % DIM];
    }
  }
  sync();
  return log_determinant;
}

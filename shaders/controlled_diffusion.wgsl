// uses: group trajectory_job math positions two_floats low_parts threefry pair_energies gauge egnn clip control
// Whole paths of the comparators: one workgroup runs one sample through steps [visit_from, visit_to) of its
// time grid, forward from t = 0 or backward from t = 1. A step evaluates the control once, at its state of
// smaller t. log k⁻ − log k⁺ = ½ (|r⁺|² − |r⁻|²) + constants, which are the host's; residuals come from
// displacements, never from differences of positions; the host adds the steps' numbers in float64.

/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
// Binding 2, the prior's parameters, belongs to julep.wgsl.
/** Times (T + 1), the rows of common/control.wgsl (T each), its numbers. */
@group(0) @binding(3) var<storage, read> schedule: array<f32>;
/** For every sample: state (N·n), 1 while no loop was cut. */
@group(0) @binding(4) var<storage, read_write> carry: array<f32>;
/**
 * log k⁻ − log k⁺ of every step without its constant (T, samples), then (T + 1, samples): ½|x_0|²/s² of the
 * first state, zeros, U of the last.
 */
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
/** States (T + 1, samples, N·n), then S at them; at the last state −∇U, not clipped. */
@group(0) @binding(6) var<storage, read_write> kept: array<f32>;

const CARRY: u32 = SIZE + 1u;

/** X and FORCE at state `at` to `kept`. */
fn keep_state(at: u32, sample: u32, lid: u32) {
  if (job.keep == 1u) {
    let place = (at * job.samples + sample) * SIZE;
    let forces = (job.steps + 1u) * job.samples * SIZE;
    for (var q = lid; q < SIZE; q += W) {
      kept[place + q] = work[X + q];
      kept[forces + place + q] = work[FORCE + q];
    }
  }
}

/** U at the last state and its force. */
fn last_state(sample: u32, column: u32, lid: u32) {
  let energy = target_force(X, 1.0, 0.0, FORCE, lid);
  if (lid == 0u) {
    results[2u * job.steps * job.row + column] = energy;
  }
  keep_state(job.steps, sample, lid);
  sync();
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let sample = job.offset + group.x;
  let column = job.column + sample;
  let mine = column * CARRY;
  let T = job.steps;
  let ahead = job.forward == 1u;
  let begins = job.tick_from == 0u;
  let ends = job.tick_to == TICKS;
  if (begins) {
    for (var q = lid; q < SIZE; q += W) {
      work[X + q] = carry[mine + q];
    }
  }
  sync();
  for (var visit = job.visit_from; visit < job.visit_to; visit++) {
    let step = select(T - 1u - visit, visit, ahead);
    let drawn_row = select(SIGMA_BACKWARD, SIGMA_FORWARD, ahead);
    if (begins) {
      if (!ahead && visit == 0u) {
        last_state(sample, column, lid);
      }
      for (var p = lid; 2u * p < SIZE; p += W) {
        let z = normal_pair(
          job.key, vec2<u32>(job.first_sample + group.x, step * job.counters_per_step + p),
        );
        work[NOISE + 2u * p] = z.x;
        if (2u * p + 1u < SIZE) {
          work[NOISE + 2u * p + 1u] = z.y;
        }
      }
      project(NOISE, DIM, lid);
      let pull = scheduled(select(PULL_BACKWARD, PULL_FORWARD, ahead), step);
      let sigma = scheduled(drawn_row, step);
      var part = 0.0;
      for (var q = lid; q < SIZE; q += W) {
        let x = work[X + q];
        let moved = fma(pull, x, sigma * work[NOISE + q]);
        work[MOVE + q] = moved;
        // Backward, the control is that of the state arrived at.
        let here = select(x + moved, x, ahead);
        work[X + q] = here;
        work[FORCE + q] = 0.0;
        part = fma(here, here, part);
      }
      let square = group_sum(part, lid);
      if (lid == 0u) {
        results[(T + step) * job.row + column] = select(
          0.0, 0.5 * given(PRIOR) * square, step == 0u,
        );
      }
      if (TARGET_FORCE) {
        guidance(X, step, BACK, FORCE, lid);
      }
      keep_state(step, sample, lid);
    }
    if (NETWORK) {
      egnn_forward_ticks(X, schedule[step], NET, job.tick_from, job.tick_to, lid);
    }
    if (!ends) {
      continue;
    }
    if (NETWORK) {
      project(NET, DIM, lid);
    }
    let factor = gain(NET);
    let returned_row = select(SIGMA_FORWARD, SIGMA_BACKWARD, ahead);
    let other = 1.0 / scheduled(returned_row, step);
    let pull_back = scheduled(select(PULL_FORWARD, PULL_BACKWARD, ahead), step);
    var part = 0.0;
    for (var q = lid; q < SIZE; q += W) {
      let moved = work[MOVE + q] + control_move(NET, step, factor, q);
      if (ahead) {
        work[X + q] += moved;
      }
      let r = fma(pull_back, work[X + q], moved) * other;
      let z = work[NOISE + q];
      // z² − r², the two of nearly one size.
      part = fma(z - r, z + r, part);
    }
    let difference = group_sum(part, lid);
    if (lid == 0u) {
      // Forward z belongs to k⁺ and r to k⁻; backward the other way round.
      results[step * job.row + column] = select(-0.5, 0.5, ahead) * difference;
    }
    sync();
    if (ahead && visit == T - 1u) {
      last_state(sample, column, lid);
    }
  }
  if (ends) {
    for (var q = lid; q < SIZE; q += W) {
      carry[mine + q] = work[X + q];
    }
  }
  if (lid == 0u) {
    carry[mine + SIZE] *= loops_ran();
  }
}

// uses: group gradient_job math positions two_floats low_parts gauge egnn egnn_backward matrix_exponential soft_lennard_jones pair_velocity pair_flow saturation pair_path displacement
// The gradient of the loss along stored trajectories. An item is one state of one sample; every workgroup
// takes a fixed range of items, in order, and adds what they give to its own slot; reduce.wgsl adds the
// slots. At a state the kernel that leaves it (k⁺ of step j) and the one that arrives (k⁻ of step j − 1)
// are evaluated; states are held fixed.

/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
/** As in julep.wgsl. */
@group(0) @binding(2) var<storage, read> schedule: array<f32>;
/** States (T + 1, samples, N·n), then forces of the same shape. */
@group(0) @binding(3) var<storage, read> kept: array<f32>;
/**
 * ∂loss/∂increment for the network (T, S), for ε (T, S), 1 for every sample that stayed finite (S), then
 * the items: sample, state, 1 where k⁺ leaves and 2 where k⁻ arrives (summed).
 */
@group(0) @binding(4) var<storage, read> coefficients: array<f32>;
@group(0) @binding(5) var<storage, read_write> slots: array<f32>;
/** ∂loss/∂log ε of every step from k⁺ (T, S), from k⁻ (T, S); for every workgroup whether loops were cut. */
@group(0) @binding(6) var<storage, read_write> rates: array<f32>;

/**
 * One kernel's part at the state: adjoints of the network's outputs to ADJOINT, ∂loss/∂log ε returned.
 * direction +1: k⁺ of `step` leaving the state; −1: k⁻ of `step` arriving.
 * increment = |R⁺|²/(4h) − |R⁻|²/(4h); ∂D/∂log ε = h (F ± b + c) ± h A e^{±hA} x.
 */
fn kernel_adjoint(sample: u32, step: u32, direction: f32, lid: u32) -> f32 {
  let h = schedule[job.steps + 1u + step];
  let column = step * job.row + job.column + sample;
  let kappa = coefficients[column];
  let step_kappa = coefficients[job.steps * job.row + column];
  let slope = -direction / (2.0 * h);
  let start = (step * job.samples + sample) * SIZE;
  let end = start + job.samples * SIZE;
  if (FLOW) {
    // Both kernels meet at F(x) in place of x.
    for (var q = lid; q < SIZE; q += W) {
      work[DEPARTED + q] = kept[start + q];
    }
    _ = move_along(step, DEPARTED, false, lid);
  }
  displacement(direction, step, job.steps, RESIDUAL, lid);
  var square = 0.0;
  var along = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    let moved = work[RESIDUAL + q];
    var departed = kept[start + q];
    if (FLOW) {
      departed = work[DEPARTED + q];
    }
    let r = direction * (kept[end + q] - departed) - moved;
    square = fma(r, r, square);
    work[RESIDUAL + q] = r;
    var linear = h * work[FORCE + q];
    if (NETWORK) {
      linear = fma(direction * h, work[NET + q], linear);
      linear = fma(h, work[NET + SIZE + q], linear);
      let g = kappa * slope * r;
      work[ADJOINT + q] = fma(direction * h, g, work[ADJOINT + q]);
      work[ADJOINT + SIZE + q] = fma(h, g, work[ADJOINT + SIZE + q]);
      // e^{±hA} x, for the last term of ∂D/∂log ε.
      var bent = moved - linear;
      if (PAIR_DRIFT) {
        let time = direction * schedule[4u * job.steps + 1u + step];
        bent = fma(-time, work[VELOCITY + q], bent);
      }
      work[AFTER + q] = work[X + q] + bent;
    }
    along = fma(r, linear, along);
  }
  var rate = group_sum(fma(0.5, square, along), lid);
  if (MATRIX) {
    sync();
    rate += exponential_rate(CHANNELS_AT, STRENGTHS_AT, AFTER, direction * h, RESIDUAL, lid);
    for (var q = lid; q < SIZE; q += W) {
      work[RESIDUAL + q] *= kappa * slope;
    }
    sync();
    exponential_adjoint(
      CHANNELS_AT, STRENGTHS_AT, X, direction * h, RESIDUAL, ADJOINT + 2u * SIZE,
      ADJOINT + 2u * SIZE + N * C, lid,
    );
  }
  sync();
  return step_kappa * slope * rate;
}

/** Adjoints of the network's outputs at the state, from both kernels, projected; rates of ε. */
fn outputs_adjoint(column: u32, sample: u32, state: u32, kernels: u32, lid: u32) {
  if (NETWORK) {
    for (var q = lid; q < OUTPUTS; q += W) {
      work[NET + q] = work[OUTPUT + q];
      work[ADJOINT + q] = 0.0;
    }
    network_outputs(lid);
  }
  sync();
  for (var side = 0u; side < rolled(2u); side++) {
    if ((kernels & (1u << side)) == 0u) {
      continue;
    }
    let rate = kernel_adjoint(sample, state - side, select(-1.0, 1.0, side == 0u), lid);
    if (lid == 0u) {
      rates[(side * job.steps + state - side) * job.row + column] = rate;
    }
  }
  if (NETWORK) {
    project_outputs(ADJOINT, lid);
    if (MATRIX && !SIGNED && lid < C) {
      work[ADJOINT + 2u * SIZE + N * C + lid] = 0.0;
    }
  }
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let mine = job.first_item + group.x * job.per_group;
  let end = min(mine + job.item_to, job.items);
  for (var item = mine + job.item_from; item < end; item++) {
    let at = (2u * job.steps + 1u) * job.row + 3u * item;
    let column = u32(coefficients[at]);
    if (coefficients[2u * job.steps * job.row + column] == 0.0) {
      continue;
    }
    let sample = column - job.column;
    let state = u32(coefficients[at + 1u]);
    let kernels = u32(coefficients[at + 2u]);
    if (job.tick_from == 0u) {
      let place = (state * job.samples + sample) * SIZE;
      let forces = (job.steps + 1u) * job.samples * SIZE;
      for (var q = lid; q < SIZE; q += W) {
        work[X + q] = kept[place + q];
        work[FORCE + q] = kept[forces + place + q];
      }
      if (PAIR_DRIFT) {
        sync();
        pair_velocity(X, VELOCITY, state, job.steps, lid);
      }
    }
    let t = schedule[state];
    if (NETWORK && job.tick_from < TICKS) {
      egnn_forward_ticks(X, t, OUTPUT, job.tick_from, min(job.tick_to, TICKS), lid);
    }
    if (job.tick_to <= TICKS) {
      continue;
    }
    if (job.tick_from <= TICKS) {
      outputs_adjoint(column, sample, state, kernels, lid);
    }
    if (NETWORK) {
      egnn_backward_ticks(
        X, t, ADJOINT, OUTPUT, group.x * job.slot_size, max(job.tick_from, TICKS) - TICKS,
        job.tick_to - TICKS, lid,
      );
    }
    sync();
  }
  if (lid == 0u) {
    rates[2u * job.steps * job.row + group.x] += 1.0 - loops_ran();
  }
}

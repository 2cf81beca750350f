// uses: group gradient_job math positions two_floats low_parts pair_energies gauge egnn egnn_backward clip control
// Gradients along stored paths of the comparators. An item is one step of one sample; every workgroup takes
// a fixed range of items, in order, and adds what they give to its own slot; reduce.wgsl adds the slots.
// States held fixed: of Σ coefficients·increments. THROUGH the path: of Σ_s c_s W_s, the noise held fixed,
// by the adjoint method; a sample's items then follow one another from its last step to its first, all in
// one workgroup. Formulas: src/backends/reference/controlled_diffusion.ts.

/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
/** As in controlled_diffusion.wgsl. */
@group(0) @binding(2) var<storage, read> schedule: array<f32>;
/** States (T + 1, samples, N·n), then S at them; at the last state −∇U. */
@group(0) @binding(3) var<storage, read> kept: array<f32>;
/**
 * ∂loss/∂increment (T, S), THROUGH: ∂loss/∂W in the first row; T rows that are not read; 1 for every sample
 * that stayed finite (S); then the items: sample, step, a number that is not read.
 */
@group(0) @binding(4) var<storage, read> coefficients: array<f32>;
@group(0) @binding(5) var<storage, read_write> slots: array<f32>;
/** ∂loss/∂log ε, which the comparators do not learn (2T, S); for every workgroup whether loops were cut. */
@group(0) @binding(6) var<storage, read_write> rates: array<f32>;
/** THROUGH: the adjoint of the state between two items of a workgroup (N·n each). */
@group(0) @binding(7) var<storage, read_write> adjoints: array<f32>;

/** Gradients go through the path. */
const THROUGH: bool = INPUT_GRADIENT;

/** −κ (h/σ⁺²)(x_{i+1} − a⁺x_i − h u) to RESIDUAL: the adjoint of u where states are held fixed. */
fn own_adjoint(kappa: f32, step: u32, next: u32, factor: f32, lid: u32) {
  let pull = scheduled(PULL_FORWARD, step);
  let sigma = scheduled(SIGMA_FORWARD, step);
  let scale = kappa * scheduled(CONTROL, step) / (sigma * sigma);
  for (var q = lid; q < SIZE; q += W) {
    let expected = fma(pull, work[X + q], control_move(NET, step, factor, q));
    work[RESIDUAL + q] = scale * (expected - (kept[next + q] - work[X + q]));
  }
}

/** v_i → v_i/√(1 + |v_i|²/edge²) of work[values ...]; edge 0 leaves them alone. No barrier. */
fn clip_adjoint(values: u32, edge: f32, lid: u32) {
  clip_force(values, abs(edge), lid);
}

/** LAMBDA += (∂S/∂x) w with w at work[w ...], a central difference. */
fn add_guidance_derivative(step: u32, w: u32, lid: u32) {
  var part = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    part = fma(work[w + q], work[w + q], part);
  }
  let norm = sqrt(group_sum(part, lid) + 1e-30);
  let distance = given(DIFFERENCE) / norm;
  for (var side = 0u; side < rolled(2u); side++) {
    let sign = select(-1.0, 1.0, side == 0u);
    for (var q = lid; q < SIZE; q += W) {
      work[SHIFTED + q] = fma(sign * distance, work[w + q], work[X + q]);
    }
    guidance(SHIFTED, step, VELOCITY, GRADIENT, lid);
    for (var q = lid; q < SIZE; q += W) {
      work[LAMBDA + q] = fma(sign * 0.5 / distance, work[GRADIENT + q], work[LAMBDA + q]);
    }
  }
  sync();
}

/**
 * One step of the adjoint method, without the network's part: LAMBDA from the state behind the step to the
 * one before it, the adjoint of u to AFTER; RESIDUAL holds own_adjoint.
 */
fn step_back(kappa: f32, step: u32, next: u32, factor: f32, lid: u32) {
  let up = scheduled(PULL_FORWARD, step);
  let down = scheduled(PULL_BACKWARD, step);
  let sigma = scheduled(SIGMA_BACKWARD, step);
  let h = scheduled(CONTROL, step);
  let scale = kappa / (sigma * sigma);
  for (var q = lid; q < SIZE; q += W) {
    let there = kept[next + q];
    let pull = scale * fma(-down, there, work[X + q] - there);
    let l = work[LAMBDA + q] + fma(down, pull, pull);
    work[AFTER + q] = fma(h, l, -work[RESIDUAL + q]);
    work[LAMBDA + q] = -pull;
  }
  sync();
  clip_adjoint(AFTER, given(ADJOINT_CLIP) * kappa * h * scheduled(SCALE, step), lid);
  sync();
  for (var q = lid; q < SIZE; q += W) {
    let all = work[AFTER + q] + work[RESIDUAL + q];
    work[LAMBDA + q] += fma(up, all, all) / h;
    work[RESIDUAL + q] = factor * all;
  }
  if (TARGET_FORCE) {
    project(RESIDUAL, DIM, lid);
    add_guidance_derivative(step, RESIDUAL, lid);
  }
}

/** The adjoint of u at work[from_at ...] into the network's outputs: to ADJOINT. */
fn outputs_adjoint(from_at: u32, step: u32, lid: u32) {
  sync();
  var part = 0.0;
  for (var q = lid; q < OUTPUTS; q += W) {
    work[ADJOINT + q] = 0.0;
  }
  sync();
  for (var q = lid; q < SIZE; q += W) {
    work[ADJOINT + q] = scheduled(SCALE, step) * work[from_at + q];
    part = fma(2.0 * work[FORCE + q], work[from_at + q], part);
  }
  let strength = group_sum(part, lid);
  if (MATRIX && lid == 0u) {
    work[ADJOINT + 2u * SIZE + N * C] = strength;
  }
  project(ADJOINT, DIM, lid);
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let mine = job.first_item + group.x * job.per_group;
  let end = min(mine + job.item_to, job.items);
  if (THROUGH) {
    for (var q = lid; q < SIZE; q += W) {
      work[LAMBDA + q] = adjoints[group.x * SIZE + q];
    }
  }
  for (var item = mine + job.item_from; item < end; item++) {
    let at = (2u * job.steps + 1u) * job.row + 3u * item;
    let column = u32(coefficients[at]);
    if (coefficients[2u * job.steps * job.row + column] == 0.0) {
      continue;
    }
    let sample = column - job.column;
    let step = u32(coefficients[at + 1u]);
    let place = (step * job.samples + sample) * SIZE;
    let next = place + job.samples * SIZE;
    let forces = (job.steps + 1u) * job.samples * SIZE;
    let kappa = coefficients[select(step * job.row, 0u, THROUGH) + column];
    if (job.tick_from == 0u) {
      for (var q = lid; q < SIZE; q += W) {
        work[X + q] = kept[place + q];
        work[FORCE + q] = kept[forces + place + q];
        if (THROUGH && step + 1u == job.steps) {
          work[LAMBDA + q] = kappa * kept[forces + next + q];
        }
      }
    }
    let t = schedule[step];
    if (job.tick_from < TICKS) {
      egnn_forward_ticks(X, t, OUTPUT, job.tick_from, min(job.tick_to, TICKS), lid);
    }
    if (job.tick_to <= TICKS) {
      continue;
    }
    if (job.tick_from <= TICKS) {
      for (var q = lid; q < OUTPUTS; q += W) {
        work[NET + q] = work[OUTPUT + q];
      }
      project(NET, DIM, lid);
      let factor = gain(NET);
      own_adjoint(kappa, step, next, factor, lid);
      if (THROUGH) {
        step_back(kappa, step, next, factor, lid);
        outputs_adjoint(AFTER, step, lid);
      } else {
        outputs_adjoint(RESIDUAL, step, lid);
      }
    }
    egnn_backward_ticks(
      X, t, ADJOINT, OUTPUT, group.x * job.slot_size, max(job.tick_from, TICKS) - TICKS,
      job.tick_to - TICKS, lid,
    );
    if (THROUGH && job.tick_to == 2u * TICKS) {
      project(BEFORE, DIM, lid);
      for (var q = lid; q < SIZE; q += W) {
        work[LAMBDA + q] += work[BEFORE + q];
      }
    }
    sync();
  }
  if (THROUGH) {
    for (var q = lid; q < SIZE; q += W) {
      adjoints[group.x * SIZE + q] = work[LAMBDA + q];
    }
  }
  if (lid == 0u) {
    rates[2u * job.steps * job.row + group.x] += 1.0 - loops_ran();
  }
}

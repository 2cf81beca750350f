// uses: group trajectory_job math positions two_floats low_parts threefry pair_energies mint_prior gauge egnn matrix_exponential soft_lennard_jones pair_velocity pair_flow saturation pair_path displacement clip force
// Whole trajectories: one workgroup runs one sample through visits [visit_from, visit_to) of its time grid. A
// visit evaluates force and network at the state once; they serve the kernel that arrives and the one
// that leaves. log k⁻ − log k⁺ = ½ (|r⁺|² − |r⁻|²); residuals come from displacements, never from
// differences of positions; the host adds the steps' numbers in float64.

/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
@group(0) @binding(2) var<storage, read> prior: array<f32>;
/** Times (T + 1), then h = εΔ (T), σ = √(2h) (T), 1/σ (T), Δ (T); then see common/pair_path.wgsl. */
@group(0) @binding(3) var<storage, read> schedule: array<f32>;
/** For every sample: state (N·n), the move that led to it (N·n), |z|² of that move, 1 while no loop was cut. */
@group(0) @binding(4) var<storage, read_write> carry: array<f32>;
/** log k⁻ − log k⁺ of every step (T, samples), then U_t of every state (T + 1, samples). */
@group(0) @binding(5) var<storage, read_write> results: array<f32>;
/** States (T + 1, samples, N·n), then forces of the same shape. */
@group(0) @binding(6) var<storage, read_write> kept: array<f32>;

const CARRY: u32 = 2u * SIZE + 2u;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let sample = job.offset + group.x;
  let column = job.column + sample;
  let mine = column * CARRY;
  let T = job.steps;
  let ahead = job.forward == 1u;
  let sign = select(-1.0, 1.0, ahead);
  let begins = job.tick_from == 0u;
  let ends = job.tick_to == TICKS;
  if (begins) {
    for (var q = lid; q < SIZE; q += W) {
      work[X + q] = carry[mine + q];
      work[MOVE + q] = carry[mine + SIZE + q];
    }
  }
  var drawn = carry[mine + 2u * SIZE];
  sync();
  for (var visit = job.visit_from; visit < job.visit_to; visit++) {
    let at = select(T - visit, visit, ahead);
    let t = schedule[at];
    if (begins) {
      let energy = annealed_force(at, T, lid);
      if (lid == 0u) {
        results[(T + at) * job.row + column] = energy;
      }
      if (PAIR_DRIFT) {
        pair_velocity(X, VELOCITY, at, T, lid);
        sync();
      }
    }
    if (NETWORK) {
      egnn_forward_ticks(X, t, NET, job.tick_from, job.tick_to, lid);
    }
    if (!ends) {
      continue;
    }
    if (NETWORK) {
      network_outputs(lid);
    }
    if (visit > 0u) {
      let step = select(at, at - 1u, ahead);
      displacement(-sign, step, T, BACK, lid);
      var part = 0.0;
      for (var q = lid; q < SIZE; q += W) {
        let r = (work[MOVE + q] + work[BACK + q]) * schedule[3u * T + 1u + step];
        part = fma(r, r, part);
      }
      let returned = group_sum(part, lid);
      if (lid == 0u) {
        // Forward z belongs to k⁺ and r to k⁻; backward the other way round.
        let ratio = sign * 0.5 * (drawn - returned);
        let place = step * job.row + column;
        // The flow's part has been there since the step was made.
        results[place] = select(0.0, results[place], FLOW) + ratio;
      }
    }
    if (job.keep == 1u) {
      let place = (at * job.samples + sample) * SIZE;
      let forces = (T + 1u) * job.samples * SIZE;
      for (var q = lid; q < SIZE; q += W) {
        kept[place + q] = work[X + q];
        kept[forces + place + q] = work[FORCE + q];
      }
    }
    if (visit < T) {
      let step = select(at - 1u, at, ahead);
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
      displacement(sign, step, T, MOVE, lid);
      var log_determinant = 0.0;
      if (FLOW && ahead) {
        log_determinant = move_along(step, X, false, lid);
      }
      var part = 0.0;
      for (var q = lid; q < SIZE; q += W) {
        let z = work[NOISE + q];
        part = fma(z, z, part);
        let moved = fma(schedule[2u * T + 1u + step], z, work[MOVE + q]);
        work[MOVE + q] = moved;
        work[X + q] += moved;
      }
      drawn = group_sum(part, lid);
      sync();
      if (FLOW) {
        if (!ahead) {
          log_determinant = move_along(step, X, true, lid);
        }
        if (lid == 0u) {
          results[step * job.row + column] = log_determinant;
        }
      }
    }
  }
  if (ends) {
    for (var q = lid; q < SIZE; q += W) {
      carry[mine + q] = work[X + q];
      carry[mine + SIZE + q] = work[MOVE + q];
    }
  }
  if (lid == 0u) {
    carry[mine + 2u * SIZE] = drawn;
    carry[mine + 2u * SIZE + 1u] *= loops_ran();
  }
}

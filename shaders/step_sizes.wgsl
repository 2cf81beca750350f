// uses: math
// Rows h = εΔ, σ = √(2h) and 1/σ of the schedule from the knots of log ε, which training moves on the
// device. One thread for each step; reference: src/julep/schedule.ts.

struct Job {
  /** T. */
  steps: u32,
  /** Place of the first knot in `training`. */
  knots: u32,
  /** Place in `schedule` of the steps' knots: lower knot, share of the upper one. */
  grid: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** Parameters in training, the knots of log ε behind those of the network. */
@group(0) @binding(1) var<storage, read> training: array<f32>;
/** As in julep.wgsl. */
@group(0) @binding(2) var<storage, read_write> schedule: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let i = thread.x;
  let T = job.steps;
  if (i >= T) {
    return;
  }
  let knot = job.knots + u32(schedule[job.grid + 2u * i]);
  let share = schedule[job.grid + 2u * i + 1u];
  var log_step = training[knot];
  if (share > 0.0) {
    log_step = fma(share, training[knot + 1u], (1.0 - share) * log_step);
  }
  let h = exp_f(log_step) * schedule[4u * T + 1u + i];
  schedule[T + 1u + i] = h;
  schedule[2u * T + 1u + i] = sqrt(2.0 * h);
  schedule[3u * T + 1u + i] = 1.0 / sqrt(2.0 * h);
}

// uses: group math positions two_floats low_parts threefry finite pair_energies mint_prior gauge soft_lennard_jones clip saturation level_energy hmc
// Independent HMC chains on the target, one workgroup for each: transitions [begin, end), the first `warmup` of
// which adapt the chain's own time step (src/backends/chains.ts).

struct Job {
  /** Number of the first chain, as random numbers count them. */
  first_sample: u32,
  /** Place of this dispatch's first chain in the arrays. */
  offset: u32,
  /** First transition. */
  begin: u32,
  /** Transition it stops before. */
  end: u32,
  /** L. */
  leapfrogs: u32,
  /** Transitions that adapt the step. */
  warmup: u32,
  /** Transitions from one kept state to the next. */
  thin: u32,
  /** The kept state that comes first in `draws`. */
  first_draw: u32,
  /** Kept states of a chain in `draws`. */
  draws: u32,
  /** Acceptance probability that the step is adapted to. */
  acceptance: f32,
  /** Key of the random numbers. */
  key: vec2<u32>,
  /** Time steps are jittered by up to this fraction. */
  jitter: f32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** One level, the target: common/level_energy.wgsl. */
@group(0) @binding(1) var<storage, read> path: array<f32>;
@group(0) @binding(2) var<storage, read> prior: array<f32>;
/** For every chain x (N·n), time step, mean of its logarithm so far, Σ acceptance, 1 while no loop was cut. */
@group(0) @binding(3) var<storage, read_write> carry: array<f32>;
/** (chains, draws, N·n). */
@group(0) @binding(4) var<storage, read_write> draws: array<f32>;

const CARRY: u32 = SIZE + 4u;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let place = job.offset + group.x;
  let sample = job.first_sample + group.x;
  let mine = place * CARRY;
  for (var q = lid; q < SIZE; q += W) {
    work[X + q] = carry[mine + q];
  }
  var step_size = carry[mine + SIZE];
  var average = carry[mine + SIZE + 1u];
  var accepted = carry[mine + SIZE + 2u];
  let flag = carry[mine + SIZE + 3u];
  let half = job.warmup / 2u;
  sync();
  for (var t = job.begin; t < job.end; t++) {
    let counter = t * COUNTERS_PER_LEVEL;
    let swing = 2.0 * level_uniforms(job.key, sample, counter).y - 1.0;
    let dt = step_size * fma(job.jitter, swing, 1.0);
    draw_velocities(MOMENTUM, job.key, sample, counter, lid);
    let moved = hmc_transition(0, dt, job.leapfrogs, true, job.key, sample, counter, lid);
    if (t < job.warmup) {
      let gain = exp_f(-0.6 * log_f(f32(t + 1u)));
      let log_step = fma(moved.acceptance - job.acceptance, gain, log_f(step_size));
      if (t >= half) {
        average += log_step / f32(job.warmup - half);
      }
      step_size = exp_f(select(log_step, average, t + 1u == job.warmup));
    } else {
      accepted += moved.acceptance;
      let done = t + 1u - job.warmup;
      if (done % job.thin == 0u) {
        let draw = done / job.thin - 1u - job.first_draw;
        let to = (place * job.draws + draw) * SIZE;
        for (var q = lid; q < SIZE; q += W) {
          draws[to + q] = work[X + q];
        }
      }
    }
  }
  for (var q = lid; q < SIZE; q += W) {
    carry[mine + q] = work[X + q];
  }
  if (lid == 0u) {
    carry[mine + SIZE] = step_size;
    carry[mine + SIZE + 1u] = average;
    carry[mine + SIZE + 2u] = accepted;
    carry[mine + SIZE + 3u] = flag * loops_ran();
  }
}

// uses: group batch math positions two_floats low_parts pair_energies mint_prior gauge soft_lennard_jones clip saturation level_energy
// U_k and ∂U_k/∂x of a batch, one workgroup for each system.

struct Job {
  /** k; −1 is the prior. */
  level: i32,
  /** Place of this dispatch's first system. */
  offset: u32,
  /** 1: gradients are clipped as forces are. */
  clip: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
@group(0) @binding(1) var<storage, read> path: array<f32>;
@group(0) @binding(2) var<storage, read> prior: array<f32>;
/** (count, N, n). */
@group(0) @binding(3) var<storage, read> positions: array<f32>;
/** For every system its gradient (N·n), then its energy. */
@group(0) @binding(4) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let system = job.offset + group.x;
  load_system(system, lid);
  let energy = level_energy(job.level, X, KICK, lid);
  if (job.clip == 1u) {
    clip_level(job.level, KICK, lid);
  }
  store_system(system, KICK, energy, lid);
}

// uses: group batch positions pair_velocity
// The pair drift of a batch, one workgroup for each system.

struct Job {
  /** Place of this dispatch's first system. */
  offset: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** One table, CELLS + 1 nodes. */
@group(0) @binding(1) var<storage, read> schedule: array<f32>;
/** (count, N, n). */
@group(0) @binding(2) var<storage, read> positions: array<f32>;
/** For every system its velocities (N·n), then 0. */
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let system = job.offset + group.x;
  load_system(system, lid);
  tabulated_velocity(0u, X, VELOCITY, lid);
  sync();
  store_system(system, VELOCITY, 0.0, lid);
}

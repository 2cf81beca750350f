// uses: group batch math positions two_floats low_parts pair_flow
// One sweep of the pair flow, or its inverse, of a batch, one workgroup for each system.

struct Job {
  /** Which level's table. */
  level: u32,
  /** Place of this dispatch's first system. */
  offset: u32,
  /** 1: the sweep is undone. */
  inverse: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** As in common/level_energy.wgsl. */
@group(0) @binding(1) var<storage, read> path: array<f32>;
/** (count, N, n). */
@group(0) @binding(2) var<storage, read> positions: array<f32>;
/** For every system its new positions (N·n), then log|J|. */
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

/** Number i of the flow's tables. */
fn flow_number(i: u32) -> f32 {
  return path[u32(path[0]) + i];
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let system = job.offset + group.x;
  load_system(system, lid);
  let log_determinant = pair_flow(job.level, X, job.inverse == 1u, lid);
  store_system(system, X, log_determinant, lid);
}

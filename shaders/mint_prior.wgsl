// uses: group batch math positions mint_prior
// log q and ∂log q/∂x of a batch, one workgroup for each system.

struct Job {
  /** Place of this dispatch's first system. */
  offset: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
@group(0) @binding(1) var<storage, read> prior: array<f32>;
/** (count, N, n). */
@group(0) @binding(2) var<storage, read> positions: array<f32>;
/** For every system the gradient (N·n), then log q. */
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let system = job.offset + group.x;
  load_system(system, lid);
  let log_density = mint_prior(X, GRADIENT, lid);
  store_system(system, GRADIENT, log_density, lid);
}

// uses: group batch positions two_floats low_parts pair_energies
// U_t and ∂U_t/∂x of a batch, one workgroup for each system.

struct Job {
  /** Annealing time. */
  t: f32,
  /** Place of this dispatch's first system. */
  offset: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** (count, N, n). */
@group(0) @binding(1) var<storage, read> positions: array<f32>;
/** For every system its gradient (N·n), then its energy. */
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let system = job.offset + group.x;
  load_system(system, lid);
  let energy = pair_energies(X, GRADIENT, job.t, lid);
  sync();
  store_system(system, GRADIENT, energy, lid);
}

// uses: group math positions egnn
// Outputs of the network for a batch, one workgroup for each state.

struct Job {
  /** Place of this dispatch's first state. */
  offset: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
/** For every state its positions (N·n), then its time. */
@group(0) @binding(2) var<storage, read> states: array<f32>;
/** b, c, h, s of every state. */
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let from_at = (job.offset + group.x) * (SIZE + 1u);
  for (var q = lid; q < SIZE; q += W) {
    work[X + q] = states[from_at + q];
  }
  sync();
  egnn_forward(X, states[from_at + SIZE], NET, lid);
  for (var q = lid; q < OUTPUTS; q += W) {
    results[(job.offset + group.x) * OUTPUTS + q] = work[NET + q];
  }
}

// uses: group math positions egnn egnn_backward
// Gradient of Σ ⟨adjoint, outputs⟩ over a batch; every workgroup takes `per_group` states, in order.

struct Job {
  /** States in all. */
  states: u32,
  /** States of one workgroup. */
  per_group: u32,
  /** Numbers in a slot. */
  slot_size: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** Network parameters, then the same transposed. */
@group(0) @binding(1) var<storage, read> parameters: array<f32>;
/** For every state its positions (N·n), its time, then the adjoints of b, c, h, s. */
@group(0) @binding(2) var<storage, read> states: array<f32>;
@group(0) @binding(3) var<storage, read_write> slots: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let end = min((group.x + 1u) * job.per_group, job.states);
  for (var state = group.x * job.per_group; state < end; state++) {
    let from_at = state * (SIZE + 1u + OUTPUTS);
    for (var q = lid; q < SIZE; q += W) {
      work[X + q] = states[from_at + q];
    }
    for (var q = lid; q < OUTPUTS; q += W) {
      work[ADJOINT + q] = states[from_at + SIZE + 1u + q];
    }
    let t = states[from_at + SIZE];
    egnn_forward(X, t, NET, lid);
    egnn_backward(X, t, ADJOINT, NET, group.x * job.slot_size, lid);
  }
}

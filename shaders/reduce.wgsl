// uses:
// Adds the workgroups' slots, one thread for each number, in a fixed order and two levels: 32
// neighbouring slots, then the groups of 32.

struct Job {
  /** Numbers in a slot. */
  slot_size: u32,
  /** How many slots. */
  slots: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
@group(0) @binding(1) var<storage, read> slots: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let p = thread.x;
  if (p >= job.slot_size) {
    return;
  }
  var sum = 0.0;
  for (var first = 0u; first < job.slots; first += 32u) {
    var part = 0.0;
    for (var slot = first; slot < min(first + 32u, job.slots); slot++) {
      part += slots[slot * job.slot_size + p];
    }
    sum += part;
  }
  sums[p] = sum;
}

// uses: group matrix_exponential
// e^{τA}x − x of a batch, its derivative along log τ contracted with g, and the adjoint of H and s.

struct Job {
  /** τ. */
  tau: f32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** For every system x (N·n), h (N·C), s (C), ȳ (N·n). */
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
/** For every system e^{τA}x − x (N·n), H̄ (N·C), s̄ (C), τ⟨ȳ, A e^{τA}x⟩ (1). */
@group(0) @binding(2) var<storage, read_write> results: array<f32>;

const IN_SIZE: u32 = 2u * SIZE + N * C + C;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let h = X + SIZE;
  let s = h + N * C;
  let y = s + C;
  let out = y + SIZE;
  let hbar = out + SIZE;
  let sbar = hbar + N * C;
  let after = sbar + C;
  for (var q = lid; q < IN_SIZE; q += W) {
    work[X + q] = inputs[group.x * IN_SIZE + q];
    work[out + q] = 0.0;
  }
  sync();
  exponential_prepare(h, X, lid);
  exponential_displacement(h, s, job.tau, out, lid);
  for (var q = lid; q < SIZE; q += W) {
    work[after + q] = work[X + q] + work[out + q];
  }
  sync();
  let rate = exponential_rate(h, s, after, job.tau, y, lid);
  exponential_adjoint(h, s, X, job.tau, y, hbar, sbar, lid);
  let to = group.x * (SIZE + N * C + C + 1u);
  for (var q = lid; q < SIZE + N * C + C; q += W) {
    results[to + q] = work[out + q];
  }
  if (lid == 0u) {
    results[to + SIZE + N * C + C] = rate;
  }
}

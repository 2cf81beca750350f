// uses: group math finite loss
// The loss of the path integral sampler, mean −W, and ∂loss/∂W; reference: src/julep/loss.ts. One workgroup.

struct Job {
  /** S: samples, the row length of the arrays. */
  samples: u32,
  /** T. */
  steps: u32,
  /** G: places of the loss in `history`; it goes to the first, zero to the others. */
  groups: u32,
  /** Place of this iteration's row in `history`. */
  row: u32,
  /** Numbers of a sample in `carry`. */
  carry_length: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** log k⁻ − log k⁺ of every step (T, S), then U of every state (T + 1, S), as log_variance.wgsl reads them. */
@group(0) @binding(1) var<storage, read> results: array<f32>;
/** The last number of a sample is 1 while no loop was cut. */
@group(0) @binding(2) var<storage, read> carry: array<f32>;
/** ∂loss/∂W (S), in the first of 2T rows; behind them 1 for every sample that stayed finite (S). */
@group(0) @binding(3) var<storage, read_write> coefficients: array<f32>;
/** As log_variance.wgsl writes it. */
@group(0) @binding(4) var<storage, read_write> history: array<f32>;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let S = job.samples;
  let T = job.steps;
  var kept = 0.0;
  var cut = 0.0;
  for (var s = lid; s < S; s += W) {
    let weight = increments(s, 0u, T);
    let alive = select(0.0, 1.0, is_finite(weight));
    work[VALUE + s] = weight;
    work[WEIGHT + s] = alive;
    kept += alive;
    cut += select(1.0, 0.0, carry[(s + 1u) * job.carry_length - 1u] == 1.0);
    history[job.row + 8u + s] = weight;
    coefficients[2u * T * S + s] = alive;
  }
  kept = group_sum(kept, lid);
  cut = group_sum(cut, lid);
  let count = u32(kept);
  let centre = median(VALUE, count, false, 0.0, lid);
  let reach = HUBER * 1.4826 * median(VALUE, count, true, centre, lid);
  var below = 0.0;
  for (var s = lid; s < S; s += W) {
    var slope = 0.0;
    if (work[WEIGHT + s] > 0.0) {
      // The mean of small numbers keeps its digits.
      let depth = centre - work[VALUE + s];
      below += depth / kept;
      slope = -select(1.0, reach / depth, depth > reach) / kept;
    }
    coefficients[s] = slope;
  }
  below = group_sum(below, lid);
  if (lid == 0u) {
    history[job.row + 3u] = f32(S) - kept;
    history[job.row + 4u] = cut;
    for (var g = 0u; g <= job.groups; g++) {
      history[job.row + 8u + S + g] = 0.0;
    }
    if (count > 0u) {
      history[job.row + 8u + S] = below - centre;
    }
  }
}

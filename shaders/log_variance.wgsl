// uses: group math finite loss
// The log-variance loss over trajectories held fixed, and ∂loss/∂increment; reference: src/julep/loss.ts.
// One workgroup for each group of consecutive steps, and a last one for the total, which trains ε. Each
// computes all trajectories' weights anew: that is cheaper than a dispatch more.

struct Job {
  /** S: samples, the row length of the arrays. */
  samples: u32,
  /** T. */
  steps: u32,
  /** G: groups of the network's loss. */
  groups: u32,
  /** Place of this iteration's row in `history`. */
  row: u32,
  /** Trajectories weigh softmax(tilt·W). */
  tilt: f32,
  /** Factor on all coefficients: one over the share of steps whose gradient is taken. */
  scale: f32,
  /** Numbers of a sample in `carry`. */
  carry_length: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** log k⁻ − log k⁺ of every step (T, S), then U_t of every state (T + 1, S). */
@group(0) @binding(1) var<storage, read> results: array<f32>;
/** As in julep.wgsl: the last number of a sample is 1 while no loop was cut. */
@group(0) @binding(2) var<storage, read> carry: array<f32>;
/** ∂loss/∂increment for the network (T, S), for ε (T, S), then 1 for every sample that stayed finite. */
@group(0) @binding(3) var<storage, read_write> coefficients: array<f32>;
/** Of an iteration: 8 numbers, of which 3: samples dropped, 4: samples whose loops were cut; W (S); the
 * variance of every group (G), and of the total. */
@group(0) @binding(4) var<storage, read_write> history: array<f32>;

/** A weight this far below the largest counts as zero. */
const NEGLIGIBLE: f32 = 1e-14;

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let S = job.samples;
  let T = job.steps;
  let total = group.x == job.groups;
  // Trajectories' weights.
  var largest = -LARGEST;
  var dropped = 0.0;
  var cut = 0.0;
  for (var s = lid; s < S; s += W) {
    let weight = increments(s, 0u, T);
    let alive = is_finite(weight);
    work[VALUE + s] = weight;
    largest = max(largest, select(-LARGEST, weight, alive));
    dropped += select(1.0, 0.0, alive);
    cut += select(1.0, 0.0, carry[(s + 1u) * job.carry_length - 1u] == 1.0);
    if (total) {
      history[job.row + 8u + s] = weight;
      coefficients[2u * T * S + s] = select(0.0, 1.0, alive);
    }
  }
  largest = group_max(largest, lid);
  var sum = 0.0;
  var kept = 0.0;
  for (var s = lid; s < S; s += W) {
    var weight = 0.0;
    if (is_finite(work[VALUE + s])) {
      weight = exp_f(job.tilt * (work[VALUE + s] - largest));
    }
    weight = select(0.0, weight, weight > NEGLIGIBLE);
    work[WEIGHT + s] = weight;
    sum += weight;
    kept += select(0.0, 1.0, weight > 0.0);
  }
  sum = group_sum(sum, lid);
  let share = select(0.0, 1.0 / sum, sum > 0.0);
  let count = u32(group_sum(kept, lid));
  dropped = group_sum(dropped, lid);
  cut = group_sum(cut, lid);
  // This group's steps.
  let first = select(group.x * T / job.groups, 0u, total);
  let last = select((group.x + 1u) * T / job.groups, T, total);
  for (var s = lid; s < S; s += W) {
    var value = 0.0;
    if (work[WEIGHT + s] > 0.0) {
      value = increments(s, first, last);
    }
    work[VALUE + s] = value;
  }
  let centre = median(VALUE, count, false, 0.0, lid);
  let reach = HUBER * 1.4826 * median(VALUE, count, true, centre, lid);
  // Deviations from the centre, capped: the mean of small numbers keeps its digits.
  var mean = 0.0;
  for (var s = lid; s < S; s += W) {
    let d = work[VALUE + s] - centre;
    let capped = select(d, clamp(d, -reach, reach), reach > 0.0);
    work[VALUE + s] = capped;
    mean = fma(work[WEIGHT + s] * share, capped, mean);
  }
  mean = group_sum(mean, lid);
  var variance = 0.0;
  let rows = select(0u, T, total);
  for (var s = lid; s < S; s += W) {
    let weight = work[WEIGHT + s] * share;
    // The variance of less than two numbers has no slope.
    let deviation = select(0.0, work[VALUE + s] - mean, weight > 0.0 && count > 1u);
    variance = fma(weight * deviation, deviation, variance);
    let slope = 2.0 * weight * deviation * job.scale;
    for (var i = first; i < last; i++) {
      coefficients[(rows + i) * S + s] = slope;
    }
  }
  variance = group_sum(variance, lid);
  if (lid == 0u) {
    history[job.row + 8u + S + group.x] = variance;
    if (total) {
      history[job.row + 3u] = dropped;
      history[job.row + 4u] = cut;
    }
  }
}

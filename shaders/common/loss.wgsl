// What the losses of training share: increments of W, in `results` as their kernel says, and medians of the
// samples' numbers in the scratch, where WEIGHT holds zero for those that take no part.

/** Caps at so many robust standard deviations (Huber's rule). */
const HUBER: f32 = 6.0;
/** Steps whose increments are summed before they join the total. */
const BLOCK: u32 = 16u;

/** The two middle values of a selection. */
var<workgroup> middle: array<f32, 2>;

/** U_i − U_{i+1} + log k⁻ − log k⁺ of step i. */
fn increment(i: u32, s: u32) -> f32 {
  let here = results[(job.steps + i) * job.samples + s];
  let there = results[(job.steps + i + 1u) * job.samples + s];
  return (here - there) + results[i * job.samples + s];
}

/** Σ of the increments of steps from ... to − 1, in two levels. */
fn increments(s: u32, from_step: u32, to_step: u32) -> f32 {
  var sum = 0.0;
  for (var first = from_step; first < to_step; first += BLOCK) {
    var part = 0.0;
    for (var i = first; i < min(first + BLOCK, to_step); i++) {
      part += increment(i, s);
    }
    sum += part;
  }
  return sum;
}

/**
 * The median of work[at ...] over the `count` samples of positive weight, returned to all threads; where
 * `deviations`, of |value − centre|. Begins and ends with a barrier.
 */
fn median(at: u32, count: u32, deviations: bool, centre: f32, lid: u32) -> f32 {
  sync();
  for (var s = lid; s < job.samples; s += W) {
    if (work[WEIGHT + s] == 0.0) {
      continue;
    }
    let value = select(work[at + s], abs(work[at + s] - centre), deviations);
    var rank = 0u;
    for (var r = 0u; r < job.samples; r++) {
      let other = select(work[at + r], abs(work[at + r] - centre), deviations);
      let before = other < value || (other == value && r < s);
      rank += select(0u, 1u, before && work[WEIGHT + r] > 0.0);
    }
    if (rank == (count - 1u) / 2u) {
      middle[0] = value;
    }
    if (rank == count / 2u) {
      middle[1] = value;
    }
  }
  workgroupBarrier();
  let result = 0.5 * (middle[0] + middle[1]);
  workgroupBarrier();
  return result;
}

// uses: group finite
// Ends a gradient: ∂loss/∂(knots of log ε) from the steps' rates, then the norms of the network's part and
// of the knots', the factors that clip them, and whether all of it is finite. One workgroup. References:
// src/julep/schedule.ts (knotGradient), src/math/adam.ts (clipNorm).

struct Job {
  /** Samples: the row length of `rates`. */
  samples: u32,
  /** T. */
  steps: u32,
  /** P: parameters of the network. */
  network: u32,
  /** Knots of log ε. */
  knots: u32,
  /** Place in `schedule` of the steps' knots: lower knot, share of the upper one. */
  grid: u32,
  /** Place of this iteration's row in `history`. */
  row: u32,
  /** Flags at the end of `rates`: workgroups whose loops were cut. */
  flags: u32,
  /** 1: the step size is learnt. */
  learn: u32,
  /** Largest norm of either part. */
  clip: f32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** ∂loss/∂log ε from k⁺ (T, S), from k⁻ (T, S), then one flag for each workgroup. */
@group(0) @binding(1) var<storage, read> rates: array<f32>;
/** As in julep.wgsl, the steps' knots at its end. */
@group(0) @binding(2) var<storage, read> schedule: array<f32>;
/** ∂loss/∂parameters (P); ∂loss/∂knots goes behind them. */
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
/** Factors on the network's part and on the knots', 1 where all is finite, updates so far. */
@group(0) @binding(4) var<storage, read_write> factors: array<f32>;
/** Of an iteration: 8 numbers, of which 0 and 1: the norms, 2: whether all was finite, 5: flags set. */
@group(0) @binding(5) var<storage, read_write> history: array<f32>;

/** Numbers that are added before they join a sum. */
const BLOCK: u32 = 32u;

/** The norm of gradient[from ...], scaled by its largest number so that no square overflows. */
fn norm(from_at: u32, count: u32, lid: u32) -> f32 {
  var largest = 0.0;
  for (var q = lid; q < count; q += W) {
    let g = abs(gradient[from_at + q]);
    largest = max(largest, select(0.0, g, is_finite(g)));
  }
  largest = group_max(largest, lid);
  let nothing = largest < 1e-30;
  let scale = select(largest, 1.0, nothing);
  var sum = 0.0;
  for (var first = lid; first < count; first += BLOCK * W) {
    var part = 0.0;
    for (var q = first; q < min(first + BLOCK * W, count); q += W) {
      let g = gradient[from_at + q] / scale;
      part = fma(g, g, part);
    }
    sum += part;
  }
  return select(scale * sqrt(group_sum(sum, lid)), 0.0, nothing);
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let S = job.samples;
  let T = job.steps;
  for (var i = lid; i < T; i += W) {
    var sum = 0.0;
    for (var first = 0u; first < S; first += BLOCK) {
      var part = 0.0;
      for (var s = first; s < min(first + BLOCK, S); s++) {
        part += rates[i * S + s] + rates[(T + i) * S + s];
      }
      sum += part;
    }
    work[STEP + i] = sum;
  }
  sync();
  for (var k = lid; k < job.knots; k += W) {
    var sum = 0.0;
    for (var i = 0u; i < T; i++) {
      let lower = u32(schedule[job.grid + 2u * i]);
      let share = schedule[job.grid + 2u * i + 1u];
      if (lower == k) {
        sum = fma(1.0 - share, work[STEP + i], sum);
      } else if (lower + 1u == k) {
        sum = fma(share, work[STEP + i], sum);
      }
    }
    gradient[job.network + k] = select(0.0, sum, job.learn == 1u);
  }
  sync();
  var faults = 0.0;
  for (var q = lid; q < job.network + job.knots; q += W) {
    faults += select(1.0, 0.0, is_finite(gradient[q]));
  }
  faults = group_sum(faults, lid);
  var cut = 0.0;
  for (var q = lid; q < job.flags; q += W) {
    cut += select(0.0, 1.0, rates[2u * T * S + q] != 0.0);
  }
  cut = group_sum(cut, lid);
  let of_network = norm(0u, job.network, lid);
  let of_knots = norm(job.network, job.knots, lid);
  if (lid == 0u) {
    factors[0] = select(1.0, job.clip / of_network, of_network > job.clip);
    factors[1] = select(1.0, job.clip / of_knots, of_knots > job.clip);
    factors[2] = select(0.0, 1.0, faults == 0.0);
    factors[3] += select(0.0, 1.0, faults == 0.0);
    history[job.row] = of_network;
    history[job.row + 1u] = of_knots;
    history[job.row + 2u] = select(0.0, 1.0, faults == 0.0);
    history[job.row + 5u] = cut;
  }
}

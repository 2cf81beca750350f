// uses:
// One update of Adam down the clipped gradient, the running average of the parameters, and the network's
// parameters as its kernels read them; one thread for each parameter. Reference: src/math/adam.ts.

struct Job {
  /** F: all parameters, those of the network and the knots of log ε. */
  parameters: u32,
  /** P: those of the network. */
  network: u32,
  /** Learning rate of the network. */
  rate: f32,
  /** Learning rate of the knots. */
  knot_rate: f32,
  /** Weight of the new parameters in the average. */
  averaging: f32,
}

@group(0) @binding(0) var<uniform> job: Job;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
/** Factors on the network's part and on the knots', 1 where all is finite, updates with this one. */
@group(0) @binding(2) var<storage, read> factors: array<f32>;
/** 1 − β₁ᵗ and 1 − β₂ᵗ of every update of this submission. */
@group(0) @binding(3) var<storage, read> corrections: array<f32>;
/** Place of every parameter of the network among the transposed ones. */
@group(0) @binding(4) var<storage, read> places: array<f32>;
/** Parameters, first moments, second moments, averages (F each). */
@group(0) @binding(5) var<storage, read_write> training: array<f32>;
/** Network parameters, then the same transposed. */
@group(0) @binding(6) var<storage, read_write> packed: array<f32>;

const LEFT1: f32 = 0.1;
const LEFT2: f32 = 0.001;
const EPSILON: f32 = 1e-8;

@compute @workgroup_size(W)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let q = thread.x;
  let F = job.parameters;
  if (q >= F) {
    return;
  }
  let knot = q >= job.network;
  var p = training[q];
  // A gradient that is not finite changes nothing.
  if (factors[2] == 1.0) {
    let t = 2u * (u32(factors[3]) - 1u);
    let g = gradient[q] * select(factors[0], factors[1], knot);
    let m = fma(LEFT1, g - training[F + q], training[F + q]);
    let v = fma(LEFT2, fma(g, g, -training[2u * F + q]), training[2u * F + q]);
    training[F + q] = m;
    training[2u * F + q] = v;
    let step = select(job.rate, job.knot_rate, knot);
    p -= step * (m / corrections[t]) / (sqrt(v / corrections[t + 1u]) + EPSILON);
    training[q] = p;
  }
  training[3u * F + q] += job.averaging * (p - training[3u * F + q]);
  if (!knot) {
    packed[q] = p;
    packed[job.network + u32(places[q])] = p;
  }
}

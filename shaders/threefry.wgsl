// uses: math threefry two_floats fine_normals
// Words and normals of counters (sample, first + p), one thread for each counter.

struct Job {
  /** Key of the random numbers. */
  key: vec2<u32>,
  /** First word of all counters. */
  sample: u32,
  /** First counter. */
  first: u32,
  /** Counters. */
  count: u32,
  /** Always 0; see opaque(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** Two words for each counter. */
@group(0) @binding(1) var<storage, read_write> words: array<vec2<u32>>;
/** Two normals for each counter. */
@group(0) @binding(2) var<storage, read_write> numbers: array<vec2<f32>>;
/** The same in two floats: high parts, low parts. */
@group(0) @binding(3) var<storage, read_write> fine: array<vec4<f32>>;

@compute @workgroup_size(W)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  if (thread.x >= job.count) {
    return;
  }
  let counter = vec2<u32>(job.sample, job.first + thread.x);
  words[thread.x] = threefry2x32(job.key, counter);
  numbers[thread.x] = normal_pair(job.key, counter);
  fine[thread.x] = fine_normal_pair(job.key, counter);
}

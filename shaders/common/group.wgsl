// What the threads of one workgroup do together. One workgroup of W threads owns one system; `lid`
// is the thread's number in it. Loops over items run `for (q = lid; q < count; q += W)`.

/** Partial sums of a reduction. */
var<workgroup> partials: array<f32, W>;

/**
 * A loop's length that the compiler cannot see. Compilers unroll loops of known length, and in kernels as
 * long as these that takes them minutes.
 */
fn rolled(n: u32) -> u32 {
  return n + job.zero;
}

/**
 * 1, or 0 where the device has cut loops short: llvmpipe ends every loop of an invocation that has gone
 * through 65535 turns in all, without a word. The host keeps dispatches below that, and looks.
 */
fn loops_ran() -> f32 {
  var turns = 0u;
  for (var k = 0u; k < rolled(3u); k++) {
    turns += 1u;
  }
  return select(0.0, 1.0, turns == 3u);
}

/** All writes of the workgroup's threads, to workgroup memory and to buffers, are seen after it. */
fn sync() {
  workgroupBarrier();
  storageBarrier();
}

/** Σ of v over the threads, the same number in all; order fixed: eight neighbours, then the rest. */
fn group_sum(v: f32, lid: u32) -> f32 {
  partials[lid] = v;
  workgroupBarrier();
  var part = 0.0;
  if (lid < W / 8u) {
    for (var k = 0u; k < 8u; k++) {
      part += partials[8u * lid + k];
    }
  }
  workgroupBarrier();
  if (lid < W / 8u) {
    partials[lid] = part;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var k = 0u; k < W / 8u; k++) {
    sum += partials[k];
  }
  workgroupBarrier();
  return sum;
}

/** The largest v of all threads. */
fn group_max(v: f32, lid: u32) -> f32 {
  partials[lid] = v;
  workgroupBarrier();
  var part = v;
  if (lid < W / 8u) {
    for (var k = 0u; k < 8u; k++) {
      part = max(part, partials[8u * lid + k]);
    }
  }
  workgroupBarrier();
  if (lid < W / 8u) {
    partials[lid] = part;
  }
  workgroupBarrier();
  var largest = partials[0];
  for (var k = 1u; k < W / 8u; k++) {
    largest = max(largest, partials[k]);
  }
  workgroupBarrier();
  return largest;
}

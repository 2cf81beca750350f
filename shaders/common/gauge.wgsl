// Removal of translations: N rows of `width` numbers, particle 0's row zeroed (GAUGE 0, the anchor) or
// the mean taken off every row (GAUGE 1, the centre of mass).

/** Means of the columns being projected. */
var<workgroup> means: array<f32, 12>;

/** Projects in place; begins and ends with a barrier. */
fn project(values: u32, width: u32, lid: u32) {
  sync();
  if (GAUGE == 0u) {
    if (lid < width) {
      work[values + lid] = 0.0;
    }
    sync();
    return;
  }
  if (lid < width) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      sum += work[values + i * width + lid];
    }
    means[lid] = sum / f32(N);
  }
  sync();
  for (var q = lid; q < N * width; q += W) {
    work[values + q] -= means[q % width];
  }
  sync();
}

/** Projects b, c and h of the network's outputs (or adjoints) at `net`; heads that are off are zeroed. */
fn project_outputs(net: u32, lid: u32) {
  if (!DRIFT) {
    for (var q = lid; q < SIZE; q += W) {
      work[net + q] = 0.0;
    }
  }
  if (!EVEN_DRIFT) {
    for (var q = lid; q < SIZE; q += W) {
      work[net + SIZE + q] = 0.0;
    }
  }
  project(net, DIM, lid);
  project(net + SIZE, DIM, lid);
  if (MATRIX) {
    project(net + 2u * SIZE, C, lid);
  }
}

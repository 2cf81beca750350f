// Kernels of a batch: one workgroup takes one system from `positions` to work[X ...] and leaves N·n numbers and
// one more of it in `results`. The bindings are the kernels' own.

/** Positions of a system to work[X ...]. */
fn load_system(system: u32, lid: u32) {
  for (var q = lid; q < SIZE; q += W) {
    work[X + q] = positions[system * SIZE + q];
  }
  sync();
}

/** work[a ...] (N·n), then `value`, to the results of a system. */
fn store_system(system: u32, a: u32, value: f32, lid: u32) {
  let to = system * (SIZE + 1u);
  for (var q = lid; q < SIZE; q += W) {
    results[to + q] = work[a + q];
  }
  if (lid == 0u) {
    results[to + SIZE] = value;
  }
}

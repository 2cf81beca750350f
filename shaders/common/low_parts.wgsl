// States that hundreds of levels add to, in two floats: the low parts stand LOW places behind the high ones; where
// LOW is 0 there are none. Rounding x and v to one float at every level, grown by the path's instability, is what
// log-weights of long paths lose most of their digits by.

/** work[at] += by. */
fn add_to(at: u32, by: f32) {
  if (LOW == 0u) {
    work[at] += by;
    return;
  }
  let sum = two_sum(work[at], by + work[at + LOW]);
  work[at] = sum.x;
  work[at + LOW] = sum.y;
}

/** x_i − x_j of the positions at work[x ...], with their low parts where they are X's. */
fn difference(x: u32, i: u32, j: u32) -> vec3<f32> {
  let d = position(x, i) - position(x, j);
  if (LOW != 0u && x == X) {
    return d + (position(x + LOW, i) - position(x + LOW, j));
  }
  return d;
}

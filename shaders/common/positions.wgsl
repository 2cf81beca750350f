// Access to positions in the scratch.

/** Particle i of the positions at work[x ...], third coordinate 0 in the plane. */
fn position(x: u32, i: u32) -> vec3<f32> {
  let at = x + i * DIM;
  return vec3<f32>(work[at], work[at + 1u], select(0.0, work[at + DIM - 1u], DIM == 3u));
}

/** The mean of all particles at work[x ...]. */
fn centre_of(x: u32) -> vec3<f32> {
  var sum = vec3<f32>();
  for (var i = 0u; i < rolled(N); i++) {
    sum += position(x, i);
  }
  return sum / f32(N);
}

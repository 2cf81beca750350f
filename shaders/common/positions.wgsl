// Access to positions in the scratch.

/** Particle i of the positions at work[x ...], third coordinate 0 in the plane. */
fn position(x: u32, i: u32) -> vec3<f32> {
  let at = x + i * DIM;
  return vec3<f32>(work[at], work[at + 1u], select(0.0, work[at + DIM - 1u], DIM == 3u));
}

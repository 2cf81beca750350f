// Clipping of forces.

/** F_i → F_i/√(1 + |F_i|²/c²) of the forces at work[force ...]; c = 0 leaves them alone. No barrier. */
fn clip_force(force: u32, clip: f32, lid: u32) {
  if (clip > 0.0) {
    for (var i = lid; i < N; i += W) {
      let f = position(force, i) / clip;
      let factor = 1.0 / sqrt(1.0 + dot(f, f));
      for (var a = 0u; a < DIM; a++) {
        work[force + i * DIM + a] *= factor;
      }
    }
  }
}

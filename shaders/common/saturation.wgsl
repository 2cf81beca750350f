// A confinement that saturates (PairPathLevels.saturation).

/**
 * ½ κ′ Σ_i r_i² [1/(1 + u_i) − 1], u = r²/R², r from the centre of mass: what a harmonic confinement loses where
 * it saturates. Its gradient is added to work[gradient ...], but for the centre of mass. No barrier.
 */
fn saturate_confinement(excess: f32, inverse: f32, x: u32, gradient: u32, lid: u32) -> f32 {
  let centre = centre_of(x);
  var energy = 0.0;
  for (var i = lid; i < N; i += W) {
    let d = position(x, i) - centre;
    let square = dot(d, d);
    let left = 1.0 / fma(square, inverse, 1.0);
    let lost = left - 1.0;
    energy = fma(square, lost, energy);
    // left² − 1 = (left + 1)(left − 1).
    let slope = excess * (left + 1.0) * lost;
    for (var a = 0u; a < DIM; a++) {
      work[gradient + i * DIM + a] += slope * d[a];
    }
  }
  return 0.5 * excess * group_sum(energy, lid);
}

// The fitted pair drift of a cluster's path. One thread owns a particle and visits all others.

/**
 * v_i = Σ_{j≠i} g(|x_i − x_j|) (x_i − x_j) of work[x ...] to work[velocity ...]; g linear between its CELLS + 1
 * nodes at schedule[table ...], constant beyond the last.
 */
fn tabulated_velocity(table: u32, x: u32, velocity: u32, lid: u32) {
  for (var i = lid; i < N; i += W) {
    let xi = position(x, i);
    var v = vec3<f32>();
    for (var j = 0u; j < rolled(N); j++) {
      let d = xi - position(x, j);
      let place = min(length(d) * INVERSE_WIDTH, f32(CELLS));
      let cell = min(u32(place), CELLS - 1u);
      let low = schedule[table + cell];
      let g = fma(schedule[table + cell + 1u] - low, place - f32(cell), low);
      v = fma(vec3<f32>(g), d, v);
    }
    for (var a = 0u; a < DIM; a++) {
      work[velocity + i * DIM + a] = v[a];
    }
  }
}

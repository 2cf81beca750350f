// The gradient of ⟨adjoint, outputs⟩ by the network's parameters, added to this workgroup's own slot of
// `slots`: every number of a slot is written by one thread, sums run in a fixed order, so the result is
// the same every time. After egnn_forward with TAPE at the same state.
//
// More scratch: DH: adjoint of h (N·H); DNODE: of [h, a] (N·2H); DU: of u, then before its tanh (N·H);
// DI, DJ: Σ of the edges' adjoints over j, and over i (N·H). Where INPUT_GRADIENT, BEFORE (N·n) gets the gradient
// by the positions, up to a shift of all particles.

/** w^b, w^c of the tile's edges in the last layer. */
var<workgroup> edge_head: array<vec2<f32>, INPUT_EDGES>;

/** slots[to + o·inner + k] += Σ_r work[y + r·y_stride + o] · work[z + r·z_stride + k] over N rows. */
fn add_outer(
  to: u32, y: u32, y_stride: u32, O: u32, z: u32, z_stride: u32, inner: u32, lid: u32,
) {
  for (var q = lid; q < O * inner; q += W) {
    var sum = 0.0;
    for (var r = 0u; r < rolled(N); r += 4u) {
      // Rows beyond the last count as zero.
      let rows = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(N - 1u));
      let left = four_rows(rows * y_stride + y + q / inner);
      let right = four_rows(rows * z_stride + z + q % inner);
      let there = vec4<u32>(r, r + 1u, r + 2u, r + 3u) < vec4<u32>(N);
      sum += dot(select(vec4<f32>(), left, there), right);
    }
    slots[to + q] += sum;
  }
}

/** slots[to + o] += Σ_r work[y + r·y_stride + o]. */
fn add_rows(to: u32, y: u32, y_stride: u32, O: u32, lid: u32) {
  for (var o = lid; o < O; o += W) {
    var sum = 0.0;
    for (var r = 0u; r < rolled(N); r++) {
      sum += work[y + r * y_stride + o];
    }
    slots[to + o] += sum;
  }
}

/** Heads of A: adjoints of the last h to DH, gradients to the slot. `out` holds the outputs themselves. */
fn matrix_heads_backward(adjoint: u32, out: u32, slot: u32, lid: u32) {
  let last = node_at(LAYERS);
  let strength = adjoint + 2u * SIZE + N * C;
  // dz of the channels, in place of their adjoints.
  for (var q = lid; q < N * C; q += W) {
    let y = work[out + 2u * SIZE + q];
    work[adjoint + 2u * SIZE + q] *= fma(-y, y, 1.0);
  }
  sync();
  let dz = adjoint + 2u * SIZE;
  for (var q = lid; q < N * H; q += W) {
    var sum = 0.0;
    for (var c = 0u; c < C; c++) {
      sum = fma(parameters[CHANNEL + c * H + q % H], work[dz + q / H * C + c], sum);
      sum = fma(parameters[STRENGTH + c * H + q % H], work[strength + c] / f32(N), sum);
    }
    work[DH + q] = sum;
  }
  add_outer(slot + CHANNEL, dz, C, C, last, 2u * H, H, lid);
  add_rows(slot + CHANNEL_BIAS, dz, C, C, lid);
  for (var q = lid; q < C * H; q += W) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      sum += work[last + i * 2u * H + q % H];
    }
    slots[slot + STRENGTH + q] += work[strength + q / H] / f32(N) * sum;
  }
  for (var c = lid; c < C; c += W) {
    slots[slot + STRENGTH_BIAS + c] += work[strength + c];
  }
}

/** Adjoints of a tile's head values, and the heads' gradients; tile2 holds m2. */
fn drift_heads_backward(x: u32, adjoint: u32, tile: u32, slot: u32, lid: u32) {
  if (INPUT_GRADIENT) {
    for (var e = lid; e < TE; e += W) {
      var w = vec2<f32>(parameters[DRIFT_BIAS], parameters[DRIFT_BIAS + 1u]);
      for (var k = 0u; k < rolled(H); k++) {
        let head = vec2<f32>(parameters[DRIFT_HEAD + k], parameters[DRIFT_HEAD + H + k]);
        w = fma(head, vec2<f32>(tile2[e / 4u * H + k][e % 4u]), w);
      }
      edge_head[e] = w;
    }
  }
  for (var e = lid; e < TE; e += W) {
    let i = edge_i[e];
    var w = vec2<f32>();
    for (var a = 0u; a < DIM; a++) {
      let d = (work[x + i * DIM + a] - work[x + edge_j[e] * DIM + a]) / (1.0 + edge_s[e]);
      w = fma(
        vec2<f32>(work[adjoint + i * DIM + a], work[adjoint + SIZE + i * DIM + a]), vec2<f32>(d), w,
      );
    }
    edge_w[e] = select(vec2<f32>(), w, tile * TE + e < EDGES);
  }
  sync();
  for (var q = lid; q < 2u * H; q += W) {
    var sum = 0.0;
    for (var e = 0u; e < rolled(TE); e++) {
      sum = fma(edge_w[e][q / H], tile2[e / 4u * H + q % H][e % 4u], sum);
    }
    slots[slot + DRIFT_HEAD + q] += sum;
  }
  if (lid < 2u) {
    var sum = 0.0;
    for (var e = 0u; e < rolled(TE); e++) {
      sum += edge_w[e][lid];
    }
    slots[slot + DRIFT_BIAS + lid] += sum;
  }
}

/**
 * What a tile of edges gives to BEFORE, through their features and, in the last layer, their vectors; tile1
 * holds dz1. Overwrites tile2. Begins and ends with a barrier.
 *
 * e = (s, 1/(1 + s²)), vector = r/(1 + s), ds/dr = r/(s·lengthScale²).
 */
fn tile_positions(layer: u32, x: u32, adjoint: u32, tile: u32, lid: u32) {
  let base = layer_at(layer);
  let last = layer == LAYERS - 1u;
  let count = min(TE, EDGES - tile * TE);
  sync();
  for (var e = lid; e < count; e += W) {
    var features = vec2<f32>();
    for (var k = 0u; k < rolled(H); k++) {
      let w = base + EDGE_E + 2u * k;
      let d = vec2<f32>(tile1[e / 4u * H + k][e % 4u]);
      features = fma(vec2<f32>(parameters[w], parameters[w + 1u]), d, features);
    }
    let i = edge_i[e];
    let r = position(x, i) - position(x, edge_j[e]);
    let s = edge_s[e];
    let q = 1.0 / fma(s, s, 1.0);
    var slope = features.x - 2.0 * features.y * s * q * q;
    var pull = vec3<f32>();
    if (last) {
      let head = edge_head[e];
      let vector = head.x * position(adjoint, i) + head.y * position(adjoint + SIZE, i);
      pull = vector / (1.0 + s);
      slope -= dot(pull, r) / (1.0 + s);
    }
    tile2[e] = vec4<f32>(pull + slope * INVERSE_LENGTH * INVERSE_LENGTH / s * r, 0.0);
  }
  sync();
  for (var q = lid; q < SIZE; q += W) {
    let i = q / DIM;
    var sum = 0.0;
    for (var e = 0u; e < rolled(count); e++) {
      let pull = tile2[e][q % DIM];
      sum += select(0.0, pull, edge_i[e] == i) - select(0.0, pull, edge_j[e] == i);
    }
    work[BEFORE + q] += sum;
  }
  sync();
}

/** What the radii give to BEFORE; DH holds the adjoint of h at the input layer. */
fn radius_positions(x: u32, lid: u32) {
  let origin = radius_origin(x);
  for (var i = lid; i < N; i += W) {
    var slope = 0.0;
    for (var k = 0u; k < rolled(H); k++) {
      slope = fma(parameters[INPUT + k * NODE_FEATURES + 5u], work[DH + i * H + k], slope);
    }
    let d = position(x, i) - origin;
    let pull = slope * INVERSE_LENGTH / sqrt(dot(d, d) + SMOOTHING) * d;
    for (var a = 0u; a < DIM; a++) {
      work[BEFORE + i * DIM + a] += pull[a];
    }
  }
}

/** One tile of edges of one layer: gradients of the edge tensors, Σ of adjoints to DI and DJ. */
fn tile_backward(layer: u32, x: u32, adjoint: u32, tile: u32, slot: u32, lid: u32) {
  let base = layer_at(layer);
  let last = layer == LAYERS - 1u;
  tile_edges(x, tile, lid);
  tile_messages(layer, lid);
  if (last) {
    drift_heads_backward(x, adjoint, tile, slot, lid);
    sync();
  }
  // dz2 in place of m2.
  for (var q = lid; q < TE / 4u * H; q += W) {
    let o = q % H;
    let m = tile2[q];
    let e = q / H * 4u;
    let i = vec4<u32>(edge_i[e], edge_i[e + 1u], edge_i[e + 2u], edge_i[e + 3u]);
    var d = SHARE * four_rows(i * 2u * H + DNODE + H + o);
    if (last) {
      let first = edge_w[e];
      let second = edge_w[e + 1u];
      let third = edge_w[e + 2u];
      let fourth = edge_w[e + 3u];
      let by_b = vec4<f32>(first.x, second.x, third.x, fourth.x);
      let by_c = vec4<f32>(first.y, second.y, third.y, fourth.y);
      d = fma(vec4<f32>(parameters[DRIFT_HEAD + o]), by_b, d);
      d = fma(vec4<f32>(parameters[DRIFT_HEAD + H + o]), by_c, d);
    }
    let there = vec4<u32>(0u, 1u, 2u, 3u) + tile * TE + e < vec4<u32>(EDGES);
    tile2[q] = select(vec4<f32>(), d, there) * fma(-m, m, vec4<f32>(1.0));
  }
  sync();
  for (var q = lid; q < H * H; q += W) {
    var sum = 0.0;
    for (var e = 0u; e < TE / 4u; e++) {
      sum += dot(tile2[e * H + q / H], tile1[e * H + q % H]);
    }
    slots[slot + base + MESSAGE + q] += sum;
  }
  for (var o = lid; o < H; o += W) {
    var sum = 0.0;
    for (var e = 0u; e < TE / 4u; e++) {
      sum += dot(tile2[e * H + o], vec4<f32>(1.0));
    }
    slots[slot + base + MESSAGE_BIAS + o] += sum;
  }
  sync();
  // dz1 in place of m1.
  for (var q = lid; q < TE / 4u * H; q += W) {
    let k = q % H;
    let row = q / H * H;
    let m = tile1[q];
    var sum = vec4<f32>();
    for (var o = 0u; o < rolled(H); o += 4u) {
      let w = base + MESSAGE + o * H + k;
      sum = fma(vec4<f32>(parameters[w]), tile2[row + o], sum);
      sum = fma(vec4<f32>(parameters[w + H]), tile2[row + o + 1u], sum);
      sum = fma(vec4<f32>(parameters[w + 2u * H]), tile2[row + o + 2u], sum);
      sum = fma(vec4<f32>(parameters[w + 3u * H]), tile2[row + o + 3u], sum);
    }
    tile1[q] = sum * fma(-m, m, vec4<f32>(1.0));
  }
  sync();
  for (var q = lid; q < 2u * H; q += W) {
    let k = q % H;
    let to_j = q >= H;
    var features = vec2<f32>();
    for (var e = 0u; e < min(TE, EDGES - tile * TE); e++) {
      let d = tile1[e / 4u * H + k][e % 4u];
      let at = select(DI + edge_i[e] * H, DJ + edge_j[e] * H, to_j) + k;
      work[at] += d;
      let s = edge_s[e];
      features = fma(vec2<f32>(d), vec2<f32>(s, 1.0 / fma(s, s, 1.0)), features);
    }
    if (!to_j) {
      slots[slot + base + EDGE_E + 2u * k] += features.x;
      slots[slot + base + EDGE_E + 2u * k + 1u] += features.y;
    }
  }
  if (INPUT_GRADIENT) {
    tile_positions(layer, x, adjoint, tile, lid);
  }
  sync();
}

/**
 * Adds the gradient to slots[slot ...], layout of src/julep/egnn.ts. `adjoint`: of b, c, h, s at work[adjoint ...],
 * overwritten; `out`: the outputs, as egnn_forward gave them before any projection changed h.
 */
fn egnn_backward(x: u32, t: f32, adjoint: u32, out: u32, slot: u32, lid: u32) {
  egnn_backward_ticks(x, t, adjoint, out, slot, 0u, TICKS, lid);
}

/** Before a layer's first tile: its update, u and [h, a] backward. Ends with a barrier. */
fn backward_update(layer: u32, slot: u32, lid: u32) {
  let base = layer_at(layer);
  let node = node_at(layer);
  let u = u_at(layer);
  dense(DU, H, DH, H, H, H, base + UPDATE, NONE, NONE, 0u, false, lid);
  add_outer(slot + base + UPDATE, DH, H, H, u, H, H, lid);
  add_rows(slot + base + UPDATE_BIAS, DH, H, H, lid);
  sync();
  for (var q = lid; q < N * H; q += W) {
    let y = work[u + q];
    work[DU + q] *= fma(-y, y, 1.0);
    work[DI + q] = 0.0;
    work[DJ + q] = 0.0;
  }
  sync();
  dense(DNODE, 2u * H, DU, H, H, 2u * H, base + NODE, NONE, NONE, 0u, false, lid);
  add_outer(slot + base + NODE, DU, H, H, node, 2u * H, 2u * H, lid);
  add_rows(slot + base + NODE_BIAS, DU, H, H, lid);
  sync();
  edge_factors(layer, lid);
}

/** After a layer's last tile: the edges' factors, and h before the layer. Ends with a barrier. */
fn backward_factors(layer: u32, slot: u32, lid: u32) {
  let base = layer_at(layer);
  let node = node_at(layer);
  add_outer(slot + base + EDGE_I, DI, H, H, node, 2u * H, H, lid);
  add_outer(slot + base + EDGE_J, DJ, H, H, node, 2u * H, H, lid);
  add_rows(slot + base + EDGE_BIAS, DI, H, H, lid);
  // h before the layer: passed on, through [h, a], and through the edges' two factors.
  for (var q = lid; q < N * H; q += W) {
    work[DH + q] += work[DNODE + q / H * 2u * H + q % H];
  }
  sync();
  dense(DU, H, DI, H, H, H, base + EDGE_I, NONE, DH, H, false, lid);
  sync();
  dense(DH, H, DJ, H, H, H, base + EDGE_J, NONE, DU, H, false, lid);
  sync();
}

/** After the last tick: the input layer. */
fn backward_input(x: u32, t: f32, slot: u32, lid: u32) {
  let origin = radius_origin(x);
  for (var q = lid; q < H * NODE_FEATURES; q += W) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      let feature = node_feature(x, i, q % NODE_FEATURES, t, origin);
      sum = fma(work[DH + i * H + q / NODE_FEATURES], feature, sum);
    }
    slots[slot + INPUT + q] += sum;
  }
  add_rows(slot + INPUT_BIAS, DH, H, H, lid);
  if (INPUT_GRADIENT) {
    radius_positions(x, lid);
  }
}

/** Ticks first ... last − 1 of egnn_backward, the last layer's first; as egnn_forward_ticks. */
fn egnn_backward_ticks(
  x: u32, t: f32, adjoint: u32, out: u32, slot: u32, first: u32, last: u32, lid: u32,
) {
  sync();
  if (first == 0u) {
    if (INPUT_GRADIENT) {
      for (var q = lid; q < SIZE; q += W) {
        work[BEFORE + q] = 0.0;
      }
    }
    if (MATRIX) {
      matrix_heads_backward(adjoint, out, slot, lid);
    } else {
      for (var q = lid; q < N * H; q += W) {
        work[DH + q] = 0.0;
      }
    }
    sync();
  }
  for (var tick = first; tick < rolled(last); tick++) {
    let layer = LAYERS - 1u - tick / TILES;
    let tile = tick % TILES;
    if (tile == 0u) {
      backward_update(layer, slot, lid);
    }
    tile_backward(layer, x, adjoint, tile, slot, lid);
    if (tile == TILES - 1u) {
      backward_factors(layer, slot, lid);
    }
  }
  if (last == TICKS) {
    backward_input(x, t, slot, lid);
  }
  sync();
}

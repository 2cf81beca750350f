// The network of src/backends/reference/egnn.ts, one workgroup for one state. Its formulas stand there.
//
// Edges (i, j), i-major, go through in tiles of TE: m1 and m2 of a tile stand in workgroup memory, four
// edges side by side in a vec4 at [(edge / 4)·H + unit]. The first edge layer is factored:
// W [h_i, h_j, e] = (W_i h_i + b) + W_j h_j + W_e e. Weights are read twice over: as they stand (out, in)
// from 0, transposed (in, out) from TRANSPOSED.
//
// Scratch: NODES_AT: [h, a] of every particle (N·2H), one for each layer and the last where TAPE, else one;
// PI, PJ: the two factors (N·H); UU: u (N·H), one for each layer where TAPE.

const EDGES: u32 = N * (N - 1u);
const TILES: u32 = (EDGES + TE - 1u) / TE;
/** Pieces of a pass, in its order: the tiles of all layers. */
const TICKS: u32 = LAYERS * TILES;
const NODE_FEATURES: u32 = 7u;
/** Keeps distances differentiable where particles coincide; length². */
const SMOOTHING: f32 = 1e-12;
const TAU: f32 = 0.5;
/** "No bias", "no start" in `dense`. */
const NONE: u32 = 0xffffffffu;
/** √(1/N). */
const SHARE: f32 = INVERSE_ROOT_N;

/** m1 of the tile in hand (backward: then its adjoint). */
var<workgroup> tile1: array<vec4<f32>, TE / 4u * H>;
/** m2 of the tile in hand (backward: then the adjoint before its tanh). */
var<workgroup> tile2: array<vec4<f32>, TE / 4u * H>;
/** Particles i, j of the tile's edges; beyond the last edge those of the last. */
var<workgroup> edge_i: array<u32, TE>;
var<workgroup> edge_j: array<u32, TE>;
/** s = √(|x_i − x_j|² + SMOOTHING)/lengthScale of the tile's edges. */
var<workgroup> edge_s: array<f32, TE>;
/** The two head values of the tile's edges (backward: their adjoints). */
var<workgroup> edge_w: array<vec2<f32>, TE>;

fn node_at(layer: u32) -> u32 {
  return NODES_AT + select(0u, layer * N * 2u * H, TAPE);
}

fn u_at(layer: u32) -> u32 {
  return UU + select(0u, layer * N * H, TAPE);
}

/** Offset of layer l's tensors from those of layer 0. */
fn layer_at(layer: u32) -> u32 {
  return layer * LAYER_SIZE;
}

/**
 * work[to + r·to_stride + o] = act(bias[o] + work[start + ...] + Σ_k work[from + r·from_stride + k] · w[k·O + o]) for
 * N rows: four rows in one thread. `weight`: place in `parameters` of an (inner, O) matrix.
 */
fn dense(
  to: u32, to_stride: u32, from_at: u32, from_stride: u32, inner: u32, O: u32, weight: u32,
  bias: u32, start: u32, start_stride: u32, squash: bool, lid: u32,
) {
  for (var q = lid; q < (N + 3u) / 4u * O; q += W) {
    let o = q % O;
    let r = q / O * 4u;
    let r1 = min(r + 1u, N - 1u);
    let r2 = min(r + 2u, N - 1u);
    let r3 = min(r + 3u, N - 1u);
    var sum = vec4<f32>();
    if (bias != NONE) {
      sum = vec4<f32>(parameters[bias + o]);
    }
    if (start != NONE) {
      sum += vec4<f32>(
        work[start + r * start_stride + o], work[start + r1 * start_stride + o],
        work[start + r2 * start_stride + o], work[start + r3 * start_stride + o],
      );
    }
    // Four by hand: neither naga nor llvmpipe unrolls a loop, and every turn counts (loops_ran).
    let rows = vec4<u32>(r, r1, r2, r3) * from_stride + from_at;
    for (var k = 0u; k < rolled(inner); k += 4u) {
      let w = weight + k * O + o;
      sum = fma(vec4<f32>(parameters[w]), four_rows(rows + k), sum);
      sum = fma(vec4<f32>(parameters[w + O]), four_rows(rows + k + 1u), sum);
      sum = fma(vec4<f32>(parameters[w + 2u * O]), four_rows(rows + k + 2u), sum);
      sum = fma(vec4<f32>(parameters[w + 3u * O]), four_rows(rows + k + 3u), sum);
    }
    if (squash) {
      sum = tanh_v(sum);
    }
    work[to + r * to_stride + o] = sum.x;
    if (r + 1u < N) {
      work[to + r1 * to_stride + o] = sum.y;
    }
    if (r + 2u < N) {
      work[to + r2 * to_stride + o] = sum.z;
    }
    if (r + 3u < N) {
      work[to + r3 * to_stride + o] = sum.w;
    }
  }
}

fn four_rows(at: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(work[at.x], work[at.y], work[at.z], work[at.w]);
}

/** Feature f of particle i: time, radius and anchor flag. */
fn node_feature(x: u32, i: u32, f: u32, t: f32, origin: vec3<f32>) -> f32 {
  if (f == 0u) {
    return t;
  }
  if (f < 5u) {
    // sin πt, cos πt, sin 2πt, cos 2πt.
    let turn = cos_sin_turns(select(0.5 * t, t, f > 2u));
    return select(turn.x, turn.y, f % 2u == 1u);
  }
  if (f == 5u) {
    let d = position(x, i) - origin;
    return sqrt(dot(d, d) + SMOOTHING) * INVERSE_LENGTH;
  }
  return select(0.0, 1.0, ANCHORED && i == 0u);
}

fn radius_origin(x: u32) -> vec3<f32> {
  if (ANCHORED) {
    return position(x, 0u);
  }
  var sum = vec3<f32>();
  for (var i = 0u; i < rolled(N); i++) {
    sum += position(x, i) / f32(N);
  }
  return sum;
}

/** Particles and distances of a tile's edges; ends with a barrier. */
fn tile_edges(x: u32, tile: u32, lid: u32) {
  for (var e = lid; e < TE; e += W) {
    let edge = min(tile * TE + e, EDGES - 1u);
    let i = edge / (N - 1u);
    let other = edge % (N - 1u);
    let j = other + select(0u, 1u, other >= i);
    edge_i[e] = i;
    edge_j[e] = j;
    let d = position(x, i) - position(x, j);
    edge_s[e] = sqrt(dot(d, d) + SMOOTHING) * INVERSE_LENGTH;
  }
  sync();
}

/** m1 and m2 of a tile, after tile_edges; ends with a barrier. */
fn tile_messages(layer: u32, lid: u32) {
  let base = layer_at(layer);
  for (var q = lid; q < TE / 4u * H; q += W) {
    let k = q % H;
    let e = q / H * 4u;
    let s = vec4<f32>(edge_s[e], edge_s[e + 1u], edge_s[e + 2u], edge_s[e + 3u]);
    let i = vec4<u32>(edge_i[e], edge_i[e + 1u], edge_i[e + 2u], edge_i[e + 3u]) * H + PI + k;
    let j = vec4<u32>(edge_j[e], edge_j[e + 1u], edge_j[e + 2u], edge_j[e + 3u]) * H + PJ + k;
    var y = four_rows(i) + four_rows(j);
    y = fma(vec4<f32>(parameters[base + EDGE_E + 2u * k]), s, y);
    y = fma(vec4<f32>(parameters[base + EDGE_E + 2u * k + 1u]), 1.0 / fma(s, s, vec4<f32>(1.0)), y);
    tile1[q] = tanh_v(y);
  }
  sync();
  for (var q = lid; q < TE / 4u * H; q += W) {
    let o = q % H;
    let row = q / H * H;
    var sum = vec4<f32>(parameters[base + MESSAGE_BIAS + o]);
    for (var k = 0u; k < rolled(H); k += 4u) {
      let w = TRANSPOSED + base + MESSAGE + k * H + o;
      sum = fma(vec4<f32>(parameters[w]), tile1[row + k], sum);
      sum = fma(vec4<f32>(parameters[w + H]), tile1[row + k + 1u], sum);
      sum = fma(vec4<f32>(parameters[w + 2u * H]), tile1[row + k + 2u], sum);
      sum = fma(vec4<f32>(parameters[w + 3u * H]), tile1[row + k + 3u], sum);
    }
    tile2[q] = tanh_v(sum);
  }
  sync();
}

/** The factors of the first edge layer; ends with a barrier. */
fn edge_factors(layer: u32, lid: u32) {
  let base = layer_at(layer);
  let node = node_at(layer);
  dense(
    PI, H, node, 2u * H, H, H, TRANSPOSED + base + EDGE_I, base + EDGE_BIAS, NONE, 0u, false, lid,
  );
  dense(PJ, H, node, 2u * H, H, H, TRANSPOSED + base + EDGE_J, NONE, NONE, 0u, false, lid);
  sync();
}

/**
 * b (N·n), c (N·n), h (N·C), s (C) of the state at work[x ...] and time t, to work[out ...]; where TAPE, everything
 * the backward pass reads again stays in the scratch. Begins and ends with a barrier.
 */
fn egnn_forward(x: u32, t: f32, out: u32, lid: u32) {
  egnn_forward_ticks(x, t, out, 0u, TICKS, lid);
}

/** Before the first tick: the input layer, b and c at zero. */
fn forward_begin(x: u32, t: f32, out: u32, lid: u32) {
  let origin = radius_origin(x);
  for (var q = lid; q < N * H; q += W) {
    let i = q / H;
    let o = q % H;
    var sum = parameters[INPUT_BIAS + o];
    for (var f = 0u; f < rolled(NODE_FEATURES); f++) {
      sum = fma(parameters[INPUT + o * NODE_FEATURES + f], node_feature(x, i, f, t, origin), sum);
    }
    work[NODES_AT + i * 2u * H + o] = sum;
  }
  for (var q = lid; q < 2u * SIZE; q += W) {
    work[out + q] = 0.0;
  }
  sync();
}

/** One tile: its messages to the particles' sums, and in the last layer to b and c. Ends with a barrier. */
fn forward_tile(x: u32, layer: u32, tile: u32, out: u32, lid: u32) {
  let node = node_at(layer);
  tile_edges(x, tile, lid);
  tile_messages(layer, lid);
  let end = min((tile + 1u) * TE, EDGES);
  let first = tile * TE / (N - 1u);
  let rows = (end - 1u) / (N - 1u) - first + 1u;
  for (var q = lid; q < rows * H; q += W) {
    let i = first + q / H;
    let k = q % H;
    let to = node + i * 2u * H + H + k;
    var sum = 0.0;
    for (var e = max(i * (N - 1u), tile * TE); e < min((i + 1u) * (N - 1u), end); e++) {
      let c = e - tile * TE;
      sum += tile2[c / 4u * H + k][c % 4u];
    }
    work[to] = fma(SHARE, sum, work[to]);
  }
  if (layer == LAYERS - 1u) {
    for (var q = lid; q < 2u * TE; q += W) {
      let e = q / 2u;
      var sum = parameters[DRIFT_BIAS + q % 2u];
      for (var k = 0u; k < rolled(H); k += 4u) {
        let w = DRIFT_HEAD + q % 2u * H + k;
        let m = e / 4u * H + k;
        sum = fma(parameters[w], tile2[m][e % 4u], sum);
        sum = fma(parameters[w + 1u], tile2[m + 1u][e % 4u], sum);
        sum = fma(parameters[w + 2u], tile2[m + 2u][e % 4u], sum);
        sum = fma(parameters[w + 3u], tile2[m + 3u][e % 4u], sum);
      }
      edge_w[e][q % 2u] = sum;
    }
    sync();
    for (var q = lid; q < rows * 2u * DIM; q += W) {
      let i = first + q / (2u * DIM);
      let which = q / DIM % 2u;
      let a = q % DIM;
      let to = out + which * SIZE + i * DIM + a;
      var sum = work[to];
      for (var e = max(i * (N - 1u), tile * TE); e < min((i + 1u) * (N - 1u), end); e++) {
        let c = e - tile * TE;
        let d = work[x + i * DIM + a] - work[x + edge_j[c] * DIM + a];
        sum += edge_w[c][which] * (d / (1.0 + edge_s[c]));
      }
      work[to] = sum;
    }
  }
  sync();
}

/** After a layer's last tile: the particles' own update. Ends with a barrier. */
fn forward_update(layer: u32, lid: u32) {
  let base = layer_at(layer);
  let node = node_at(layer);
  let u = u_at(layer);
  dense(
    u, H, node, 2u * H, 2u * H, H, TRANSPOSED + base + NODE, base + NODE_BIAS, NONE, 0u, true, lid,
  );
  sync();
  dense(
    node_at(layer + 1u), 2u * H, u, H, H, H, TRANSPOSED + base + UPDATE, base + UPDATE_BIAS, node,
    2u * H, false, lid,
  );
  sync();
}

/** After the last tick: h and s. */
fn forward_heads(out: u32, lid: u32) {
  let last = node_at(LAYERS);
  for (var q = lid; q < N * C; q += W) {
    var sum = parameters[CHANNEL_BIAS + q % C];
    for (var k = 0u; k < rolled(H); k++) {
      sum = fma(parameters[CHANNEL + q % C * H + k], work[last + q / C * 2u * H + k], sum);
    }
    work[out + 2u * SIZE + q] = tanh_f(sum);
  }
  // The mean of h, in place of the factor that is no longer needed.
  for (var k = lid; k < H; k += W) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      sum += work[last + i * 2u * H + k];
    }
    work[PI + k] = sum / f32(N);
  }
  sync();
  for (var c = lid; c < C; c += W) {
    var sum = parameters[STRENGTH_BIAS + c];
    for (var k = 0u; k < rolled(H); k++) {
      sum = fma(parameters[STRENGTH + c * H + k], work[PI + k], sum);
    }
    work[out + 2u * SIZE + N * C + c] = sum;
  }
}

/**
 * Ticks first ... last − 1 of egnn_forward: a device that cannot do all in one dispatch does them in several,
 * the scratch standing in a buffer in between.
 */
fn egnn_forward_ticks(x: u32, t: f32, out: u32, first: u32, last: u32, lid: u32) {
  sync();
  if (first == 0u) {
    forward_begin(x, t, out, lid);
  }
  for (var tick = first; tick < rolled(last); tick++) {
    let layer = tick / TILES;
    let tile = tick % TILES;
    if (tile == 0u) {
      let node = node_at(layer);
      for (var q = lid; q < N * H; q += W) {
        work[node + q / H * 2u * H + H + q % H] = 0.0;
      }
      edge_factors(layer, lid);
    }
    forward_tile(x, layer, tile, out, lid);
    if (tile == TILES - 1u) {
      forward_update(layer, lid);
    }
  }
  if (MATRIX && last == TICKS) {
    forward_heads(out, lid);
  }
  sync();
}

// The network, forward, on a block of four systems. Its formulas stand in the float64 oracle,
// src/backends/reference/egnn.ts; its backward pass in egnn_backward.ts.
//
// Matrices have rows (edge, lane) or (particle, lane), so that the four rows of the product's inner
// kernel are one edge, or one particle, of the four systems. The first layer of the edge network is
// factored: W_i h_i + b1 and W_j h_j are computed per particle, an edge only adds them. Edges go in
// chunks that stay in the first-level cache.
import { fma } from "./simd";
import { sincos4, tanh4 } from "./math";
import { gemm, gemmAdd, gemmAddTanh, gemmTanh } from "./gemm";
import {
  aggregatePanels, channelBias, channelPanel, driftBias, driftWeights, EDGE_CHUNK, edgeBias,
  edgeFeatureWeights, edgePanels, EgnnNetwork, EgnnScratch, foldedEdgePanels, foldedNodePanels,
  inputPanel, layerAt, layScratch, messageBias, messagePanels, NARROW, nodeBias, nodePanels,
  updateBias, updatePanels, zeros,
} from "./egnn_layout";

export { egnnPackTypes, egnnTypesBytes } from "./egnn_types";
import { addTypes, EDGES, INPUT, NODES } from "./egnn_types";
export { egnnPack, egnnPackedBytes, egnnScratchBytes, egnnTapeBytes } from "./egnn_layout";
import { beginGradient, egnnBackward, endGradient } from "./egnn_backward";
export { beginGradient, egnnBackward, endGradient } from "./egnn_backward";

/** Keeps distances differentiable where particles coincide; length². */
// @ts-ignore: decorator
@inline const SMOOTHING: f32 = 1e-12;

/** The 4x4 transpose of a, b, c, d to four rows `ld` bytes apart. */
// @ts-ignore: decorator
@inline export function storeTransposed(a: v128, b: v128, c: v128, d: v128, out: usize, ld: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<f64>(ab0, cd0, 0, 2));
  v128.store(out + ld, v128.shuffle<f64>(ab0, cd0, 1, 3));
  v128.store(out + 2 * ld, v128.shuffle<f64>(ab1, cd1, 0, 2));
  v128.store(out + 3 * ld, v128.shuffle<f64>(ab1, cd1, 1, 3));
}

/** The sums over the columns of four vectors: lane r of the result is the sum of vector r. */
// @ts-ignore: decorator
@inline function rowSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

/** s_ij of the four systems. */
// @ts-ignore: decorator
@inline export function scaledDistance(x: usize, i: i32, j: i32, n: i32, inverseLength: v128): v128 {
  let squared = f32x4.splat(SMOOTHING);
  const xi = x + (<usize>(i * n) << 4);
  const xj = x + (<usize>(j * n) << 4);
  for (let a: usize = 0; a < <usize>n << 4; a += 16) {
    const d = f32x4.sub(v128.load(xi + a), v128.load(xj + a));
    squared = fma(d, d, squared);
  }
  return f32x4.mul(f32x4.sqrt(squared), inverseLength);
}

/** Node features as rows of eight floats, the eighth 1: it takes the bias. */
function nodeFeatures(net: EgnnNetwork, x: usize, t: v128, features: usize): void {
  const N = net.particles;
  const n = net.dimension;
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const inverseLength = f32x4.splat(1 / net.lengthScale);
  // The rows of particle 0 hold the sines until they are written.
  sincos4(f32x4.mul(t, f32x4.splat(0.5)), features, features + 16);
  const cosine = v128.load(features), sine = v128.load(features, 16);
  const sine2 = f32x4.mul(f32x4.add(sine, sine), cosine);
  const cosine2 = f32x4.sub(f32x4.mul(cosine, cosine), f32x4.mul(sine, sine));
  const origin = x + (<usize>(max(net.anchored - 1, 0) * n) << 4);
  let c0 = v128.load(origin), c1 = v128.load(origin, 16), c2 = zero;
  if (n == 3) c2 = v128.load(origin, 32);
  if (!net.anchored) {
    let p = x;
    c0 = zero;
    c1 = zero;
    c2 = zero;
    for (let i = 0; i < N; i++) {
      c0 = f32x4.add(c0, v128.load(p));
      c1 = f32x4.add(c1, v128.load(p, 16));
      if (n == 3) c2 = f32x4.add(c2, v128.load(p, 32));
      p += <usize>n << 4;
    }
    const inverse = f32x4.splat(1 / <f32>N);
    c0 = f32x4.mul(c0, inverse);
    c1 = f32x4.mul(c1, inverse);
    c2 = f32x4.mul(c2, inverse);
  }
  for (let i = 0; i < N; i++) {
    let squared = f32x4.splat(SMOOTHING);
    let d = f32x4.sub(v128.load(x), c0);
    squared = fma(d, d, squared);
    d = f32x4.sub(v128.load(x, 16), c1);
    squared = fma(d, d, squared);
    if (n == 3) {
      d = f32x4.sub(v128.load(x, 32), c2);
      squared = fma(d, d, squared);
    }
    const radius = f32x4.mul(f32x4.sqrt(squared), inverseLength);
    const flag = net.anchored == i + 1 ? one : zero;
    storeTransposed(t, sine, cosine, sine2, features, NARROW);
    storeTransposed(cosine2, radius, flag, one, features + 16, NARROW);
    features += 4 * NARROW;
    x += <usize>n << 4;
  }
}

/** m1 rows of edge (i, j): tanh(P_i + Q_j + w_s s + w_g g), the four lanes at a time. */
// @ts-ignore: decorator
@inline function edgeRows(p: usize, q: usize, R: usize, we: usize, geometry: usize, out: usize): void {
  const end = out + R;
  while (out < end) {
    const ws = v128.load(we);
    const wg = v128.load(we + R);
    let pl = p, ql = q, ol = out;
    for (let lane: usize = 0; lane < 16; lane += 4) {
      let z = f32x4.add(v128.load(pl), v128.load(ql));
      z = fma(ws, v128.load_splat<f32>(geometry + lane), z);
      z = fma(wg, v128.load_splat<f32>(geometry + lane, 16), z);
      v128.store(ol, tanh4(z));
      pl += 2 * R;
      ql += 2 * R;
      ol += R;
    }
    p += 16;
    q += 16;
    we += 16;
    out += 16;
  }
}

/** The outputs w_b and w_c of one edge's message rows, f32x4 over the systems, to out, out + 16. */
// @ts-ignore: decorator
@inline function edgeDrift(m2: usize, R: usize, weights: usize, bias: usize, out: usize): void {
  let b0 = f32x4.splat(0);
  let b1 = b0, b2 = b0, b3 = b0, c0 = b0, c1 = b0, c2 = b0, c3 = b0;
  for (let k: usize = 0; k < R; k += 16) {
    const wb = v128.load(weights + k), wc = v128.load(weights + R + k);
    let row = m2 + k;
    let m = v128.load(row);
    b0 = fma(m, wb, b0);
    c0 = fma(m, wc, c0);
    row += R;
    m = v128.load(row);
    b1 = fma(m, wb, b1);
    c1 = fma(m, wc, c1);
    row += R;
    m = v128.load(row);
    b2 = fma(m, wb, b2);
    c2 = fma(m, wc, c2);
    row += R;
    m = v128.load(row);
    b3 = fma(m, wb, b3);
    c3 = fma(m, wc, c3);
  }
  v128.store(out, f32x4.add(rowSums(b0, b1, b2, b3), v128.load(bias)));
  v128.store(out + 16, f32x4.add(rowSums(c0, c1, c2, c3), v128.load(bias, 16)));
}

/** a_i += the message rows of `count` edges of particle i. */
// @ts-ignore: decorator
@inline function aggregate(m2: usize, count: i32, a: usize, R: usize): void {
  const end = m2 + <usize>count * 4 * R;
  for (let lane = 0; lane < 4; lane++) {
    for (let k: usize = 0; k < R; k += 16) {
      let sum = v128.load(a + k);
      for (let m = m2 + k; m < end; m += 4 * R) sum = f32x4.add(sum, v128.load(m));
      v128.store(a + k, sum);
    }
    m2 += R;
    a += 2 * R;
  }
}

/** b_i += w_b (x_i − x_j)/(1 + s), c_i alike. */
// @ts-ignore: decorator
@inline function addDrift(
  x: usize, i: i32, j: i32, n: i32, s: v128, weights: usize, b: usize, c: usize,
): void {
  const scale = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), s));
  const wb = f32x4.mul(v128.load(weights), scale), wc = f32x4.mul(v128.load(weights, 16), scale);
  const at = <usize>(i * n) << 4;
  const xj = x + (<usize>(j * n) << 4);
  for (let a: usize = 0; a < <usize>n << 4; a += 16) {
    const d = f32x4.sub(v128.load(x + at + a), v128.load(xj + a));
    v128.store(b + at + a, fma(wb, d, v128.load(b + at + a)));
    v128.store(c + at + a, fma(wc, d, v128.load(c + at + a)));
  }
}

/** Four rows (one per lane) of four channels to C f32x4 over the systems. */
// @ts-ignore: decorator
@inline function storeChannels(a: v128, b: v128, c: v128, d: v128, out: usize, C: i32): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<f64>(ab0, cd0, 0, 2));
  if (C > 1) v128.store(out + 16, v128.shuffle<f64>(ab0, cd0, 1, 3));
  if (C > 2) v128.store(out + 32, v128.shuffle<f64>(ab1, cd1, 0, 2));
  if (C > 3) v128.store(out + 48, v128.shuffle<f64>(ab1, cd1, 1, 3));
}

/** The outputs h (N·C) and s (C) from the rows of the last h. */
function channelHeads(network: usize, nodes: usize, heads: usize, out: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const C = net.channels;
  const R = <usize>net.hidden << 2;
  gemm(
    nodes, 2 * R, channelPanel(network, R, net.layers), channelBias(network, R, net.layers),
    heads, NARROW, N, net.hidden, 8,
  );
  let s0 = f32x4.splat(0);
  let s1 = s0, s2 = s0, s3 = s0;
  for (let i = 0; i < N; i++) {
    const h0 = tanh4(v128.load(heads)), h1 = tanh4(v128.load(heads, NARROW));
    const h2 = tanh4(v128.load(heads, 2 * NARROW)), h3 = tanh4(v128.load(heads, 3 * NARROW));
    v128.store(heads, h0);
    v128.store(heads, h1, NARROW);
    v128.store(heads, h2, 2 * NARROW);
    v128.store(heads, h3, 3 * NARROW);
    storeChannels(h0, h1, h2, h3, out, C);
    s0 = f32x4.add(s0, v128.load(heads, 16));
    s1 = f32x4.add(s1, v128.load(heads, NARROW + 16));
    s2 = f32x4.add(s2, v128.load(heads, 2 * NARROW + 16));
    s3 = f32x4.add(s3, v128.load(heads, 3 * NARROW + 16));
    heads += 4 * NARROW;
    out += <usize>C << 4;
  }
  const mean = f32x4.splat(1 / <f32>N);
  storeChannels(
    f32x4.mul(s0, mean), f32x4.mul(s1, mean), f32x4.mul(s2, mean), f32x4.mul(s3, mean), out, C,
  );
}

/** All edges of one layer: messages, their sums a_i, and after the last layer the outputs b and c. */
function edgePass(
  network: usize, layer: usize, s: EgnnScratch, x: usize, nodes: usize, m1: usize, m2: usize,
  last: bool, out: usize,
): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const n = net.dimension;
  const H = net.hidden;
  const R = <usize>H << 2;
  const kept = s.mStep != 0;
  const edges = N * (N - 1);
  const one = f32x4.splat(1);
  const inverseLength = f32x4.splat(1 / net.lengthScale);
  const c = out + (<usize>(N * n) << 4);
  let i = 0, j = 1;
  for (let first = 0; first < edges; first += EDGE_CHUNK) {
    const count = min(EDGE_CHUNK, edges - first);
    const firstI = i, firstJ = j;
    let rows = m1;
    let geometry = s.geometry;
    for (let e = 0; e < count; e++) {
      const distance = scaledDistance(x, i, j, n, inverseLength);
      v128.store(geometry, distance);
      v128.store(geometry, f32x4.div(one, fma(distance, distance, one)), 16);
      const p = s.pq + <usize>i * 8 * R;
      const q = s.pq + <usize>j * 8 * R + R;
      edgeRows(p, q, R, edgeFeatureWeights(layer, R), geometry, rows);
      geometry += 32;
      rows += 4 * R;
      j++;
      if (j == i) j++;
      if (j == N) {
        i++;
        j = 0;
      }
    }
    gemmTanh(m1, R, messagePanels(layer, R), messageBias(layer, R), m2, R, count, H, H);
    // Again over the chunk, now by particle i.
    i = firstI;
    j = firstJ;
    rows = m2;
    for (let e = 0; e < count;) {
      const left = N - j - (j < i ? 1 : 0);
      const segment = min(left, count - e);
      aggregate(rows, segment, nodes + <usize>i * 8 * R + R, R);
      for (let k = 0; k < segment; k++) {
        if (last) {
          edgeDrift(rows, R, driftWeights(network, R, net.layers), driftBias(network, R, net.layers), s.drift);
          addDrift(x, i, j, n, v128.load(s.geometry + (<usize>(e + k) << 5)), s.drift, out, c);
        }
        rows += 4 * R;
        j++;
        if (j == i) j++;
      }
      if (j == N) {
        i++;
        j = 0;
      }
      e += segment;
    }
    if (kept) {
      m1 += <usize>count * 4 * R;
      m2 += <usize>count * 4 * R;
    }
  }
}

/**
 * Evaluates the network at positions x (N·n f32x4) and times t of the four systems. `out`: b (N·n),
 * c (N·n), h (N·C), s (C) as f32x4, not gauge-projected. What egnnBackward reads is kept on `tape`
 * (egnnTapeBytes long); 0: nothing is kept.
 */
export function egnnForward(
  network: usize, x: usize, t: v128, out: usize, scratch: usize, tape: usize,
): void {
  const net = changetype<EgnnNetwork>(network);
  const s = changetype<EgnnScratch>(scratch);
  const N = net.particles;
  const L = net.layers;
  const H = net.hidden;
  const C = net.channels;
  const R = <usize>H << 2;
  layScratch(s, scratch, tape, N, L, H);
  nodeFeatures(net, x, t, s.features);
  // The input layer is linear: layer 0 takes the features by folded weights, only the sum h + W_o u
  // needs h itself.
  const none = zeros(layerAt(network, R, 0), R);
  gemm(s.features, NARROW, inputPanel(network), none, s.nodes, 2 * R, N, 8, H);
  if (net.types) addTypes(net, INPUT, s.nodes, 2 * R, R);
  const size = N * net.dimension;
  memory.fill(out, 0, <usize>size << 5);
  const mean = f32x4.splat(1 / sqrt<f32>(<f32>N));
  let nodes = s.nodes;
  for (let l = 0; l < L; l++) {
    const layer = layerAt(network, R, l);
    const last = l == L - 1;
    if (l == 0) {
      gemm(s.features, NARROW, foldedEdgePanels(network, R), edgeBias(layer), s.pq, 2 * R, N, 8, 2 * H);
      if (net.types) addTypes(net, EDGES, s.pq, 2 * R, 2 * R);
    } else {
      gemm(nodes, 2 * R, edgePanels(layer, R), edgeBias(layer), s.pq, 2 * R, N, H, 2 * H);
    }
    for (let row = 0; row < 4 * N; row++) memory.fill(nodes + <usize>row * 2 * R + R, 0, R);
    const m = <usize>l * s.mStep;
    edgePass(network, layer, s, x, nodes, s.m1 + m, s.m2 + m, last, out);
    if (last && C == 0) return;
    for (let row = 0; row < 4 * N; row++) {
      const a = nodes + <usize>row * 2 * R + R;
      for (let k: usize = 0; k < R; k += 16) v128.store(a + k, f32x4.mul(mean, v128.load(a + k)));
    }
    const u = s.u + <usize>l * s.uStep;
    if (l == 0) {
      gemm(s.features, NARROW, foldedNodePanels(network, R), nodeBias(layer, R), u, R, N, 8, H);
      if (net.types) addTypes(net, NODES, u, R, R);
      gemmAddTanh(nodes + R, 2 * R, aggregatePanels(network, R), none, u, R, N, H, H);
    } else {
      gemmTanh(nodes, 2 * R, nodePanels(layer, R), nodeBias(layer, R), u, R, N, 2 * H, H);
    }
    const after = nodes + s.nodesStep;
    if (tape) {
      for (let row = 0; row < 4 * N; row++) memory.copy(after + <usize>row * 2 * R, nodes + <usize>row * 2 * R, R);
    }
    gemmAdd(u, R, updatePanels(layer, R), updateBias(layer, R), after, 2 * R, N, H, H);
    nodes = after;
  }
  channelHeads(network, nodes, s.heads, out + (<usize>size << 5));
}

// @ts-ignore: decorator
@inline function outputBytes(net: EgnnNetwork): usize {
  const size = 2 * net.particles * net.dimension + net.particles * net.channels + net.channels;
  return <usize>size << 4;
}

/** Forward over `blocks` blocks laid one after another; t: one f32x4 per block. */
export function egnnForwardBatch(
  network: usize, x: usize, t: usize, out: usize, scratch: usize, blocks: i32,
): void {
  const net = changetype<EgnnNetwork>(network);
  for (let block = 0; block < blocks; block++) {
    egnnForward(network, x, v128.load(t), out, scratch, 0);
    x += <usize>(net.particles * net.dimension) << 4;
    t += 16;
    out += outputBytes(net);
  }
}

/** Forward and backward over `blocks` blocks, one tape for all; `outAdjoint` laid out like `out`. */
export function egnnForwardBackwardBatch(
  network: usize, x: usize, t: usize, out: usize, outAdjoint: usize, gradient: usize,
  scratch: usize, tape: usize, blocks: i32,
): void {
  const net = changetype<EgnnNetwork>(network);
  beginGradient(network, scratch);
  for (let block = 0; block < blocks; block++) {
    const time = v128.load(t);
    egnnForward(network, x, time, out, scratch, tape);
    egnnBackward(network, x, outAdjoint, gradient, scratch, tape);
    x += <usize>(net.particles * net.dimension) << 4;
    t += 16;
    out += outputBytes(net);
    outAdjoint += outputBytes(net);
  }
  endGradient(network, gradient, scratch);
}

// Parameter gradient of the network on a block of four systems, after a forward pass that stored its
// activations. Times are constants, and so are positions without gatherPositions. Gradients go to the flat layout of
// src/julep/egnn.ts, summed over the four systems. The oracle is src/backends/reference/egnn.ts.
import { fma, fnma } from "./simd";
import { gemm, gemmAdd, gemmGradient } from "./gemm";
import { scaledDistance, storeTransposed } from "./egnn";
import { clearTypes, EDGES, finishTypes, gatherTypes, INPUT, NODES } from "./egnn_types";
import { addEdgePositions, addRadiusPositions } from "./egnn_input";
import {
  channelTransposed, driftWeights, EDGE_CHUNK, edgePanels, EgnnNetwork, EgnnScratch,
  flatEdgeBias, flatEdgeFeatures, flatLayer, flatMessage, flatMessageBias, flatNode, flatNodeBias,
  flatUpdate, flatUpdateBias, inputPanel, layerAt, layScratch, messagePanels, NARROW, nodePanels, panelAt, transposed,
  updatePanels, zeros,
} from "./egnn_layout";

/** out[k] += Σ over `rows` rows, `width` bytes of each. */
function addRows(from: usize, ld: usize, rows: i32, width: usize, out: usize): void {
  const end = from + ld * <usize>rows;
  for (let k: usize = 0; k < width; k += 16) {
    let sum = v128.load(out + k);
    for (let row = from + k; row < end; row += ld) sum = f32x4.add(sum, v128.load(row));
    v128.store(out + k, sum);
  }
}

// @ts-ignore: decorator
@inline function addFloat(out: usize, value: f32): void {
  store<f32>(out, load<f32>(out) + value);
}

// @ts-ignore: decorator
@inline function laneSum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** d · (1 − y²), d = dy (dense rows), in place; y = tanh(z). */
function tanhAdjoint(y: usize, d: usize, bytes: usize): void {
  const one = f32x4.splat(1);
  for (let k: usize = 0; k < bytes; k += 16) {
    const value = v128.load(y + k);
    v128.store(d + k, f32x4.mul(v128.load(d + k), fnma(value, value, one)));
  }
}

/** Heads of A: sets dh, adds the gradients of heads.channel and heads.strength. */
function channelHeadsBackward(network: usize, s: EgnnScratch, adjoint: usize, gradient: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const H = net.hidden;
  const C = net.channels;
  const R = <usize>H << 2;
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const mean = f32x4.splat(1 / <f32>N);
  const strengths = adjoint + (<usize>(N * C) << 4);
  const d0 = f32x4.mul(mean, v128.load(strengths));
  const d1 = C > 1 ? f32x4.mul(mean, v128.load(strengths, 16)) : zero;
  const d2 = C > 2 ? f32x4.mul(mean, v128.load(strengths, 32)) : zero;
  const d3 = C > 3 ? f32x4.mul(mean, v128.load(strengths, 48)) : zero;
  let heads = s.heads;
  let d = s.dHeads;
  for (let i = 0; i < N; i++) {
    const a0 = v128.load(adjoint);
    const a1 = C > 1 ? v128.load(adjoint, 16) : zero;
    const a2 = C > 2 ? v128.load(adjoint, 32) : zero;
    const a3 = C > 3 ? v128.load(adjoint, 48) : zero;
    storeTransposed(a0, a1, a2, a3, d, NARROW);
    storeTransposed(d0, d1, d2, d3, d + 16, NARROW);
    for (let lane = 0; lane < 4; lane++) {
      const y = v128.load(heads);
      v128.store(d, f32x4.mul(v128.load(d), fnma(y, y, one)));
      d += NARROW;
      heads += NARROW;
    }
    adjoint += <usize>C << 4;
  }
  const h = s.nodes + <usize>net.layers * s.nodesStep;
  gemm(
    s.dHeads, NARROW, channelTransposed(network, R, net.layers), zeros(layerAt(network, R, 0), R),
    s.dh, R, N, 8, H,
  );
  memory.fill(s.narrow, 0, 8 * R);
  gemmGradient(s.dHeads, NARROW, h, 2 * R, s.narrow, R, 4 * N, 8, H);
  const channel = gradient + flatLayer(R, net.layers) + 2 * R + 8;
  const strength = channel + <usize>C * (R + 4);
  for (let c: usize = 0; c < <usize>C; c++) {
    addRows(s.narrow + c * R, R, 1, R, channel + c * R);
    addRows(s.narrow + (c + 4) * R, R, 1, R, strength + c * R);
    for (let row: usize = 0; row < 4 * <usize>N; row++) {
      addFloat(channel + <usize>C * R + 4 * c, load<f32>(s.dHeads + row * NARROW + 4 * c));
      addFloat(strength + <usize>C * R + 4 * c, load<f32>(s.dHeads + row * NARROW + 16 + 4 * c));
    }
  }
}

/** Adjoints of w_b and w_c of edge (i, j): V · db_i, V · dc_i; and the gradient of their biases. */
// @ts-ignore: decorator
@inline function driftAdjoint(
  x: usize, i: i32, j: i32, n: i32, distance: v128, db: usize, dc: usize, out: usize,
): void {
  let sb = f32x4.splat(0);
  let sc = sb;
  const at = <usize>(i * n) << 4;
  const xj = x + (<usize>(j * n) << 4);
  for (let a: usize = 0; a < <usize>n << 4; a += 16) {
    const d = f32x4.sub(v128.load(x + at + a), v128.load(xj + a));
    sb = fma(d, v128.load(db + at + a), sb);
    sc = fma(d, v128.load(dc + at + a), sc);
  }
  const scale = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), distance));
  v128.store(out, f32x4.mul(sb, scale));
  v128.store(out, f32x4.mul(sc, scale), 16);
}

/** dz2 = (da_i + heads) (1 − m2²) of one edge, four lanes; adds the gradient of the drift heads. */
// @ts-ignore: decorator
@inline function messageAdjoint(
  da: usize, m2: usize, R: usize, last: bool, drift: usize, weights: usize, dWeights: usize,
  dBias: usize, dz2: usize,
): void {
  const one = f32x4.splat(1);
  for (let k: usize = 0; k < R; k += 16) {
    let bias = v128.load(dBias + k);
    let row = m2 + k, from = da + k, to = dz2 + k;
    if (last) {
      const wb = v128.load(weights + k), wc = v128.load(weights + R + k);
      let dwb = v128.load(dWeights + k), dwc = v128.load(dWeights + R + k);
      for (let lane: usize = 0; lane < 16; lane += 4) {
        const m = v128.load(row);
        const b = v128.load_splat<f32>(drift + lane), c = v128.load_splat<f32>(drift + lane, 16);
        dwb = fma(b, m, dwb);
        dwc = fma(c, m, dwc);
        const d = fma(c, wc, fma(b, wb, v128.load(from)));
        const dz = f32x4.mul(d, fnma(m, m, one));
        bias = f32x4.add(bias, dz);
        v128.store(to, dz);
        row += R;
        from += 2 * R;
        to += R;
      }
      v128.store(dWeights + k, dwb);
      v128.store(dWeights + R + k, dwc);
    } else {
      for (let lane = 0; lane < 4; lane++) {
        const m = v128.load(row);
        const dz = f32x4.mul(v128.load(from), fnma(m, m, one));
        bias = f32x4.add(bias, dz);
        v128.store(to, dz);
        row += R;
        from += 2 * R;
        to += R;
      }
    }
    v128.store(dBias + k, bias);
  }
}

/** dz1 = dm1 (1 − m1²) of one edge: added to dP_i, dQ_j and the gradient of w_e. */
// @ts-ignore: decorator
@inline function edgeAdjoint(
  dm1: usize, m1: usize, R: usize, geometry: usize, dp: usize, dq: usize, dwe: usize,
): void {
  const one = f32x4.splat(1);
  for (let k: usize = 0; k < R; k += 16) {
    let ws = v128.load(dwe + k), wg = v128.load(dwe + R + k);
    let row = m1 + k, from = dm1 + k, p = dp + k, q = dq + k;
    for (let lane: usize = 0; lane < 16; lane += 4) {
      const m = v128.load(row);
      const dz = f32x4.mul(v128.load(from), fnma(m, m, one));
      ws = fma(v128.load_splat<f32>(geometry + lane), dz, ws);
      wg = fma(v128.load_splat<f32>(geometry + lane, 16), dz, wg);
      v128.store(p, f32x4.add(v128.load(p), dz));
      v128.store(q, f32x4.add(v128.load(q), dz));
      row += R;
      from += R;
      p += 2 * R;
      q += 2 * R;
    }
    v128.store(dwe + k, ws);
    v128.store(dwe + R + k, wg);
  }
}

/** All edges of layer l: sets dpq, adds the gradients of the message and edge tensors and heads. */
function edgePassBackward(
  network: usize, l: i32, s: EgnnScratch, x: usize, adjoint: usize, gradient: usize,
): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const n = net.dimension;
  const H = net.hidden;
  const R = <usize>H << 2;
  const layer = layerAt(network, R, l);
  const to = gradient + flatLayer(R, l);
  const last = l == net.layers - 1;
  const edges = N * (N - 1);
  const one = f32x4.splat(1);
  const inverseLength = f32x4.splat(1 / net.lengthScale);
  const dDrift = gradient + flatLayer(R, net.layers);
  let sumB = f32x4.splat(0), sumC = sumB;
  memory.fill(s.dpq, 0, 8 * R * <usize>N);
  memory.fill(s.dwe, 0, 2 * R);
  let m1 = s.m1 + <usize>l * s.mStep;
  let m2 = s.m2 + <usize>l * s.mStep;
  let i = 0, j = 1;
  for (let first = 0; first < edges; first += EDGE_CHUNK) {
    const count = min(EDGE_CHUNK, edges - first);
    const firstI = i, firstJ = j;
    let geometry = s.geometry;
    let rows: usize = 0;
    for (let e = 0; e < count; e++) {
      const distance = scaledDistance(x, i, j, n, inverseLength);
      v128.store(geometry, distance);
      v128.store(geometry, f32x4.div(one, fma(distance, distance, one)), 16);
      if (last) {
        driftAdjoint(x, i, j, n, distance, adjoint, adjoint + (<usize>(N * n) << 4), s.drift);
        sumB = f32x4.add(sumB, v128.load(s.drift));
        sumC = f32x4.add(sumC, v128.load(s.drift, 16));
      }
      messageAdjoint(
        s.dNodes + <usize>i * 8 * R + R, m2 + rows, R, last, s.drift,
        driftWeights(network, R, net.layers), dDrift, flatMessageBias(to, R), s.dz2 + rows,
      );
      geometry += 32;
      rows += 4 * R;
      j++;
      if (j == i) j++;
      if (j == N) {
        i++;
        j = 0;
      }
    }
    gemmGradient(s.dz2, R, m1, R, flatMessage(to, R), R, 4 * count, H, H);
    gemm(s.dz2, R, transposed(messagePanels(layer, R), R), zeros(layer, R), s.dz1, R, count, H, H);
    i = firstI;
    j = firstJ;
    geometry = s.geometry;
    rows = 0;
    for (let e = 0; e < count; e++) {
      edgeAdjoint(
        s.dz1 + rows, m1 + rows, R, geometry, s.dpq + <usize>i * 8 * R, s.dpq + <usize>j * 8 * R + R,
        s.dwe,
      );
      if (s.positions) {
        addEdgePositions(network, l, s, x, adjoint, i, j, s.dz1 + rows, m1 + rows, m2 + rows);
      }
      geometry += 32;
      rows += 4 * R;
      j++;
      if (j == i) j++;
      if (j == N) {
        i++;
        j = 0;
      }
    }
    m1 += rows;
    m2 += rows;
  }
  if (last) {
    addFloat(dDrift + 2 * R, laneSum(sumB));
    addFloat(dDrift + 2 * R + 4, laneSum(sumC));
  }
  const features = flatEdgeFeatures(to, R);
  for (let k: usize = 0; k < R; k += 4) {
    addFloat(features + 2 * k, load<f32>(s.dwe + k));
    addFloat(features + 2 * k + 4, load<f32>(s.dwe + R + k));
  }
  addRows(s.dpq, 2 * R, 4 * N, R, flatEdgeBias(to, R));
}

/** Node and update tensors of layer l: sets dNodes = adjoint of [h, a] by way of u (a over √N). */
function nodePassBackward(network: usize, l: i32, s: EgnnScratch, gradient: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const H = net.hidden;
  const R = <usize>H << 2;
  const layer = layerAt(network, R, l);
  const to = gradient + flatLayer(R, l);
  const u = s.u + <usize>l * s.uStep;
  const nodes = s.nodes + <usize>l * s.nodesStep;
  gemmGradient(s.dh, R, u, R, flatUpdate(to, R), R, 4 * N, H, H);
  addRows(s.dh, R, 4 * N, R, flatUpdateBias(to, R));
  gemm(s.dh, R, transposed(updatePanels(layer, R), R), zeros(layer, R), s.dz, R, N, H, H);
  tanhAdjoint(u, s.dz, 4 * R * <usize>N);
  addRows(s.dz, R, 4 * N, R, flatNodeBias(to, R));
  const back = transposed(nodePanels(layer, R), R);
  if (l == 0) {
    if (net.types) gatherTypes(net, NODES, s.dz, R, R);
    gemmGradient(s.dz, R, s.features, NARROW, s.folded + 24 * R, NARROW, 4 * N, H, 8);
    gemmGradient(s.dz, R, nodes + R, 2 * R, flatNode(to, R) + R, 2 * R, 4 * N, H, H);
    // Panels of inputs: those of a follow those of h.
    gemm(s.dz, R, back + R * R / 4, zeros(layer, R), s.dNodes + R, 2 * R, N, H, H);
  } else {
    gemmGradient(s.dz, R, nodes, 2 * R, flatNode(to, R), 2 * R, 4 * N, H, 2 * H);
    gemm(s.dz, R, back, zeros(layer, R), s.dNodes, 2 * R, N, H, 2 * H);
  }
  const mean = f32x4.splat(1 / sqrt<f32>(<f32>N));
  for (let row: usize = 0; row < 4 * <usize>N; row++) {
    const d = s.dNodes + row * 2 * R;
    for (let k: usize = 0; k < R; k += 16) {
      if (l > 0) {
        const dh = s.dh + row * R + k;
        v128.store(dh, f32x4.add(v128.load(dh), v128.load(d + k)));
      }
      v128.store(d + R + k, f32x4.mul(mean, v128.load(d + R + k)));
    }
  }
}

/** Before the first egnnBackward of a sum: clears what the calls gather in `scratch`. */
export function beginGradient(network: usize, scratch: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const s = changetype<EgnnScratch>(scratch);
  layScratch(s, scratch, scratch, net.particles, net.layers, net.hidden);
  memory.fill(s.folded, 0, 128 * <usize>net.hidden);
  if (net.types) clearTypes(net);
  s.positions = 0;
}

/**
 * From here to the end of the sum egnnBackward adds the gradient with respect to the positions to
 * (N, n) f32x4 at `positions`.
 */
export function gatherPositions(scratch: usize, positions: usize): void {
  changetype<EgnnScratch>(scratch).positions = positions;
}

/**
 * After the last one: what reached the folded weights of layer 0 goes on to their factors. With f the
 * features (the last is 1), V = W W_in and G = ∂loss/∂V: ∂W = G W_inᵀ, ∂W_in = WᵀG.
 */
export function endGradient(network: usize, gradient: usize, scratch: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const s = changetype<EgnnScratch>(scratch);
  const H = net.hidden;
  const R = <usize>H << 2;
  const layer = layerAt(network, R, 0);
  const to = gradient + flatLayer(R, 0);
  if (net.types) finishTypes(network, gradient);
  unfold(network, s, edgePanels(layer, R), H, 2 * H, s.folded + 8 * R, to, R);
  unfold(network, s, nodePanels(layer, R), 2 * H, H, s.folded + 24 * R, flatNode(to, R), 2 * R);
  for (let o: usize = 0; o < <usize>H; o++) {
    const from = s.folded + NARROW * o;
    for (let f: usize = 0; f < 28; f += 4) addFloat(gradient + 28 * o + f, load<f32>(from + f));
    addFloat(gradient + 7 * R + 4 * o, load<f32>(from + 28));
  }
}

/** ∂W += G W_inᵀ to `to` (row stride `ld`), ∂W_in += WᵀG to s.folded; W (out, H...) in panels of K. */
function unfold(
  network: usize, s: EgnnScratch, panels: usize, K: i32, out: i32, G: usize, to: usize, ld: usize,
): void {
  const H = changetype<EgnnNetwork>(network).hidden;
  for (let o = 0; o < out; o++) {
    const g = G + NARROW * <usize>o;
    for (let k = 0; k < H; k++) {
      const weight = load<f32>(panelAt(panels, K, o, k));
      const input = s.folded + NARROW * <usize>k;
      let sum: f32 = 0;
      for (let f = 0; f < 8; f++) {
        const value = load<f32>(g + (<usize>f << 2));
        sum += value * load<f32>(panelAt(inputPanel(network), 8, k, f));
        addFloat(input + (<usize>f << 2), weight * value);
      }
      addFloat(to + <usize>o * ld + (<usize>k << 2), sum);
    }
  }
}

/**
 * gradient (f32, flat) += ∂⟨outAdjoint, out⟩/∂parameters, summed over the four systems. `tape` is
 * that of an egnnForward with the same network and x, now or earlier; it may be used again. A sum of
 * such calls stands between beginGradient and endGradient.
 */
export function egnnBackward(
  network: usize, x: usize, outAdjoint: usize, gradient: usize, scratch: usize, tape: usize,
): void {
  const net = changetype<EgnnNetwork>(network);
  const s = changetype<EgnnScratch>(scratch);
  layScratch(s, scratch, tape, net.particles, net.layers, net.hidden);
  const N = net.particles;
  const L = net.layers;
  const H = net.hidden;
  const C = net.channels;
  const R = <usize>H << 2;
  if (C > 0) {
    channelHeadsBackward(network, s, outAdjoint + (<usize>(2 * N * net.dimension) << 4), gradient);
  } else {
    memory.fill(s.dh, 0, 4 * R * <usize>N);
    memory.fill(s.dNodes, 0, 8 * R * <usize>N);
  }
  for (let l = L - 1; l >= 0; l--) {
    const layer = layerAt(network, R, l);
    if (l < L - 1 || C > 0) nodePassBackward(network, l, s, gradient);
    edgePassBackward(network, l, s, x, outAdjoint, gradient);
    const nodes = s.nodes + <usize>l * s.nodesStep;
    const to = gradient + flatLayer(R, l);
    if (l == 0) {
      if (net.types) gatherTypes(net, EDGES, s.dpq, 2 * R, 2 * R);
      gemmGradient(s.dpq, 2 * R, s.features, NARROW, s.folded + 8 * R, NARROW, 4 * N, 2 * H, 8);
      break;
    }
    // W_i and W_j are adjacent, but their adjoints lie side by side in dpq.
    gemmGradient(s.dpq, 2 * R, nodes, 2 * R, to, R, 4 * N, 2 * H, H);
    gemmAdd(s.dpq, 2 * R, transposed(edgePanels(layer, R), R), zeros(layer, R), s.dh, R, N, 2 * H, H);
  }
  gemmGradient(s.dh, R, s.features, NARROW, s.folded, NARROW, 4 * N, H, 8);
  if (net.types) gatherTypes(net, INPUT, s.dh, R, R);
  if (s.positions) addRadiusPositions(network, s, x, L > 1 || C > 0);
}

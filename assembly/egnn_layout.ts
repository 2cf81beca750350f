// Where everything of the network lies in memory: the packed parameters and the scratch area.
// The flat parameters follow src/julep/egnn.ts.
import { packPanels, packTransposed } from "./gemm";

/** Edges handled at a time: their rows (4 systems each) and one panel of weights stay in L1. */
// @ts-ignore: decorator
@inline export const EDGE_CHUNK: i32 = 12;
/** Node features and heads occupy rows of eight floats. */
// @ts-ignore: decorator
@inline export const NARROW: usize = 32;
// @ts-ignore: decorator
@inline const FEATURES: i32 = 7;
// @ts-ignore: decorator
@inline const HEADER: usize = 64;

/** Head of the packed network. */
@unmanaged
export class EgnnNetwork {
  particles: i32;
  dimension: i32;
  layers: i32;
  hidden: i32;
  channels: i32;
  /** 0: radii are measured from the centre; k: from particle k − 1, which is flagged. */
  anchored: i32;
  lengthScale: f32;
  /** The types' table (egnn_types.ts); 0: particles are all alike. */
  types: usize;
}

// Packed parameters after the header, in bytes, with R = 4H one row of H floats:
//   input panel 8R (K = 8; the last column is the bias), folded into layer 0: [W_i; W_j] W_in 16R
//     and W_n's part on h times W_in 8R (K = 8 both), W_n's part on a HR
//   per layer: b1 R, zeros 2R, w_e 2R (column s, column 1/(1+s²)), b2 R, b_n R, b_o R,
//     panels [W_i; W_j] 2HR, W_2 HR, W_n 2HR, W_o HR, then the same transposed in the same order
//   heads: w_b R, w_c R, their biases as two f32x4, panel [W_A; W_s] 8R (channels in columns 0-3,
//     strengths in 4-7), its bias 32, its transpose 8R (K = 8)

// @ts-ignore: decorator
@inline function layerBytes(R: usize): usize { return 8 * R + 3 * R * R; }

// @ts-ignore: decorator
@inline export function inputPanel(network: usize): usize { return network + HEADER; }
// @ts-ignore: decorator
@inline export function foldedEdgePanels(network: usize, R: usize): usize { return network + HEADER + 8 * R; }
// @ts-ignore: decorator
@inline export function foldedNodePanels(network: usize, R: usize): usize { return network + HEADER + 24 * R; }
// @ts-ignore: decorator
@inline export function aggregatePanels(network: usize, R: usize): usize { return network + HEADER + 32 * R; }
// @ts-ignore: decorator
@inline export function layerAt(network: usize, R: usize, l: i32): usize {
  return network + HEADER + 32 * R + R * R / 4 + <usize>l * layerBytes(R);
}
// @ts-ignore: decorator
@inline export function edgeBias(layer: usize): usize { return layer; }
/** At least 2H zeros. */
// @ts-ignore: decorator
@inline export function zeros(layer: usize, R: usize): usize { return layer + R; }
// @ts-ignore: decorator
@inline export function edgeFeatureWeights(layer: usize, R: usize): usize { return layer + 3 * R; }
// @ts-ignore: decorator
@inline export function messageBias(layer: usize, R: usize): usize { return layer + 5 * R; }
// @ts-ignore: decorator
@inline export function nodeBias(layer: usize, R: usize): usize { return layer + 6 * R; }
// @ts-ignore: decorator
@inline export function updateBias(layer: usize, R: usize): usize { return layer + 7 * R; }
// HR bytes are R²/4.
// @ts-ignore: decorator
@inline export function edgePanels(layer: usize, R: usize): usize { return layer + 8 * R; }
// @ts-ignore: decorator
@inline export function messagePanels(layer: usize, R: usize): usize { return layer + 8 * R + R * R / 2; }
// @ts-ignore: decorator
@inline export function nodePanels(layer: usize, R: usize): usize { return layer + 8 * R + 3 * R * R / 4; }
// @ts-ignore: decorator
@inline export function updatePanels(layer: usize, R: usize): usize { return layer + 8 * R + 5 * R * R / 4; }
/** From panels to transposed panels. */
// @ts-ignore: decorator
@inline export function transposed(panels: usize, R: usize): usize { return panels + 3 * R * R / 2; }
// @ts-ignore: decorator
@inline export function driftWeights(network: usize, R: usize, L: i32): usize { return layerAt(network, R, L); }
// @ts-ignore: decorator
@inline export function driftBias(network: usize, R: usize, L: i32): usize { return layerAt(network, R, L) + 2 * R; }
// @ts-ignore: decorator
@inline export function channelPanel(network: usize, R: usize, L: i32): usize { return layerAt(network, R, L) + 2 * R + 32; }
// @ts-ignore: decorator
@inline export function channelBias(network: usize, R: usize, L: i32): usize { return channelPanel(network, R, L) + 8 * R; }
// @ts-ignore: decorator
@inline export function channelTransposed(network: usize, R: usize, L: i32): usize { return channelBias(network, R, L) + 32; }

// Flat parameters, in bytes from their start.
// @ts-ignore: decorator
@inline export function flatLayer(R: usize, l: i32): usize { return 8 * R + <usize>l * (6 * R + 3 * R * R / 2); }
// @ts-ignore: decorator
@inline export function flatEdgeFeatures(layer: usize, R: usize): usize { return layer + R * R / 2; }
// @ts-ignore: decorator
@inline export function flatEdgeBias(layer: usize, R: usize): usize { return layer + R * R / 2 + 2 * R; }
// @ts-ignore: decorator
@inline export function flatMessage(layer: usize, R: usize): usize { return layer + R * R / 2 + 3 * R; }
// @ts-ignore: decorator
@inline export function flatMessageBias(layer: usize, R: usize): usize { return layer + 3 * R * R / 4 + 3 * R; }
// @ts-ignore: decorator
@inline export function flatNode(layer: usize, R: usize): usize { return layer + 3 * R * R / 4 + 4 * R; }
// @ts-ignore: decorator
@inline export function flatNodeBias(layer: usize, R: usize): usize { return layer + 5 * R * R / 4 + 4 * R; }
// @ts-ignore: decorator
@inline export function flatUpdate(layer: usize, R: usize): usize { return layer + 5 * R * R / 4 + 5 * R; }
// @ts-ignore: decorator
@inline export function flatUpdateBias(layer: usize, R: usize): usize { return layer + 3 * R * R / 2 + 5 * R; }

/** Bytes of a packed network, a multiple of 64. */
export function egnnPackedBytes(L: i32, H: i32): i32 {
  return <i32>((channelTransposed(0, <usize>H << 2, L) + 8 * (<usize>H << 2) + 63) & ~63);
}

/**
 * Writes the packed network from flat f32 parameters. `network` 16-aligned, egnnPackedBytes(L, H)
 * long; `lengthScale` divides every length that enters the network.
 */
export function egnnPack(
  flat: usize, network: usize,
  N: i32, n: i32, L: i32, H: i32, C: i32, lengthScale: f32, anchored: i32,
): void {
  memory.fill(network, 0, egnnPackedBytes(L, H));
  const head = changetype<EgnnNetwork>(network);
  head.particles = N;
  head.dimension = n;
  head.layers = L;
  head.hidden = H;
  head.channels = C;
  head.anchored = anchored;
  head.lengthScale = lengthScale;
  const R = <usize>H << 2;
  packPanels(flat, <usize>FEATURES << 2, H, FEATURES, 8, inputPanel(network));
  for (let o = 0; o < H; o++) {
    store<f32>(panelAt(inputPanel(network), 8, o, 7), load<f32>(flat + 7 * R + (<usize>o << 2)));
  }
  const node = flatNode(flat + flatLayer(R, 0), R);
  fold(flat + flatLayer(R, 0), R, network, 2 * H, H, foldedEdgePanels(network, R));
  fold(node, 2 * R, network, H, H, foldedNodePanels(network, R));
  packPanels(node + R, 2 * R, H, H, H, aggregatePanels(network, R));
  for (let l = 0; l < L; l++) {
    const layer = layerAt(network, R, l);
    const from = flat + flatLayer(R, l);
    memory.copy(edgeBias(layer), flatEdgeBias(from, R), R);
    for (let k: usize = 0; k < R; k += 4) {
      const pair = flatEdgeFeatures(from, R) + 2 * k;
      store<f32>(edgeFeatureWeights(layer, R) + k, load<f32>(pair));
      store<f32>(edgeFeatureWeights(layer, R) + R + k, load<f32>(pair, 4));
    }
    memory.copy(messageBias(layer, R), flatMessageBias(from, R), R);
    memory.copy(nodeBias(layer, R), flatNodeBias(from, R), R);
    memory.copy(updateBias(layer, R), flatUpdateBias(from, R), R);
    packPanels(from, R, 2 * H, H, H, edgePanels(layer, R));
    packPanels(flatMessage(from, R), R, H, H, H, messagePanels(layer, R));
    packPanels(flatNode(from, R), 2 * R, H, 2 * H, 2 * H, nodePanels(layer, R));
    packPanels(flatUpdate(from, R), R, H, H, H, updatePanels(layer, R));
    packTransposed(from, R, 2 * H, H, 2 * H, transposed(edgePanels(layer, R), R));
    packTransposed(flatMessage(from, R), R, H, H, H, transposed(messagePanels(layer, R), R));
    packTransposed(flatNode(from, R), 2 * R, H, 2 * H, H, transposed(nodePanels(layer, R), R));
    packTransposed(flatUpdate(from, R), R, H, H, H, transposed(updatePanels(layer, R), R));
  }
  const drift = flat + flatLayer(R, L);
  memory.copy(driftWeights(network, R, L), drift, 2 * R);
  v128.store(driftBias(network, R, L), v128.load_splat<f32>(drift + 2 * R));
  v128.store(driftBias(network, R, L) + 16, v128.load_splat<f32>(drift + 2 * R, 4));
  if (C == 0) return;
  packHeads(network, R, L, C, drift + 2 * R + 8);
}

/** Address of W[o][k] in the panels of packPanels. */
// @ts-ignore: decorator
@inline export function panelAt(panels: usize, K: i32, o: i32, k: i32): usize {
  return panels + (<usize>((o >> 3) * K + k) << 5) + (<usize>(o & 7) << 2);
}

/** Panels (K = 8) of W W_in, W (out, H) with row stride `ld`: layer 0 then takes the features. */
function fold(weight: usize, ld: usize, network: usize, out: i32, H: i32, panels: usize): void {
  for (let o = 0; o < out; o++) {
    for (let f = 0; f < 8; f++) {
      let sum: f64 = 0;
      for (let k = 0; k < H; k++) {
        sum += <f64>load<f32>(weight + <usize>o * ld + (<usize>k << 2)) *
          <f64>load<f32>(panelAt(inputPanel(network), 8, k, f));
      }
      store<f32>(panelAt(panels, 8, o, f), <f32>sum);
    }
  }
}

/** [W_A; W_s] as one panel of eight columns, the channels in 0-3 and the strengths in 4-7. */
function packHeads(network: usize, R: usize, L: i32, C: i32, channel: usize): void {
  const channelOnly = <usize>C * R;
  const strength = channel + channelOnly + (<usize>C << 2);
  const panel = channelPanel(network, R, L);
  const bias = channelBias(network, R, L);
  const back = channelTransposed(network, R, L);
  for (let c: usize = 0; c < <usize>C; c++) {
    store<f32>(bias + 4 * c, load<f32>(channel + channelOnly + 4 * c));
    store<f32>(bias + 16 + 4 * c, load<f32>(strength + channelOnly + 4 * c));
    for (let k: usize = 0; k < R / 4; k++) {
      const a = load<f32>(channel + c * R + 4 * k);
      const s = load<f32>(strength + c * R + 4 * k);
      store<f32>(panel + 32 * k + 4 * c, a);
      store<f32>(panel + 32 * k + 16 + 4 * c, s);
      // Panels of 8 inputs, K = 8 outputs.
      const at = back + (k / 8) * 256 + 4 * (k & 7);
      store<f32>(at + 32 * c, a);
      store<f32>(at + 32 * (c + 4), s);
    }
  }
}

/** Head of the scratch area: addresses of its parts. Rows are (edge or particle, lane), H floats. */
@unmanaged
export class EgnnScratch {
  /** Per edge of a chunk, f32x4: s, 1/(1+s²); then w_b, w_c or their adjoints. */
  geometry: usize;
  drift: usize;
  /** (N·4, 8): node features; rows of the A and s heads. */
  features: usize;
  heads: usize;
  /** (N·4, 2H): W_i h + b1, W_j h. */
  pq: usize;
  /** (N·4, 2H) per layer: h, a. */
  nodes: usize;
  /** (N·4, H) per layer. */
  u: usize;
  /** (E·4, H) per layer, or one chunk. */
  m1: usize;
  m2: usize;
  /** Bytes from one layer's nodes, u, m1 and m2 to the next; 0 when nothing is stored. */
  nodesStep: usize;
  uStep: usize;
  mStep: usize;
  // Backward only.
  dh: usize;
  dNodes: usize;
  dz: usize;
  dpq: usize;
  /** (chunk·4, H). */
  dz2: usize;
  dz1: usize;
  dHeads: usize;
  /** 8 rows of H floats: gradients of narrow matrices. */
  narrow: usize;
  /** 2 rows: gradient of w_e. */
  dwe: usize;
  /** (4H, 8): sums over states of dhᵀf (H rows), [dP dQ]ᵀf (2H) and dzᵀf of layer 0 (H). */
  folded: usize;
  /** (N, n) f32x4 that receive the gradient with respect to the positions; 0: not wanted. */
  positions: usize;
}

// Consecutive large areas are staggered, so that equal offsets in them do not share cache sets.
// @ts-ignore: decorator
@inline function next(at: usize, bytes: usize): usize { return at + ((bytes + 63) & ~63) + 192; }

/** Lays the activations from `at` on, of all layers when they are kept; returns their end. */
function layActivations(s: EgnnScratch, at: usize, N: i32, L: i32, H: i32, keep: bool): usize {
  const R = <usize>H << 2;
  const particles = <usize>N;
  const edges = <usize>(keep ? N * (N - 1) : EDGE_CHUNK);
  const layers: usize = keep ? <usize>L : 1;
  s.features = at;
  at = next(at, 4 * NARROW * particles);
  s.heads = at;
  at = next(at, 4 * NARROW * particles);
  s.nodesStep = keep ? 8 * R * particles : 0;
  s.nodes = at;
  at = next(at, 8 * R * particles * (keep ? layers + 1 : 1));
  s.uStep = keep ? 4 * R * particles : 0;
  s.u = at;
  at = next(at, 4 * R * particles * layers);
  s.mStep = keep ? 4 * R * edges : 0;
  s.m1 = at;
  at = next(at, 4 * R * edges * layers);
  s.m2 = at;
  return next(at, 4 * R * edges * layers);
}

/**
 * Fills `s` with the addresses of a scratch area that starts at `base`; returns its end. The
 * activations lie on `tape`, where they stay for the backward pass; without one (0) they lie in the
 * scratch area and each layer's overwrite the last one's.
 */
export function layScratch(
  s: EgnnScratch, base: usize, tape: usize, N: i32, L: i32, H: i32,
): usize {
  const R = <usize>H << 2;
  const particles = <usize>N;
  let at = base + ((offsetof<EgnnScratch>() + 63) & ~63);
  s.geometry = at;
  s.drift = at + 32 * EDGE_CHUNK;
  at = next(at, 64 * EDGE_CHUNK);
  s.pq = at;
  at = next(at, 8 * R * particles);
  if (!tape) return layActivations(s, at, N, L, H, false);
  layActivations(s, tape, N, L, H, true);
  s.dh = at;
  at = next(at, 4 * R * particles);
  s.dNodes = at;
  at = next(at, 8 * R * particles);
  s.dz = at;
  at = next(at, 4 * R * particles);
  s.dpq = at;
  at = next(at, 8 * R * particles);
  s.dz2 = at;
  at = next(at, 4 * R * EDGE_CHUNK);
  s.dz1 = at;
  at = next(at, 4 * R * EDGE_CHUNK);
  s.dHeads = at;
  at = next(at, 4 * NARROW * particles);
  s.narrow = at;
  at = next(at, 8 * R);
  s.dwe = at;
  at = next(at, 2 * R);
  s.folded = at;
  return next(at, 32 * R);
}

const sizes = memory.data(128);

/** Bytes of the scratch area, with a tape or without. */
export function egnnScratchBytes(N: i32, L: i32, H: i32): i32 {
  const s = changetype<EgnnScratch>(sizes);
  return <i32>max(layScratch(s, 0, 0, N, L, H), layScratch(s, 0, sizes, N, L, H));
}

/** Bytes of a tape: the activations of one evaluation of four systems. A multiple of 64. */
export function egnnTapeBytes(N: i32, L: i32, H: i32): i32 {
  return <i32>layActivations(changetype<EgnnScratch>(sizes), 0, N, L, H, true);
}

// Types of particles in the network: h_i of the input layer gets a row e of its particle's type. Layer 0
// takes its input by folded weights, so what e comes to there is folded beforehand as well: constants
// that are added to rows of particles, and sums of adjoints by type on the way back. The oracle is
// src/backends/reference/egnn.ts.
//
// Table, in bytes with R = 4H: number of types (16), type of each particle (i32, up to 16), then for
// every type 4R: e R, [W_i; W_j] e 2R, W_n's part on h times e R; then as much again for the sums.
import {
  edgePanels, EgnnNetwork, flatLayer, flatNode, layerAt, nodePanels, panelAt,
} from "./egnn_layout";

/** Parts of a type's rows, in units of R. */
// @ts-ignore: decorator
@inline export const INPUT: usize = 0;
// @ts-ignore: decorator
@inline export const EDGES: usize = 1;
// @ts-ignore: decorator
@inline export const NODES: usize = 3;

// @ts-ignore: decorator
@inline function rowsAt(table: usize, N: i32): usize {
  return table + 16 + <usize>((4 * N + 15) & ~15);
}

/** Bytes of the table of T types. */
export function egnnTypesBytes(N: i32, H: i32, T: i32): i32 {
  return <i32>rowsAt(0, N) + 2 * T * 16 * H;
}

/**
 * Writes the table and joins it to a packed network. `flat`: its parameters, those of the types last;
 * `types`: i32[N].
 */
export function egnnPackTypes(
  flat: usize, network: usize, table: usize, types: usize, T: i32,
): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const H = net.hidden;
  const R = <usize>H << 2;
  net.types = table;
  store<i32>(table, T);
  memory.copy(table + 16, types, <usize>N << 2);
  const from = flat + flatTypes(net);
  const edges = flat + flatLayer(R, 0);
  const node = flatNode(edges, R);
  let to = rowsAt(table, N);
  for (let k = 0; k < T; k++) {
    const e = from + <usize>k * R;
    memory.copy(to, e, R);
    for (let o: usize = 0; o < <usize>(2 * H); o++) {
      store<f32>(to + R + (o << 2), dot(edges + o * R, e, R));
    }
    for (let o: usize = 0; o < <usize>H; o++) {
      store<f32>(to + NODES * R + (o << 2), dot(node + o * 2 * R, e, R));
    }
    to += 4 * R;
  }
}

/** Place of the types' rows in the flat parameters: behind all else. */
function flatTypes(net: EgnnNetwork): usize {
  const R = <usize>net.hidden << 2;
  const C = <usize>net.channels;
  return flatLayer(R, net.layers) + 2 * R + 8 + 2 * C * (R + 4);
}

function dot(a: usize, b: usize, bytes: usize): f32 {
  let sum: f64 = 0;
  for (let k: usize = 0; k < bytes; k += 4) sum += <f64>load<f32>(a + k) * <f64>load<f32>(b + k);
  return <f32>sum;
}

/** rows (four for each particle, `ld` bytes apart) += the constants of their types. */
export function addTypes(net: EgnnNetwork, part: usize, rows: usize, ld: usize, width: usize): void {
  const R = <usize>net.hidden << 2;
  const first = rowsAt(net.types, net.particles) + part * R;
  for (let i: usize = 0; i < <usize>net.particles; i++) {
    const from = first + <usize>load<i32>(net.types + 16 + (i << 2)) * 4 * R;
    for (let lane = 0; lane < 4; lane++) {
      for (let k: usize = 0; k < width; k += 16) {
        v128.store(rows + k, f32x4.add(v128.load(rows + k), v128.load(from + k)));
      }
      rows += ld;
    }
  }
}

// @ts-ignore: decorator
@inline function sumsAt(net: EgnnNetwork): usize {
  const T = <usize>load<i32>(net.types);
  return rowsAt(net.types, net.particles) + T * 16 * <usize>net.hidden;
}

export function clearTypes(net: EgnnNetwork): void {
  memory.fill(sumsAt(net), 0, <usize>load<i32>(net.types) * 16 * <usize>net.hidden);
}

/** The sums of the types += adjoint rows. */
export function gatherTypes(
  net: EgnnNetwork, part: usize, rows: usize, ld: usize, width: usize,
): void {
  const R = <usize>net.hidden << 2;
  const first = sumsAt(net) + part * R;
  for (let i: usize = 0; i < <usize>net.particles; i++) {
    const to = first + <usize>load<i32>(net.types + 16 + (i << 2)) * 4 * R;
    for (let lane = 0; lane < 4; lane++) {
      for (let k: usize = 0; k < width; k += 16) {
        v128.store(to + k, f32x4.add(v128.load(to + k), v128.load(rows + k)));
      }
      rows += ld;
    }
  }
}

// @ts-ignore: decorator
@inline function addFloat(out: usize, value: f32): void {
  store<f32>(out, load<f32>(out) + value);
}

/** The sums to their factors: ∂e = s_e + Wᵀ s_W, ∂W += s_W eᵀ, for [W_i; W_j] and W_n's part on h. */
export function finishTypes(network: usize, gradient: usize): void {
  const net = changetype<EgnnNetwork>(network);
  const H = net.hidden;
  const R = <usize>H << 2;
  const layer = layerAt(network, R, 0);
  const edges = gradient + flatLayer(R, 0);
  const out = gradient + flatTypes(net);
  for (let k: usize = 0; k < <usize>load<i32>(net.types); k++) {
    const e = rowsAt(net.types, net.particles) + k * 4 * R;
    const sums = sumsAt(net) + k * 4 * R;
    const to = out + k * R;
    for (let c: usize = 0; c < R; c += 4) addFloat(to + c, load<f32>(sums + c));
    unfold(edgePanels(layer, R), H, 2 * H, H, e, sums + EDGES * R, edges, R, to);
    unfold(nodePanels(layer, R), 2 * H, H, H, e, sums + NODES * R, flatNode(edges, R), 2 * R, to);
  }
}

/** W in panels of K, (out, H) of them; ∂W to rows `ld` bytes apart, ∂e to `to`. */
function unfold(
  panels: usize, K: i32, out: i32, H: i32, e: usize, sums: usize, weights: usize, ld: usize,
  to: usize,
): void {
  for (let o = 0; o < out; o++) {
    const s = load<f32>(sums + (<usize>o << 2));
    if (s == 0) continue;
    const row = weights + <usize>o * ld;
    for (let c = 0; c < H; c++) {
      const at = <usize>c << 2;
      addFloat(row + at, s * load<f32>(e + at));
      addFloat(to + at, s * load<f32>(panelAt(panels, K, o, c)));
    }
  }
}

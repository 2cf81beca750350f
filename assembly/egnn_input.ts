// Gradient of the network's outputs with respect to the positions, for four systems: what
// egnn_backward.ts adds along the way where EgnnScratch.positions is set. Positions enter in three
// places: the vectors that b and c are made of, the edges' features and the nodes' radii. The oracle
// is src/backends/reference/egnn.ts.
import { fma, fnma } from "./simd";
import { scaledDistance } from "./egnn";
import {
  driftBias, driftWeights, edgeFeatureWeights, EgnnNetwork, EgnnScratch, foldedEdgePanels,
  foldedNodePanels, inputPanel, layerAt, NARROW, panelAt,
} from "./egnn_layout";

/** The column of the node features that depends on the positions. */
// @ts-ignore: decorator
@inline const RADIUS: i32 = 5;

// @ts-ignore: decorator
@inline function sumLanes(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

// Four numbers on their way from rows to lanes.
const GATHERED = memory.data(16, 16);

/** Σ_k weight[k] row[k] of four rows; with `tanh` ≠ 0 the rows are multiplied by 1 − tanh². */
function weighRows(rows: usize, tanh: usize, weight: usize, R: usize): v128 {
  const one = f32x4.splat(1);
  for (let lane: usize = 0; lane < 4; lane++) {
    let sum = f32x4.splat(0);
    for (let k: usize = 0; k < R; k += 16) {
      let v = v128.load(rows + lane * R + k);
      if (tanh) {
        const m = v128.load(tanh + lane * R + k);
        v = f32x4.mul(v, fnma(m, m, one));
      }
      sum = fma(v, v128.load(weight + k), sum);
    }
    store<f32>(GATHERED + 4 * lane, sumLanes(sum));
  }
  return v128.load(GATHERED);
}

/**
 * Edge (i, j) of layer l: `dm1` the adjoints of its m1, four rows, `m1` and `m2` its activations;
 * `adjoint` those of b and c, whose vectors the last layer's edges carry.
 */
export function addEdgePositions(
  network: usize, l: i32, s: EgnnScratch, x: usize, adjoint: usize, i: i32, j: i32, dm1: usize,
  m1: usize, m2: usize,
): void {
  const net = changetype<EgnnNetwork>(network);
  const n = net.dimension;
  const R = <usize>net.hidden << 2;
  const one = f32x4.splat(1);
  const weights = edgeFeatureWeights(layerAt(network, R, l), R);
  const inverseLength = f32x4.splat(1 / net.lengthScale);
  const distance = scaledDistance(x, i, j, n, inverseLength);
  const near = f32x4.div(one, f32x4.add(one, distance));
  // ∂/∂s of (s, 1/(1 + s²)).
  const g = f32x4.div(one, fma(distance, distance, one));
  const slope = f32x4.mul(f32x4.splat(-2), f32x4.mul(distance, f32x4.mul(g, g)));
  let ds = fma(
    weighRows(dm1, m1, weights + R, R), slope, weighRows(dm1, m1, weights, R),
  );
  const xi = x + (<usize>(i * n) << 4), xj = x + (<usize>(j * n) << 4);
  const out = s.positions;
  const oi = out + (<usize>(i * n) << 4), oj = out + (<usize>(j * n) << 4);
  const last = l == net.layers - 1;
  let wb = f32x4.splat(0), wc = wb;
  const db = adjoint + (<usize>(i * n) << 4);
  const dc = db + (<usize>(net.particles * n) << 4);
  if (last) {
    const drift = driftWeights(network, R, net.layers);
    const bias = driftBias(network, R, net.layers);
    wb = f32x4.add(weighRows(m2, 0, drift, R), v128.load(bias));
    wc = f32x4.add(weighRows(m2, 0, drift + R, R), v128.load(bias, 16));
    let along = f32x4.splat(0);
    for (let a: usize = 0; a < <usize>n << 4; a += 16) {
      const r = f32x4.sub(v128.load(xi + a), v128.load(xj + a));
      const d = fma(wb, v128.load(db + a), f32x4.mul(wc, v128.load(dc + a)));
      along = fma(r, d, along);
    }
    ds = fnma(along, f32x4.mul(near, near), ds);
  }
  // ds/dr = r/(s·lengthScale²).
  const radial = f32x4.div(
    f32x4.mul(ds, f32x4.mul(inverseLength, inverseLength)), distance,
  );
  for (let a: usize = 0; a < <usize>n << 4; a += 16) {
    let d = f32x4.mul(radial, f32x4.sub(v128.load(xi + a), v128.load(xj + a)));
    if (last) {
      const v = fma(wb, v128.load(db + a), f32x4.mul(wc, v128.load(dc + a)));
      d = fma(near, v, d);
    }
    v128.store(oi + a, f32x4.add(v128.load(oi + a), d));
    v128.store(oj + a, f32x4.sub(v128.load(oj + a), d));
  }
}

/** Σ over `count` outputs of column RADIUS of a K = 8 panel times a row of adjoints. */
function radiusColumn(panel: usize, count: i32, row: usize): f32 {
  let sum: f32 = 0;
  for (let o = 0; o < count; o++) {
    sum += load<f32>(panelAt(panel, 8, o, RADIUS)) * load<f32>(row + (<usize>o << 2));
  }
  return sum;
}

/** The radii, once layer 0 is done: its adjoints dpq, dz (`nodes`: whether it has them) and dh. */
export function addRadiusPositions(network: usize, s: EgnnScratch, x: usize, nodes: bool): void {
  const net = changetype<EgnnNetwork>(network);
  const N = net.particles;
  const n = net.dimension;
  const H = net.hidden;
  const R = <usize>H << 2;
  const inverse = f32x4.splat(1 / (net.lengthScale * net.lengthScale));
  const share = f32x4.splat(1 / <f32>N);
  for (let i = 0; i < N; i++) {
    let radii = f32x4.splat(0);
    for (let lane: usize = 0; lane < 4; lane++) {
      const row = 4 * <usize>i + lane;
      let sum = radiusColumn(foldedEdgePanels(network, R), 2 * H, s.dpq + row * 2 * R) +
        radiusColumn(inputPanel(network), H, s.dh + row * R);
      if (nodes) sum += radiusColumn(foldedNodePanels(network, R), H, s.dz + row * R);
      store<f32>(GATHERED + 4 * lane, sum);
    }
    const d = v128.load(GATHERED);
    for (let lane: usize = 0; lane < 4; lane++) {
      const feature = s.features + (4 * <usize>i + lane) * NARROW + 4 * RADIUS;
      store<f32>(GATHERED + 4 * lane, load<f32>(feature));
    }
    radii = f32x4.div(f32x4.mul(d, inverse), v128.load(GATHERED));
    for (let a: usize = 0; a < <usize>n << 4; a += 16) {
      const anchor = <usize>(max(net.anchored - 1, 0) * n) << 4;
      let origin = v128.load(x + anchor + a);
      if (!net.anchored) {
        origin = v128.load(x + a);
        for (let k = 1; k < N; k++) {
          origin = f32x4.add(origin, v128.load(x + (<usize>(k * n) << 4) + a));
        }
        origin = f32x4.mul(origin, share);
      }
      const at = (<usize>(i * n) << 4) + a;
      const pull = f32x4.mul(radii, f32x4.sub(v128.load(x + at), origin));
      const to = s.positions + at;
      v128.store(to, f32x4.add(v128.load(to), pull));
      // The origin moves with the anchor, or with all particles.
      const back = net.anchored ? pull : f32x4.mul(pull, share);
      for (let k = 0; k < (net.anchored ? 1 : N); k++) {
        const p = s.positions + (net.anchored ? anchor : <usize>(k * n) << 4) + a;
        v128.store(p, f32x4.sub(v128.load(p), back));
      }
    }
  }
}

/**
 * The network in float64, written for clarity: the oracle of assembly/egnn.ts.
 *
 * Invariant message passing on the complete graph of N particles with L layers of H units, tanh
 * throughout (in the spirit of Satorras, Hoogeboom and Welling, "E(n) equivariant graph neural
 * networks", 2021, with the equivariant outputs taken once, from the last layer's messages).
 * With r_ij = x_i − x_j, s_ij = √(|r_ij|² + 1e-12) / lengthScale, e_ij = (s_ij, 1 / (1 + s_ij²)):
 *
 *   h_i   = W_in f_i + b_in (+ e_type(i))               f: time, radius and anchor flag (7 numbers)
 *   each layer:
 *   m1_ij = tanh(W_i h_i + W_j h_j + W_e e_ij + b_1)    edge.*
 *   m2_ij = tanh(W_2 m1_ij + b_2)                       message.*
 *   a_i   = Σ_{j≠i} m2_ij / √N
 *   u_i   = tanh(W_n [h_i, a_i] + b_n)                  node.*
 *   h_i  += W_o u_i + b_o                               update.*
 *   heads:
 *   (w^b_ij, w^c_ij) = W_bc m2_ij + b_bc                heads.drift.*, m2 of the last layer
 *   b_i   = Σ_{j≠i} w^b_ij r_ij / (1 + s_ij),  c_i alike with w^c
 *   h^A_i = tanh(W_A h_i + b_A)                         heads.channel.*
 *   s_c   = mean_i (W_s h_i + b_s)_c                    heads.strength.*
 *
 * w^b, w^c and s are multiplied by the shape's outputScale.
 */
import { egnnLayout, type EgnnOutput, egnnOutput, egnnTensors } from "../../julep/egnn.ts";
import type { NetworkShape } from "../../julep/model.ts";

/** Keeps distances differentiable where particles coincide; length². */
const SMOOTHING = 1e-12;

/** y += W x for W (rows, x.length) row-major. */
function addProduct(weight: Float64Array, x: Float64Array, y: Float64Array): void {
  for (let o = 0; o < y.length; o++) {
    let sum = 0;
    for (let k = 0; k < x.length; k++) sum += weight[o * x.length + k] * x[k];
    y[o] += sum;
  }
}

/** The adjoint of y = W x: dx += Wᵀ dy, dW += dy xᵀ. */
function addProductAdjoint(
  weight: Float64Array,
  x: Float64Array,
  dy: Float64Array,
  dx: Float64Array | null,
  dWeight: Float64Array,
): void {
  for (let o = 0; o < dy.length; o++) {
    for (let k = 0; k < x.length; k++) {
      if (dx) dx[k] += weight[o * x.length + k] * dy[o];
      dWeight[o * x.length + k] += dy[o] * x[k];
    }
  }
}

function add(x: Float64Array, y: Float64Array): void {
  for (let k = 0; k < y.length; k++) y[k] += x[k];
}

function tanhInPlace(y: Float64Array): Float64Array {
  for (let k = 0; k < y.length; k++) y[k] = Math.tanh(y[k]);
  return y;
}

/** dy · (1 − y²) for y = tanh(z). */
function tanhAdjoint(y: Float64Array, dy: Float64Array): Float64Array {
  return dy.map((d, k) => d * (1 - y[k] * y[k]));
}

interface Edge {
  readonly i: number;
  readonly j: number;
  /** (s, 1 / (1 + s²)). */
  readonly features: Float64Array;
  /** (x_i − x_j) / (1 + s). */
  readonly vector: Float64Array;
}

/** Directed edges (i, j), i-major, j ascending. */
function edgesOf(shape: NetworkShape, x: Float64Array): Edge[] {
  const { particles: N, dimension: n, lengthScale } = shape;
  const edges: Edge[] = [];
  for (let i = 0; i < N; i++) {
    for (let j = 0; j < N; j++) {
      if (j === i) continue;
      const vector = new Float64Array(n);
      let squared = SMOOTHING;
      for (let a = 0; a < n; a++) {
        vector[a] = x[i * n + a] - x[j * n + a];
        squared += vector[a] ** 2;
      }
      const s = Math.sqrt(squared) / lengthScale;
      for (let a = 0; a < n; a++) vector[a] /= 1 + s;
      edges.push({ i, j, features: Float64Array.of(s, 1 / (1 + s * s)), vector });
    }
  }
  return edges;
}

/** The anchor, or the mean of all particles. */
function originOf(shape: NetworkShape, x: Float64Array): Float64Array {
  const { particles: N, dimension: n, anchored, anchor = 0 } = shape;
  const origin = new Float64Array(n);
  for (let a = 0; a < n; a++) {
    if (anchored) origin[a] = x[anchor * n + a];
    else for (let i = 0; i < N; i++) origin[a] += x[i * n + a] / N;
  }
  return origin;
}

function nodeFeatures(shape: NetworkShape, x: Float64Array, t: number): Float64Array[] {
  const { particles: N, dimension: n, lengthScale, anchored, anchor = 0 } = shape;
  const origin = originOf(shape, x);
  const angle = Math.PI * t;
  return Array.from({ length: N }, (_, i) => {
    let squared = SMOOTHING;
    for (let a = 0; a < n; a++) squared += (x[i * n + a] - origin[a]) ** 2;
    return Float64Array.of(
      t,
      Math.sin(angle),
      Math.cos(angle),
      Math.sin(2 * angle),
      Math.cos(2 * angle),
      Math.sqrt(squared) / lengthScale,
      anchored && i === anchor ? 1 : 0,
    );
  });
}

/** Everything the backward pass reads again. */
interface Tape {
  readonly edges: Edge[];
  readonly features: Float64Array[];
  /** nodes[l][i] = [h_i, a_i] at the entry of layer l; nodes[L][i] = [h_i] after the last. */
  readonly nodes: Float64Array[][];
  /** Per layer and edge. */
  readonly m1: Float64Array[][];
  readonly m2: Float64Array[][];
  /** Per layer and particle. */
  readonly u: Float64Array[][];
}

type Tensors = Record<string, Float64Array>;

/** e_type(i), or its gradient. */
function typeRow({ types, hidden: H }: NetworkShape, tensors: Tensors, i: number): Float64Array {
  return tensors["input.types"].subarray(types![i] * H, (types![i] + 1) * H);
}

function run(shape: NetworkShape, p: Tensors, x: Float64Array, t: number, out: EgnnOutput): Tape {
  const { particles: N, dimension: n, layers, hidden: H, channels: C, outputScale = 1 } = shape;
  const edges = edgesOf(shape, x);
  const features = nodeFeatures(shape, x, t);
  const tape: Tape = { edges, features, nodes: [], m1: [], m2: [], u: [] };

  let h = features.map((f, i) => {
    const y = p["input.bias"].slice();
    addProduct(p["input.weight"], f, y);
    if (shape.types) add(typeRow(shape, p, i), y);
    return y;
  });
  for (let l = 0; l < layers; l++) {
    const at = (name: string) => p[`layers.${l}.${name}`];
    const nodes = h.map((hi) => {
      const node = new Float64Array(2 * H);
      node.set(hi);
      return node;
    });
    const m1 = edges.map(({ i, j, features }) => {
      const y = at("edge.bias").slice();
      addProduct(at("edge.weight_i"), h[i], y);
      addProduct(at("edge.weight_j"), h[j], y);
      addProduct(at("edge.weight_e"), features, y);
      return tanhInPlace(y);
    });
    const m2 = edges.map(({ i }, e) => {
      const y = at("message.bias").slice();
      addProduct(at("message.weight"), m1[e], y);
      tanhInPlace(y);
      for (let k = 0; k < H; k++) nodes[i][H + k] += y[k] / Math.sqrt(N);
      return y;
    });
    const u = nodes.map((node) => {
      const y = at("node.bias").slice();
      addProduct(at("node.weight"), node, y);
      return tanhInPlace(y);
    });
    h = h.map((hi, i) => {
      const y = hi.slice();
      add(at("update.bias"), y);
      addProduct(at("update.weight"), u[i], y);
      return y;
    });
    tape.nodes.push(nodes);
    tape.m1.push(m1);
    tape.m2.push(m2);
    tape.u.push(u);
  }
  tape.nodes.push(h);

  out.b.fill(0);
  out.c.fill(0);
  edges.forEach(({ i, vector }, e) => {
    const w = p["heads.drift.bias"].slice();
    addProduct(p["heads.drift.weight"], tape.m2[layers - 1][e], w);
    for (let a = 0; a < n; a++) {
      out.b[i * n + a] += outputScale * w[0] * vector[a];
      out.c[i * n + a] += outputScale * w[1] * vector[a];
    }
  });
  if (C > 0) {
    out.s.fill(0);
    h.forEach((hi, i) => {
      const channel = p["heads.channel.bias"].slice();
      addProduct(p["heads.channel.weight"], hi, channel);
      out.h.set(tanhInPlace(channel), i * C);
      const strength = p["heads.strength.bias"].slice();
      addProduct(p["heads.strength.weight"], hi, strength);
      for (let c = 0; c < C; c++) out.s[c] += outputScale * strength[c] / N;
    });
  }
  return tape;
}

/**
 * Evaluates the network at positions x (N·n) and time t; overwrites `out`.
 *
 * @param parameters flat, in the order of `egnnLayout`
 */
export function egnnForward(
  shape: NetworkShape,
  parameters: Float64Array,
  x: Float64Array,
  t: number,
  out: EgnnOutput,
): void {
  run(shape, egnnTensors(egnnLayout(shape), parameters), x, t, out);
}

/**
 * Adds to `gradient` (flat, like `parameters`) the gradient of
 * ⟨adjoint.b, b⟩ + ⟨adjoint.c, c⟩ + ⟨adjoint.h, h⟩ + ⟨adjoint.s, s⟩ with respect to the parameters.
 * Adds the gradient with respect to the positions to `inputGradient` (N·n) where it is given.
 */
export function egnnBackward(
  shape: NetworkShape,
  parameters: Float64Array,
  x: Float64Array,
  t: number,
  adjoint: EgnnOutput,
  gradient: Float64Array,
  inputGradient?: Float64Array,
): void {
  const { particles: N, dimension: n, layers, hidden: H, channels: C, outputScale = 1 } = shape;
  const layout = egnnLayout(shape);
  const p = egnnTensors(layout, parameters);
  const g = egnnTensors(layout, gradient);
  const out = egnnOutput(shape);
  const tape = run(shape, p, x, t, out);
  const { edges, features } = tape;

  // Heads: adjoints of the last layer's messages and of the last h.
  const dw = edges.map(({ i, vector }) => {
    const d = new Float64Array(2);
    for (let a = 0; a < n; a++) {
      d[0] += outputScale * adjoint.b[i * n + a] * vector[a];
      d[1] += outputScale * adjoint.c[i * n + a] * vector[a];
    }
    return d;
  });
  const dh = Array.from({ length: N }, () => new Float64Array(H));
  /** Adjoints of every edge's features (s, 1 / (1 + s²)). */
  const dFeatures = edges.map(() => new Float64Array(2));
  if (C > 0) {
    const dStrength = adjoint.s.map((d) => outputScale * d / N);
    tape.nodes[layers].forEach((hi, i) => {
      const y = out.h.subarray(i * C, (i + 1) * C);
      const dChannel = tanhAdjoint(y, adjoint.h.subarray(i * C, (i + 1) * C));
      addProductAdjoint(p["heads.channel.weight"], hi, dChannel, dh[i], g["heads.channel.weight"]);
      add(dChannel, g["heads.channel.bias"]);
      addProductAdjoint(
        p["heads.strength.weight"],
        hi,
        dStrength,
        dh[i],
        g["heads.strength.weight"],
      );
      add(dStrength, g["heads.strength.bias"]);
    });
  }

  for (let l = layers - 1; l >= 0; l--) {
    const at = (tensors: Tensors, name: string) => tensors[`layers.${l}.${name}`];
    const nodes = tape.nodes[l];
    // dh[i] is the adjoint of h after the layer, and passes unchanged to h before it.
    const dNodes = nodes.map((node, i) => {
      const du = new Float64Array(H);
      addProductAdjoint(
        at(p, "update.weight"),
        tape.u[l][i],
        dh[i],
        du,
        at(g, "update.weight"),
      );
      add(dh[i], at(g, "update.bias"));
      const dz = tanhAdjoint(tape.u[l][i], du);
      const dNode = new Float64Array(2 * H);
      addProductAdjoint(at(p, "node.weight"), node, dz, dNode, at(g, "node.weight"));
      add(dz, at(g, "node.bias"));
      return dNode;
    });
    dNodes.forEach((dNode, i) => add(dNode.subarray(0, H), dh[i]));
    edges.forEach(({ i, j, features }, e) => {
      const m1 = tape.m1[l][e], m2 = tape.m2[l][e];
      const dm2 = dNodes[i].subarray(H).map((d) => d / Math.sqrt(N));
      if (l === layers - 1) {
        addProductAdjoint(p["heads.drift.weight"], m2, dw[e], dm2, g["heads.drift.weight"]);
        add(dw[e], g["heads.drift.bias"]);
      }
      const dz2 = tanhAdjoint(m2, dm2);
      const dm1 = new Float64Array(H);
      addProductAdjoint(at(p, "message.weight"), m1, dz2, dm1, at(g, "message.weight"));
      add(dz2, at(g, "message.bias"));
      const dz1 = tanhAdjoint(m1, dm1);
      // The h of this layer's entry is the first half of nodes[i].
      const hi = nodes[i].subarray(0, H), hj = nodes[j].subarray(0, H);
      addProductAdjoint(at(p, "edge.weight_i"), hi, dz1, dh[i], at(g, "edge.weight_i"));
      addProductAdjoint(at(p, "edge.weight_j"), hj, dz1, dh[j], at(g, "edge.weight_j"));
      addProductAdjoint(
        at(p, "edge.weight_e"),
        features,
        dz1,
        dFeatures[e],
        at(g, "edge.weight_e"),
      );
      add(dz1, at(g, "edge.bias"));
    });
  }
  const dNodeFeatures = features.map((f, i) => {
    const d = new Float64Array(f.length);
    addProductAdjoint(p["input.weight"], f, dh[i], d, g["input.weight"]);
    add(dh[i], g["input.bias"]);
    if (shape.types) add(dh[i], typeRow(shape, g, i));
    return d;
  });
  if (!inputGradient) return;
  addPositionGradient(shape, p, tape, x, adjoint, dFeatures, dNodeFeatures, inputGradient);
}

/** Through the three places where positions enter: edge vectors, edge features, radii. */
function addPositionGradient(
  shape: NetworkShape,
  p: Tensors,
  tape: Tape,
  x: Float64Array,
  adjoint: EgnnOutput,
  dFeatures: readonly Float64Array[],
  dNodeFeatures: readonly Float64Array[],
  out: Float64Array,
): void {
  const { particles: N, dimension: n, layers, lengthScale, anchored, anchor = 0 } = shape;
  const { outputScale = 1 } = shape;
  tape.edges.forEach(({ i, j, features: [s], vector }, e) => {
    const w = p["heads.drift.bias"].slice();
    addProduct(p["heads.drift.weight"], tape.m2[layers - 1][e], w);
    // vector = r / (1 + s); features (s, 1 / (1 + s²)); ds/dr = r / (s·lengthScale²).
    let ds = dFeatures[e][0] - dFeatures[e][1] * 2 * s / (1 + s * s) ** 2;
    const dVector = new Float64Array(n);
    for (let a = 0; a < n; a++) {
      dVector[a] = outputScale *
        (w[0] * adjoint.b[i * n + a] + w[1] * adjoint.c[i * n + a]);
      ds -= dVector[a] * vector[a] / (1 + s);
    }
    for (let a = 0; a < n; a++) {
      const r = vector[a] * (1 + s);
      const d = dVector[a] / (1 + s) + ds * r / (s * lengthScale ** 2);
      out[i * n + a] += d;
      out[j * n + a] -= d;
    }
  });
  const origin = originOf(shape, x);
  dNodeFeatures.forEach((d, i) => {
    const radius = tape.features[i][5];
    for (let a = 0; a < n; a++) {
      const g = d[5] * (x[i * n + a] - origin[a]) / (radius * lengthScale ** 2);
      out[i * n + a] += g;
      if (anchored) out[anchor * n + a] -= g;
      else for (let k = 0; k < N; k++) out[k * n + a] -= g / N;
    }
  });
}

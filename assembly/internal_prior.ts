// log q of a molecule's prior in internal coordinates, one molecule at a time: lanes stand in different
// basins, so four rows of a matrix are side by side instead. A Laplace mixture, or a torsion grid whose
// cell is the one component that counts; both are means over all relabellings of rotors, and of those
// only the ones that add anything in float32 are worked out. The oracles are
// src/mint/molecule/laplace.ts and torsion_grid.ts; packed by src/backends/wasm/internal_prior.ts.
import { fma } from "./simd";
import { exp4, log4 } from "./math";

/** What the host writes, field by field, 4 bytes each. */
@unmanaged
export class InternalPrior {
  /** Local coordinates (all that the normal densities are of), those in `lead` first. */
  locals: i32;
  /** i32[2] a local: its place in z, 1 for a dihedral (the shorter way round). */
  places: usize;
  /** Torsions with a density of their own (the grid's, or a mixture's soft ones), then rotors. */
  soft: i32;
  rotors: i32;
  /** i32[10] a rotor: ends, local bonds (3), angles (3), dihedrals (3). */
  rotorTable: usize;
  /** Grid: torsions, cells and sub-cells along each, their places in z (i32), log density of a sub-cell
   * (f32). Mixture: 0 torsions. */
  axes: i32;
  cells: i32;
  subcells: i32;
  axisPlaces: usize;
  table: usize;
  /** f32[stride] a component: log weight and norm, unused (3), torsions at the cell's centre (4), variance
   * of each part's stretched coordinate (8), means (padded to 4), response (padded), panels of L⁻¹. */
  components: i32;
  stride: i32;
  data: usize;
  /** Offsets in a component, in f32. */
  response: i32;
  panels: i32;
  /** f32[4] a part: log weight and widening, 1/w², stretched local (−1: none), 1 − 1/factor². */
  parts: i32;
  partTable: usize;
  /** scratch: see internalPriorScratch. */
  scratch: usize;
}

// @ts-ignore: decorator
@inline const PI: f32 = 3.14159265;
// @ts-ignore: decorator
@inline const TWO_PI: f32 = 6.28318531;
/** e^−17 of the largest term is lost in float32. */
// @ts-ignore: decorator
@inline const NEGLIGIBLE: f32 = 17;
// @ts-ignore: decorator
@inline const MOST_ROTORS: i32 = 8;
// @ts-ignore: decorator
@inline const TERMS: i32 = 32;
// @ts-ignore: decorator
@inline const CENTRE: usize = 16; // bytes before the torsions at the centre
// @ts-ignore: decorator
@inline const VARIANCES: usize = 32;
// @ts-ignore: decorator
@inline const MEANS: usize = 64;

const BUFFER = memory.data(32 * 4, 16);
// Sum of the terms so far, as e^{top} · total; terms that wait in BUFFER; the largest term seen.
let top: f32 = 0;
let total: f32 = 0;
let waiting: i32 = 0;
let largest: f32 = 0;
// i32[3] a rotor: its relabellings, nearest first.
const ORDER = memory.data(MOST_ROTORS * 12, 16);
const SHIFTS = memory.data(4 * 4, 16);

// @ts-ignore: decorator
@inline function wrap(a: f32): f32 {
  return a - TWO_PI * Mathf.floor(a * (1 / TWO_PI) + 0.5);
}

// @ts-ignore: decorator
@inline function padded(count: i32): i32 { return (count + 3) & ~3; }

/** Bytes of the scratch: the displacement; the rotors' own under every relabelling. */
export function internalPriorScratch(locals: i32): i32 {
  return 4 * padded(locals) + MOST_ROTORS * 3 * 9 * 4;
}

function flush(): void {
  if (waiting == 0 || largest == -Infinity) {
    waiting = 0;
    return;
  }
  for (; waiting & 3; waiting++) store<f32>(BUFFER + (<usize>waiting << 2), -Infinity);
  if (largest > top) {
    const factor = exp4(f32x4.splat(top - largest));
    total *= f32x4.extract_lane(factor, 0);
    top = largest;
  }
  const shift = f32x4.splat(top);
  let sum = f32x4.splat(0);
  for (let k = 0; k < waiting; k += 4) {
    sum = f32x4.add(sum, exp4(f32x4.sub(v128.load(BUFFER + (<usize>k << 2)), shift)));
  }
  total += horizontal(sum);
  waiting = 0;
}

// @ts-ignore: decorator
@inline function horizontal(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/** The terms of all parts of a component at squared length |L⁻¹d|². */
function addTerms(prior: InternalPrior, component: usize, base: f32, square: f32, d: usize): void {
  if (waiting + prior.parts > TERMS) flush();
  for (let p = 0; p < prior.parts; p++) {
    const term = base + partTerm(prior, component, p, square, d);
    store<f32>(BUFFER + (<usize>waiting << 2), term);
    waiting++;
    if (term > largest) largest = term;
  }
}

/**
 * A part's exponent and weight. A density stretched by f along coordinate b and its response has
 * |L⁻¹d|² − (1 − 1/f²) d_b²/Σ_bb for its square.
 */
// @ts-ignore: decorator
@inline function partTerm(
  prior: InternalPrior, component: usize, p: i32, square: f32, d: usize,
): f32 {
  const part = prior.partTable + (<usize>p << 4);
  const stretched = <i32>load<f32>(part, 8);
  if (stretched >= 0) {
    const along = load<f32>(d + (<usize>stretched << 2));
    const variance = load<f32>(component + VARIANCES + (<usize>p << 2));
    square -= load<f32>(part, 12) * along * along / variance;
  }
  return load<f32>(part) - <f32>0.5 * square * load<f32>(part, 4);
}

/**
 * Whether some part of a component can still add something: `square` is that of the first `known` local
 * coordinates, and no more than that of all.
 */
function matters(
  prior: InternalPrior, component: usize, base: f32, square: f32, d: usize, known: i32,
): bool {
  const level = largest - NEGLIGIBLE - base;
  for (let p = 0; p < prior.parts; p++) {
    const part = prior.partTable + (<usize>p << 4);
    if (<i32>load<f32>(part, 8) < known) {
      if (partTerm(prior, component, p, square, d) > level) return true;
    } else {
      // Stretched along what is not known yet: by no more than its factor.
      const least = square * (1 - load<f32>(part, 12));
      if (load<f32>(part) - <f32>0.5 * least * load<f32>(part, 4) > level) return true;
    }
  }
  return false;
}

/** Row i of L⁻¹ times d. */
// @ts-ignore: decorator
@inline function rowTimes(panels: usize, i: i32, d: usize): f32 {
  const p = i >> 2;
  // Panels of 4, 8, ... columns stand before it.
  let at = panels + (<usize>(2 * p * (p + 1)) << 4) + (<usize>(i & 3) << 2);
  let sum: f32 = 0;
  for (let k = 0; k <= i; k++, at += 16) sum += load<f32>(at) * load<f32>(d + (<usize>k << 2));
  return sum;
}

/** Terms of a component at d, unless the first rows of L⁻¹d show that they add nothing. */
function addImage(prior: InternalPrior, component: usize, base: f32): void {
  const locals = prior.locals;
  const d = prior.scratch;
  let panels = component + (<usize>prior.panels << 2);
  let square = f32x4.splat(0);
  for (let rows = 4; rows < locals + 4; rows += 4) {
    if ((rows & 15) == 0 && !matters(prior, component, base, horizontal(square), d, rows - 4)) return;
    let a = f32x4.splat(0), b = a, c = a, e = a;
    for (let k = 0; k < rows; k += 4, panels += 64) {
      const at = d + (<usize>k << 2);
      a = fma(v128.load(panels), v128.load_splat<f32>(at), a);
      b = fma(v128.load(panels, 16), v128.load_splat<f32>(at, 4), b);
      c = fma(v128.load(panels, 32), v128.load_splat<f32>(at, 8), c);
      e = fma(v128.load(panels, 48), v128.load_splat<f32>(at, 12), e);
    }
    const row = f32x4.add(f32x4.add(a, b), f32x4.add(c, e));
    square = fma(row, row, square);
  }
  addTerms(prior, component, base, horizontal(square), d);
}

/** z_k less the component's mean and its response, for local coordinate i and a value of it. */
// @ts-ignore: decorator
@inline function displacement(prior: InternalPrior, component: usize, i: i32, value: f32): f32 {
  let d = value - load<f32>(component + MEANS + (<usize>i << 2));
  const axes = prior.axes;
  const response = component + (<usize>(prior.response + i * axes) << 2);
  for (let axis = 0; axis < axes; axis++) {
    d -= load<f32>(response + (<usize>axis << 2)) * load<f32>(SHIFTS + (<usize>axis << 2));
  }
  return load<i32>(prior.places + (<usize>i << 3), 4) ? wrap(d) : d;
}

// @ts-ignore: decorator
@inline function localValue(prior: InternalPrior, z: usize, i: i32): f32 {
  return load<f32>(z + (<usize>load<i32>(prior.places + (<usize>i << 3)) << 4));
}

/** Displacements of rotor r after `steps` relabellings, to out: bonds, angles, dihedrals. */
// @ts-ignore: decorator
@inline function relabelled(
  prior: InternalPrior, component: usize, r: i32, steps: i32, z: usize, out: usize,
): void {
  const rotor = prior.rotorTable + <usize>r * 40;
  const ends = load<i32>(rotor);
  const turn = <f32>steps * TWO_PI / <f32>ends;
  const bonds = rotor + 4, angles = rotor + 16, dihedrals = rotor + 28;
  const base: f32 = steps == 0
    ? 0
    : localValue(prior, z, load<i32>(dihedrals + (<usize>steps << 2)));
  for (let e = 0; e < ends; e++) {
    let from = e + steps;
    if (from >= ends) from -= ends;
    const at = <usize>e << 2, source = <usize>from << 2;
    store<f32>(
      out + at,
      displacement(prior, component, load<i32>(bonds + at), localValue(prior, z, load<i32>(bonds + source))),
    );
    store<f32>(
      out + 12 + at,
      displacement(prior, component, load<i32>(angles + at), localValue(prior, z, load<i32>(angles + source))),
    );
    const local = load<i32>(dihedrals + at);
    let value: f32;
    if (e == 0) value = localValue(prior, z, local) + turn;
    else value = (from == 0 ? <f32>0 : localValue(prior, z, load<i32>(dihedrals + source))) - base;
    store<f32>(out + 24 + at, displacement(prior, component, local, value));
  }
}

/** All images of a component whose rotors before r are chosen; `square` is that of what is. */
function descend(prior: InternalPrior, component: usize, base: f32, r: i32, square: f32): void {
  const d = prior.scratch;
  const locals = prior.locals;
  const panels = component + (<usize>prior.panels << 2);
  if (r == prior.rotors) {
    addImage(prior, component, base);
    return;
  }
  const own = d + (<usize>padded(locals) << 2) + <usize>(3 * r) * 36;
  const rotor = prior.rotorTable + <usize>r * 40;
  const ends = load<i32>(rotor);
  const row = prior.soft + r;
  for (let digit = 0; digit < ends; digit++) {
    const from = own + <usize>load<i32>(ORDER + <usize>r * 12 + (<usize>digit << 2)) * 36;
    for (let kind: usize = 0; kind < 36; kind += 12) {
      for (let e = 0; e < ends; e++) {
        const at = kind + (<usize>e << 2);
        store<f32>(d + (<usize>load<i32>(rotor + 4 + at) << 2), load<f32>(from + at));
      }
    }
    const length = rowTimes(panels, row, d);
    const next = square + length * length;
    if (matters(prior, component, base, next, d, row + 1)) {
      descend(prior, component, base, r + 1, next);
    }
  }
}

/** Displacements of the soft torsions from a component's mean; the square of theirs. */
function leading(prior: InternalPrior, component: usize, z: usize): f32 {
  const d = prior.scratch;
  const panels = component + (<usize>prior.panels << 2);
  let square: f32 = 0;
  for (let i = 0; i < prior.soft; i++) {
    store<f32>(d + (<usize>i << 2), displacement(prior, component, i, localValue(prior, z, i)));
    const row = rowTimes(panels, i, d);
    square += row * row;
  }
  return square;
}

/** All images of one component. `z` is one lane of a block. */
function addComponent(prior: InternalPrior, component: usize, offset: f32, z: usize): void {
  const d = prior.scratch;
  const locals = prior.locals;
  const base = offset + load<f32>(component);
  const soft = prior.soft;
  const square = leading(prior, component, z);
  if (soft > 0 && !matters(prior, component, base, square, d, soft)) return;
  const rotors = prior.rotors;
  for (let i = soft + rotors; i < locals; i++) {
    store<f32>(d + (<usize>i << 2), displacement(prior, component, i, localValue(prior, z, i)));
  }
  const own = d + (<usize>padded(locals) << 2);
  for (let r = 0; r < rotors; r++) {
    const ends = load<i32>(prior.rotorTable + <usize>r * 40);
    const order = ORDER + <usize>r * 12;
    const atR = own + <usize>(3 * r) * 36;
    for (let s = 0; s < ends; s++) {
      relabelled(prior, component, r, s, z, atR + <usize>s * 36);
      // Nearest first, by χ's displacement.
      const turn = Mathf.abs(load<f32>(atR + <usize>s * 36, 24));
      let to = s;
      for (; to > 0; to--) {
        const other = load<i32>(order + (<usize>(to - 1) << 2));
        if (Mathf.abs(load<f32>(atR + <usize>other * 36, 24)) <= turn) break;
        store<i32>(order + (<usize>to << 2), other);
      }
      store<i32>(order + (<usize>to << 2), s);
    }
  }
  descend(prior, component, base, 0, square);
}

/** log q of one molecule; z is the address of its lane of a block (strides of 16 bytes). */
export function internalLogDensity(prior: InternalPrior, z: usize): f32 {
  top = -Infinity;
  largest = -Infinity;
  total = 0;
  waiting = 0;
  const stride = <usize>prior.stride << 2;
  const axes = prior.axes;
  if (axes == 0) {
    // The likeliest first, so that the others are soon known to be negligible.
    let best = 0;
    let highest: f32 = -Infinity;
    for (let k = 0; k < prior.components; k++) {
      const component = prior.data + <usize>k * stride;
      const rank = load<f32>(component) - <f32>0.5 * leading(prior, component, z);
      if (rank > highest) {
        highest = rank;
        best = k;
      }
    }
    addComponent(prior, prior.data + <usize>best * stride, 0, z);
    for (let k = 0; k < prior.components; k++) {
      if (k != best) addComponent(prior, prior.data + <usize>k * stride, 0, z);
    }
  } else {
    const cells = prior.cells, subcells = prior.subcells;
    const fine = cells * subcells;
    let cell = 0, sub = 0, cellStride = 1, subStride = 1;
    for (let axis = 0; axis < axes; axis++) {
      const place = load<i32>(prior.axisPlaces + (<usize>axis << 2));
      const turn = (wrap(load<f32>(z + (<usize>place << 4))) + PI) * (1 / TWO_PI);
      const f = max(0, min(fine - 1, <i32>Mathf.floor(turn * <f32>fine)));
      sub += f * subStride;
      cell += (f / subcells) * cellStride;
      subStride *= fine;
      cellStride *= cells;
    }
    const component = prior.data + <usize>cell * stride;
    for (let axis: usize = 0; axis < <usize>axes; axis++) {
      const place = load<i32>(prior.axisPlaces + (axis << 2));
      const centre = load<f32>(component + CENTRE + (axis << 2));
      store<f32>(SHIFTS + (axis << 2), wrap(load<f32>(z + (<usize>place << 4)) - centre));
    }
    addComponent(prior, component, load<f32>(prior.table + (<usize>sub << 2)), z);
  }
  flush();
  if (!(total > 0)) return -Infinity;
  return top + f32x4.extract_lane(log4(f32x4.splat(total)), 0);
}

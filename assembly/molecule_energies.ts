// Energy over kT and gradient of a block of four molecules (lane = system): bonds, angles, torsions,
// Coulomb and Lennard-Jones over all pairs, OBC generalised Born solvation. The formulas are those of
// src/systems/molecule/, the tables those of src/systems/molecule/packed.ts (scratch behind them).
import { fma, fnma } from "./simd";
import { exp4, log4, tanh4 } from "./math";
import {
  addForce, angleEnergies, atomAt, bondEnergies, numberAt, torsionEnergies,
} from "./molecule_geometry";

// 0 one, 1 one half, 2 one quarter, 3 one eighth, 4 three, 5 six, 6 twelve.
const CONSTANTS = memory.data<f32>([
  1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125,
  3, 3, 3, 3, 6, 6, 6, 6, 12, 12, 12, 12,
], 16);
// Energies of the block at hand: bonds, angles, torsions, nonbonded, solvent.
const TERMS = memory.data(5 * 16, 16);
// Soft core at hand (src/systems/molecule/soften.ts): α (1 − t)² or 1 − t, c, t, one sixth.
const SOFT = memory.data(4 * 16, 16);
// 0 nothing is softened, 1 shifted, 2 beutler.
let softKind: i32 = 0;
// u′/r of the pair at hand.
const SLOPE = memory.data(16, 16);

// @ts-ignore: decorator
@inline function constant(k: usize): v128 {
  return v128.load(CONSTANTS + (k << 4));
}

// @ts-ignore: decorator
@inline const ATOM: usize = 48; // bytes of one atom
// @ts-ignore: decorator
@inline const PAIR: usize = 16; // bytes of one pair's row
// @ts-ignore: decorator
@inline const BORN: usize = 28; // bytes of one atom's row in the Born table
// Scratch of a pair: r² (later the slope u′/r), 1/r, and ∂I_i/∂r/r, ∂I_j/∂r/r.
// @ts-ignore: decorator
@inline const SCRATCH: usize = 64;
// Scratch of an atom: I, then B; ∂B/∂I; ∂E/∂B, then their product; 1/B.
// @ts-ignore: decorator
@inline const ATOM_SCRATCH: usize = 64;

/** Energy of a pair without solvent, added; slope ← u′/r. */
// @ts-ignore: decorator
@inline function pairEnergy(row: usize, inverse: v128, energy: v128): v128 {
  const inverse2 = f32x4.mul(inverse, inverse);
  const inverse6 = f32x4.mul(f32x4.mul(inverse2, inverse2), inverse2);
  const electrostatic = f32x4.mul(numberAt(row, 1), inverse);
  // A r⁻⁶ first: an excluded pair (A = 0) stays zero where r⁻¹² overflows.
  const repulsion = f32x4.mul(f32x4.mul(numberAt(row, 2), inverse6), inverse6);
  const attraction = f32x4.mul(numberAt(row, 3), inverse6);
  v128.store(
    SLOPE,
    f32x4.mul(
      fnma(constant(6), repulsion, f32x4.sub(f32x4.mul(constant(5), attraction), electrostatic)),
      inverse2,
    ),
  );
  return f32x4.add(energy, f32x4.add(f32x4.sub(repulsion, attraction), electrostatic));
}
// @ts-ignore: decorator
@inline function soft(k: usize): v128 {
  return v128.load(SOFT + (k << 4));
}

/** 0.1⁶: BARE_SIGMA⁶ of soften.ts. */
// @ts-ignore: decorator
@inline const BARE_SIXTH: f32 = 1e-6;

/** Prepares the soft core of annealing time t; the factor on bonded terms. */
function prepareSoft(header: usize, t: f32): f32 {
  const core = load<f32>(header, 56);
  softKind = t == 1 || core == 0 ? 0 : core < 0 ? 1 : 2;
  if (softKind == 0) return 1;
  const left: f32 = 1 - t;
  const outer: f32 = 1 / (1 + left);
  const cube = outer * outer * outer;
  v128.store(SOFT, f32x4.splat(softKind == 1 ? left : core * left * left));
  v128.store(SOFT, f32x4.splat(softKind == 1 ? cube * cube : 1), 16);
  v128.store(SOFT, f32x4.splat(t), 32);
  v128.store(SOFT, f32x4.splat(<f32>(1.0 / 6.0)), 48);
  const b = load<f32>(header, 60);
  return b + (1 - b) * t;
}

/** pairEnergy with a soft distance R; squared: r². */
function softPairEnergy(row: usize, squared: v128, energy: v128): v128 {
  const one = constant(0);
  const A = load<f32>(row, 8), B = load<f32>(row, 12);
  const sigma6: f32 = A > 0 && B > 0 ? A / B : BARE_SIXTH;
  const charge = f32x4.mul(soft(2), numberAt(row, 1));
  if (softKind == 2) {
    const fourth = f32x4.mul(squared, squared);
    const inverse6 = f32x4.div(one, fma(soft(0), f32x4.splat(sigma6), f32x4.mul(fourth, squared)));
    const inverse = exp4(f32x4.mul(soft(3), log4(inverse6)));
    const electrostatic = f32x4.mul(charge, inverse);
    const repulsion = f32x4.mul(f32x4.mul(numberAt(row, 2), inverse6), inverse6);
    const attraction = f32x4.mul(numberAt(row, 3), inverse6);
    const slope = fnma(
      constant(6), repulsion, f32x4.sub(f32x4.mul(constant(5), attraction), electrostatic),
    );
    v128.store(SLOPE, f32x4.mul(f32x4.mul(slope, fourth), inverse6));
    return f32x4.add(energy, f32x4.add(f32x4.sub(repulsion, attraction), electrostatic));
  }
  const r = f32x4.sqrt(squared);
  const least = Mathf.pow(2 * sigma6, <f32>(1.0 / 6.0));
  const R = fma(soft(0), f32x4.splat(least), r);
  const inverse = f32x4.div(one, R);
  const inverse2 = f32x4.mul(inverse, inverse);
  const inverse6 = f32x4.mul(f32x4.mul(inverse2, inverse2), inverse2);
  const electrostatic = f32x4.mul(charge, inverse);
  const repulsion = f32x4.mul(f32x4.mul(numberAt(row, 2), inverse6), inverse6);
  const attraction = f32x4.mul(f32x4.mul(soft(1), numberAt(row, 3)), inverse6);
  const slope = fnma(
    constant(6), repulsion, f32x4.sub(f32x4.mul(constant(5), attraction), electrostatic),
  );
  v128.store(SLOPE, f32x4.div(f32x4.mul(slope, inverse), r));
  return f32x4.add(energy, f32x4.add(f32x4.sub(repulsion, attraction), electrostatic));
}

/** Coulomb and Lennard-Jones of the listed pairs. */
function nonbonded(row: usize, N: i32, x: usize, gradient: usize): v128 {
  let total = f32x4.splat(0);
  const one = constant(0);
  for (let i: usize = 0, end = <usize>N * ATOM; i < end; i += ATOM) {
    const xi = v128.load(x + i), yi = v128.load(x + i, 16), zi = v128.load(x + i, 32);
    let gx = f32x4.splat(0), gy = gx, gz = gx, energy = gx;
    const partners = <i32>load<f32>(row);
    row += 4;
    for (const last = row + <usize>partners * PAIR; row < last; row += PAIR) {
      const j = atomAt(row, 0);
      const dx = f32x4.sub(xi, v128.load(x + j));
      const dy = f32x4.sub(yi, v128.load(x + j, 16));
      const dz = f32x4.sub(zi, v128.load(x + j, 32));
      const squared = fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx)));
      energy = softKind
        ? softPairEnergy(row, squared, energy)
        : pairEnergy(row, f32x4.div(one, f32x4.sqrt(squared)), energy);
      const slope = v128.load(SLOPE);
      gx = fma(slope, dx, gx);
      gy = fma(slope, dy, gy);
      gz = fma(slope, dz, gz);
      const gj = gradient + j;
      v128.store(gj, fnma(slope, dx, v128.load(gj)));
      v128.store(gj, fnma(slope, dy, v128.load(gj, 16)), 16);
      v128.store(gj, fnma(slope, dz, v128.load(gj, 32)), 32);
    }
    addForce(gradient + i, gx, gy, gz);
    total = f32x4.add(total, energy);
  }
  return total;
}

/**
 * What an atom of scaled radius s adds to the Born integral of one of radius ρ̃ at distance r; its
 * derivative over r to address `slope`. `own` and `other` are rows of the Born table; `inside` is 1
 * for obc2.
 */
// @ts-ignore: decorator
@inline function descreening(
  own: usize, other: usize, r: v128, inverse: v128, inside: i32, slope: usize,
): v128 {
  const one = constant(0);
  const offset = numberAt(own, 0);
  const s = numberAt(other, 2);
  const U = f32x4.add(r, s);
  const difference = f32x4.sub(r, s);
  const L = f32x4.max(offset, f32x4.abs(difference));
  const both = f32x4.div(one, f32x4.mul(L, U));
  const inverseU = f32x4.mul(L, both);
  const inverseL = f32x4.mul(U, both);
  const gap = f32x4.sub(inverseU, inverseL); // ≤ 0
  const squares = f32x4.mul(gap, f32x4.add(inverseU, inverseL)); // 1/U² − 1/L²
  const logRatio = f32x4.mul(log4(f32x4.mul(L, inverseU)), inverse);
  const scaled = f32x4.mul(numberAt(other, 3), inverse); // s²/r
  const quarter = constant(2);
  const half = constant(1);
  let value = fma(
    f32x4.mul(quarter, f32x4.sub(r, scaled)), squares,
    fma(half, logRatio, f32x4.neg(gap)),
  );
  value = f32x4.mul(half, value);
  let derivative = fnma(
    quarter, f32x4.mul(logRatio, inverse),
    f32x4.mul(constant(3), f32x4.mul(fma(scaled, inverse, one), squares)),
  );
  // Inside the other's sphere, s − r > ρ̃.
  const engulfed = f32x4.gt(f32x4.neg(difference), offset);
  if (v128.any_true(engulfed)) {
    if (inside) {
      value = f32x4.add(value, v128.and(f32x4.sub(numberAt(own, 1), inverseL), engulfed));
    } else derivative = f32x4.add(derivative, v128.and(f32x4.mul(inverseL, inverseL), engulfed));
  }
  // Out of reach: the other lies inside this atom. Written so that NaN stays.
  const away = f32x4.le(U, offset);
  v128.store(slope, v128.andnot(f32x4.mul(derivative, inverse), away));
  return v128.andnot(value, away);
}

/** First pass over all pairs: Born integrals, with r², 1/r and the integrals' slopes to scratch. */
function bornIntegrals(
  born: usize, N: i32, x: usize, scratch: usize, inside: i32,
): void {
  const atoms = scratch;
  for (let i = 0; i < N; i++) v128.store(atoms + <usize>i * ATOM_SCRATCH, f32x4.splat(0));
  scratch += <usize>N * ATOM_SCRATCH;
  const end = <usize>N;
  for (let i: usize = 0; i < end; i++) {
    const at = x + i * ATOM;
    const xi = v128.load(at), yi = v128.load(at, 16), zi = v128.load(at, 32);
    const own = born + i * BORN;
    let integral = v128.load(atoms + i * ATOM_SCRATCH);
    for (let j = i + 1; j < end; j++, scratch += SCRATCH) {
      const to = x + j * ATOM;
      const dx = f32x4.sub(xi, v128.load(to));
      const dy = f32x4.sub(yi, v128.load(to, 16));
      const dz = f32x4.sub(zi, v128.load(to, 32));
      const squared = fma(dz, dz, fma(dy, dy, f32x4.mul(dx, dx)));
      const r = f32x4.sqrt(squared);
      const inverse = f32x4.div(constant(0), r);
      v128.store(scratch, squared);
      v128.store(scratch, inverse, 16);
      const other = born + j * BORN;
      integral = f32x4.add(integral, descreening(own, other, r, inverse, inside, scratch + 32));
      const atJ = atoms + j * ATOM_SCRATCH;
      v128.store(
        atJ,
        f32x4.add(v128.load(atJ), descreening(other, own, r, inverse, inside, scratch + 48)),
      );
    }
    v128.store(atoms + i * ATOM_SCRATCH, integral);
  }
}

/** Born radii from the integrals; surface and self energies, with ∂E/∂B to scratch. */
function bornRadii(header: usize, born: usize, N: i32, atoms: usize): v128 {
  const one = constant(0);
  const alpha = numberAt(header, 11), beta = numberAt(header, 12), gamma = numberAt(header, 13);
  const six = constant(5), half = constant(1);
  let energy = f32x4.splat(0);
  for (let end = atoms + <usize>N * ATOM_SCRATCH; atoms < end; atoms += ATOM_SCRATCH, born += BORN) {
    const offset = numberAt(born, 0);
    const psi = f32x4.mul(v128.load(atoms), offset);
    const t = tanh4(f32x4.mul(psi, fma(psi, fma(psi, gamma, f32x4.neg(beta)), alpha)));
    const inner = fma(
      psi, f32x4.sub(f32x4.mul(f32x4.mul(constant(4), psi), gamma), f32x4.add(beta, beta)), alpha,
    );
    const slope = f32x4.mul(f32x4.mul(fnma(t, t, one), inner), offset);
    const inverseRadius = numberAt(born, 4);
    const inverseB = fnma(t, inverseRadius, numberAt(born, 1));
    const B = f32x4.div(one, inverseB);
    v128.store(atoms, B);
    v128.store(atoms, f32x4.mul(f32x4.mul(B, B), f32x4.mul(slope, inverseRadius)), 16);
    v128.store(atoms, inverseB, 48);
    const inverse2 = f32x4.mul(inverseB, inverseB);
    const area = f32x4.mul(
      numberAt(born, 6), f32x4.mul(f32x4.mul(inverse2, inverse2), inverse2),
    );
    const charge = numberAt(born, 5);
    let self = f32x4.mul(f32x4.mul(half, f32x4.mul(charge, charge)), inverseB);
    if (softKind) self = f32x4.mul(self, soft(2));
    energy = f32x4.add(energy, f32x4.sub(area, self));
    v128.store(atoms, f32x4.mul(fnma(six, area, self), inverseB), 32);
  }
  return energy;
}

/**
 * Second pass: energies of pairs, in vacuum (to TERMS) and of the solvent (returned, added to
 * `energy`); ∂E/∂B completed, u′/r to scratch. Third pass: forces, the Born radii's included.
 */
function solvatedPairs(
  row: usize, born: usize, N: i32, x: usize, gradient: usize, scratch: usize, energy: v128,
): v128 {
  const atoms = scratch;
  const pairs = scratch + <usize>N * ATOM_SCRATCH;
  const one = constant(0), quarter = constant(2), half = constant(1);
  let vacuum = f32x4.splat(0);
  const end = <usize>N;
  scratch = pairs;
  for (let i: usize = 0; i < end; i++) {
    const atI = atoms + i * ATOM_SCRATCH;
    const Bi = v128.load(atI), inverseBi = v128.load(atI, 48);
    let charge = numberAt(born + i * BORN, 5);
    if (softKind) charge = f32x4.mul(charge, soft(2));
    let byBi = v128.load(atI, 32);
    let own = f32x4.splat(0), solvent = own;
    row += 4;
    for (let j = i + 1; j < end; j++, scratch += SCRATCH, row += PAIR) {
      own = softKind
        ? softPairEnergy(row, v128.load(scratch), own)
        : pairEnergy(row, v128.load(scratch, 16), own);
      const atJ = atoms + j * ATOM_SCRATCH;
      const Bj = v128.load(atJ);
      const squared = v128.load(scratch);
      const ratio = f32x4.mul(
        f32x4.mul(quarter, squared), f32x4.mul(inverseBi, v128.load(atJ, 48)),
      );
      const decay = exp4(f32x4.neg(ratio));
      const inverseF = f32x4.div(
        one, f32x4.sqrt(fma(f32x4.mul(Bi, Bj), decay, squared)),
      );
      const pair = f32x4.mul(f32x4.mul(charge, numberAt(born + j * BORN, 5)), inverseF);
      solvent = f32x4.add(solvent, pair);
      const bySquare = f32x4.mul(f32x4.mul(half, pair), f32x4.mul(inverseF, inverseF));
      const common = f32x4.mul(f32x4.mul(bySquare, decay), f32x4.add(one, ratio));
      byBi = fma(common, Bj, byBi);
      v128.store(atJ, fma(common, Bi, v128.load(atJ, 32)), 32);
      const twice = f32x4.add(bySquare, bySquare);
      v128.store(
        scratch,
        fma(twice, fnma(quarter, decay, one), v128.load(SLOPE)),
      );
    }
    v128.store(atI, f32x4.mul(byBi, v128.load(atI, 16)), 32);
    vacuum = f32x4.add(vacuum, own);
    energy = f32x4.sub(energy, solvent);
  }
  v128.store(TERMS, vacuum, 48);
  scratch = pairs;
  for (let i: usize = 0; i < end; i++) {
    const at = x + i * ATOM;
    const xi = v128.load(at), yi = v128.load(at, 16), zi = v128.load(at, 32);
    const chainI = v128.load(atoms + i * ATOM_SCRATCH, 32);
    let gx = f32x4.splat(0), gy = gx, gz = gx;
    for (let j = i + 1; j < end; j++, scratch += SCRATCH) {
      const chainJ = v128.load(atoms + j * ATOM_SCRATCH, 32);
      const slope = fma(
        chainI, v128.load(scratch, 32),
        fma(chainJ, v128.load(scratch, 48), v128.load(scratch)),
      );
      const to = x + j * ATOM;
      const dx = f32x4.sub(xi, v128.load(to));
      const dy = f32x4.sub(yi, v128.load(to, 16));
      const dz = f32x4.sub(zi, v128.load(to, 32));
      gx = fma(slope, dx, gx);
      gy = fma(slope, dy, gy);
      gz = fma(slope, dz, gz);
      const gj = gradient + j * ATOM;
      v128.store(gj, fnma(slope, dx, v128.load(gj)));
      v128.store(gj, fnma(slope, dy, v128.load(gj, 16)), 16);
      v128.store(gj, fnma(slope, dz, v128.load(gj, 32)), 32);
    }
    addForce(gradient + i * ATOM, gx, gy, gz);
  }
  return energy;
}

// @ts-ignore: decorator
@inline function table(header: usize, k: usize): usize {
  return header + (<usize>load<f32>(header + (k << 2)) << 2);
}

/**
 * U_t of one block; overwrites gradient (3N f32x4) with ∂U_t/∂x. `header` is the address of a packed
 * molecule with its scratch.
 */
export function moleculeEnergies(header: usize, x: usize, gradient: usize, t: f32): v128 {
  const N = <i32>load<f32>(header);
  const stiffness = prepareSoft(header, t);
  const zero = f32x4.splat(0);
  for (let at = gradient, end = at + <usize>N * ATOM; at < end; at += 16) v128.store(at, zero);
  let bonds = bondEnergies(table(header, 4), <i32>load<f32>(header, 4), x, gradient);
  let angles = angleEnergies(table(header, 5), <i32>load<f32>(header, 8), x, gradient);
  let torsions = torsionEnergies(table(header, 6), <i32>load<f32>(header, 12), x, gradient);
  if (stiffness != 1) {
    const factor = f32x4.splat(stiffness);
    bonds = f32x4.mul(bonds, factor);
    angles = f32x4.mul(angles, factor);
    torsions = f32x4.mul(torsions, factor);
    for (let at = gradient, end = at + <usize>N * ATOM; at < end; at += 16) {
      v128.store(at, f32x4.mul(v128.load(at), factor));
    }
  }
  v128.store(TERMS, bonds);
  v128.store(TERMS, angles, 16);
  v128.store(TERMS, torsions, 32);
  const pairs = table(header, 7);
  const model = <i32>load<f32>(header, 40);
  let solvent = zero;
  if (model == 0) v128.store(TERMS, nonbonded(pairs, N, x, gradient), 48);
  else {
    const born = table(header, 8), scratch = table(header, 9);
    if (model == 2) bornIntegrals(born, N, x, scratch, 1);
    else bornIntegrals(born, N, x, scratch, 0);
    solvent = bornRadii(header, born, N, scratch);
    solvent = solvatedPairs(pairs, born, N, x, gradient, scratch, solvent);
  }
  v128.store(TERMS, solvent, 64);
  return f32x4.add(
    f32x4.add(f32x4.add(bonds, angles), f32x4.add(torsions, v128.load(TERMS, 48))), solvent,
  );
}

/** moleculeEnergies of `blocks` consecutive blocks; terms: 5 f32x4 a block. */
export function moleculeEnergiesBatch(
  header: usize, x: usize, gradient: usize, terms: usize, blocks: i32,
): void {
  const size = <usize>load<f32>(header) * ATOM;
  for (let b = 0; b < blocks; b++) {
    moleculeEnergies(header, x, gradient, 1);
    for (let k: usize = 0; k < 80; k += 16) v128.store(terms + k, v128.load(TERMS + k));
    x += size;
    gradient += size;
    terms += 80;
  }
}

// The Mint prior's terms in two dimensions, fully on f32x4. Labellings of one anchor go through in
// chunks, stage by stage: each stage is a short loop without unpredictable branches, so that the
// processor overlaps the long dependency chains of several terms.
//
// With points as complex numbers, P = Σ κ μ θ* and M = Σ κ μ θ: I(C) = ½[I₀(|P|) + I₀(|M|)], and
// log I ≤ max(|P|, |M|).
import { exp4, i0e4WithRatio } from "./math";
import {
  anchors, COMPONENT, componentBytes, components, cut, G, geometry, geometryStride, half, K,
  labellings, largest, M, matrix, Mode, N, one, PLACE, raise, reference, scale, signBit, slopes,
  slopeStride, splat, state, table, tableStride, tiny, total,
} from "./orbit_vmf_layout";
import { addParameterSums, beginParameterSums, endParameterSums } from "./orbit_vmf_parameters";
import { fma, fnma } from "./simd";

/** Per place and particle: −½z², −z/σ, P (2) and M (2) of the pair seen from the anchor. */
function tabulate(component: usize, anchor: usize): void {
  for (let j: usize = 0; j < M; j++) {
    const place = component + COMPONENT + PLACE * j;
    const mx = splat(place + 4);
    const my = splat(place + 8);
    const rho = splat(place + 16);
    const inverseSigma = splat(place + 20);
    let pair = geometry + geometryStride * anchor * N;
    let out = table + tableStride * j * N;
    for (let b: usize = 0; b < N; b++, pair += geometryStride, out += tableStride) {
      if (b == anchor) continue;
      const x = v128.load(pair);
      const y = v128.load(pair, 16);
      const z = f32x4.mul(f32x4.sub(rho, v128.load(pair, 32)), inverseSigma);
      v128.store(out, f32x4.neg(f32x4.mul(f32x4.mul(half(), z), z)));
      v128.store(out, f32x4.mul(z, inverseSigma), 16);
      const xx = f32x4.mul(mx, x);
      const yy = f32x4.mul(my, y);
      const xy = f32x4.mul(mx, y);
      const yx = f32x4.mul(my, x);
      v128.store(out, f32x4.add(xx, yy), 32);
      v128.store(out, f32x4.sub(yx, xy), 48);
      v128.store(out, f32x4.sub(xx, yy), 64);
      v128.store(out, f32x4.add(xy, yx), 80);
    }
  }
}

/** Labellings that go through the stages together. */
const CHUNK: usize = 8;
// One slot for each term that matters. MASK: lanes where it does; LEAD: the larger of |P| and |M|,
// |P| where IS_P; BOTH: lanes where the smaller counts; LOSS: Σκ less the larger; TERM: the bound,
// then e^{radial − loss − reference}/2; VALUE: the term; BY_LEAD, BY_REST: what its derivative
// has of the larger and the smaller one.
const ROW: usize = 0;
const MASK: usize = 16;
const RADIAL: usize = 32;
const PR: usize = 48;
const PI: usize = 64;
const MR: usize = 80;
const MI: usize = 96;
const LEAD: usize = 112;
const IS_P: usize = 128;
const LOSS: usize = 144;
const TERM: usize = 160;
const VALUE: usize = 176;
const BY_LEAD: usize = 192;
const BY_REST: usize = 208;
const BOTH: usize = 224;
const SLOT: usize = 240;
const slots = memory.data(8 * 240, 16);
/** Slots whose smaller part matters too. */
const restList = memory.data(8 * 4, 16);

/** First stage: sums of table entries and bounds of `count` labellings; returns the slots filled. */
function gather(component: usize, base: v128, first: usize, count: usize): usize {
  const kappas = splat(component + 8);
  let slot = slots;
  let row = first;
  for (let g: usize = 0; g < count; g++, row += N << 2) {
    let radial = base;
    let pr = f32x4.splat(0);
    let pi = f32x4.splat(0);
    let mr = f32x4.splat(0);
    let mi = f32x4.splat(0);
    let entries = table;
    for (let j: usize = 1; j <= M; j++, entries += tableStride * N) {
      const entry = entries + tableStride * <usize>load<i32>(row + (j << 2));
      radial = f32x4.add(radial, v128.load(entry));
      pr = f32x4.add(pr, v128.load(entry, 32));
      pi = f32x4.add(pi, v128.load(entry, 48));
      mr = f32x4.add(mr, v128.load(entry, 64));
      mi = f32x4.add(mi, v128.load(entry, 80));
    }
    const p2 = fma(pr, pr, f32x4.mul(pi, pi));
    const m2 = fma(mr, mr, f32x4.mul(mi, mi));
    const lead = f32x4.sqrt(f32x4.pmax(p2, m2));
    const bound = f32x4.add(f32x4.sub(radial, kappas), lead);
    const mask = f32x4.gt(bound, f32x4.sub(largest(), cut()));
    store<usize>(slot, row, ROW);
    v128.store(slot, mask, MASK);
    v128.store(slot, radial, RADIAL);
    v128.store(slot, pr, PR);
    v128.store(slot, pi, PI);
    v128.store(slot, mr, MR);
    v128.store(slot, mi, MI);
    v128.store(slot, lead, LEAD);
    v128.store(slot, bound, TERM);
    slot += v128.any_true(mask) ? SLOT : 0;
  }
  return slot - slots;
}

/** Σ κ |u − mean|² with κu = κμθ, or κμθ* in lanes where `flip` has the sign bit. */
// @ts-ignore: decorator
@inline function spreadOfPlaces(
  component: usize, row: usize, around: usize, flip: v128, meanR: v128, meanI: v128,
): v128 {
  let spread = f32x4.splat(0);
  let place = component + COMPONENT;
  for (let j: usize = 1; j <= M; j++, place += PLACE) {
    const pair = around + geometryStride * <usize>load<i32>(row + (j << 2));
    const kappa = splat(place);
    const mx = splat(place + 4);
    const my = splat(place + 8);
    const x = v128.load(pair);
    const y = v128.xor(v128.load(pair, 16), flip);
    const dr = fnma(my, y, fnma(kappa, meanR, f32x4.mul(mx, x)));
    const di = fma(my, x, fnma(kappa, meanI, f32x4.mul(mx, y)));
    spread = fma(fma(dr, dr, f32x4.mul(di, di)), splat(place + 12), spread);
  }
  return spread;
}

/** Second stage: the larger of P and M; returns how many slots need the smaller one too. */
function leadingPart(component: usize, around: usize, end: usize): usize {
  const kappas = splat(component + 8);
  const share = splat(component + 12);
  let rests: usize = 0;
  for (let slot: usize = slots; slot < slots + end; slot += SLOT) {
    const pr = v128.load(slot, PR);
    const pi = v128.load(slot, PI);
    const mr = v128.load(slot, MR);
    const mi = v128.load(slot, MI);
    const p2 = fma(pr, pr, f32x4.mul(pi, pi));
    const m2 = fma(mr, mr, f32x4.mul(mi, mi));
    const isP = f32x4.gt(p2, m2);
    const mask = v128.load(slot, MASK);
    const lead = v128.load(slot, LEAD);
    // Is the smaller one within CUT of the larger? (f32x4.pmax: not below zero.)
    const least = f32x4.pmax(f32x4.sub(lead, cut()), f32x4.splat(0));
    const both = v128.and(mask, f32x4.ge(f32x4.pmin(p2, m2), f32x4.mul(least, least)));
    v128.store(slot, isP, IS_P);
    v128.store(slot, both, BOTH);
    store<u32>(restList + (rests << 2), <u32>slot);
    rests += v128.any_true(both) ? 1 : 0;
    // Σκ − |P| without cancellation: Σκ Σ κ|u − P/Σκ|² / (Σκ + |P|), where κu sums to P.
    const spread = spreadOfPlaces(
      component, load<usize>(slot, ROW), around, v128.and(isP, signBit()),
      f32x4.mul(v128.bitselect(pr, mr, isP), share), f32x4.mul(v128.bitselect(pi, mi, isP), share),
    );
    // 1/|P| and 1/(Σκ + |P|) from one division. Lanes outside the mask get a harmless argument.
    const argument = v128.bitselect(f32x4.pmax(lead, tiny()), kappas, mask);
    const sum = f32x4.add(kappas, argument);
    const inverses = f32x4.div(one(), f32x4.mul(sum, argument));
    const loss = f32x4.mul(f32x4.mul(kappas, spread), f32x4.mul(inverses, argument));
    const exponent = f32x4.sub(f32x4.sub(v128.load(slot, RADIAL), loss), reference());
    const term = f32x4.mul(v128.and(exp4(exponent), mask), half());
    const bessel = i0e4WithRatio(argument, f32x4.mul(inverses, sum), matrix);
    const value = f32x4.mul(term, bessel);
    v128.store(slot, loss, LOSS);
    v128.store(slot, term, TERM);
    v128.store(slot, value, VALUE);
    v128.store(slot, f32x4.mul(value, v128.load(matrix)), BY_LEAD);
    v128.store(slot, f32x4.splat(0), BY_REST);
  }
  return rests;
}

/** Third stage: the smaller of P and M, where it is not negligible beside the larger. */
function remainingPart(component: usize, around: usize, rests: usize): void {
  const kappas = splat(component + 8);
  const share = splat(component + 12);
  for (let i: usize = 0; i < rests; i++) {
    const slot = <usize>load<u32>(restList + (i << 2));
    const isP = v128.load(slot, IS_P);
    const both = v128.load(slot, BOTH);
    const re = v128.bitselect(v128.load(slot, MR), v128.load(slot, PR), isP);
    const im = v128.bitselect(v128.load(slot, MI), v128.load(slot, PI), isP);
    const rest = f32x4.sqrt(fma(re, re, f32x4.mul(im, im)));
    const spread = spreadOfPlaces(
      component, load<usize>(slot, ROW), around, v128.andnot(signBit(), isP),
      f32x4.mul(re, share), f32x4.mul(im, share),
    );
    const argument = v128.bitselect(f32x4.pmax(rest, tiny()), kappas, both);
    const sum = f32x4.add(kappas, argument);
    const inverses = f32x4.div(one(), f32x4.mul(sum, argument));
    const loss = f32x4.mul(f32x4.mul(kappas, spread), f32x4.mul(inverses, argument));
    const weight = v128.and(exp4(f32x4.sub(v128.load(slot, LOSS), loss)), both);
    const bessel = i0e4WithRatio(argument, f32x4.mul(inverses, sum), matrix);
    const value = f32x4.mul(f32x4.mul(v128.load(slot, TERM), weight), bessel);
    v128.store(slot, f32x4.add(v128.load(slot, VALUE), value), VALUE);
    v128.store(slot, f32x4.mul(value, v128.load(matrix)), BY_REST);
  }
}

/** Last stage for positions: adds the terms' derivatives to the slopes of the anchor's pairs. */
function scatter(component: usize, anchor: usize, end: usize): void {
  const toAnchor = slopes + slopeStride * anchor * N;
  let sum = v128.load(anchors + (anchor << 5), 16);
  for (let slot: usize = slots; slot < slots + end; slot += SLOT) {
    const row = load<usize>(slot, ROW);
    const term = v128.load(slot, VALUE);
    sum = f32x4.add(sum, term);
    const isP = v128.load(slot, IS_P);
    const byLead = v128.load(slot, BY_LEAD);
    const byRest = v128.load(slot, BY_REST);
    const byP = v128.bitselect(byLead, byRest, isP);
    const byM = v128.bitselect(byRest, byLead, isP);
    const pr = f32x4.mul(v128.load(slot, PR), byP);
    const pi = f32x4.mul(v128.load(slot, PI), byP);
    const mr = f32x4.mul(v128.load(slot, MR), byM);
    const mi = f32x4.mul(v128.load(slot, MI), byM);
    // term · ∂log I/∂C = (a b; c d).
    const a = f32x4.add(pr, mr);
    const b = f32x4.sub(mi, pi);
    const c = f32x4.add(pi, mi);
    const d = f32x4.sub(pr, mr);
    let entries = table + 16;
    let place = component + COMPONENT;
    for (let j: usize = 1; j <= M; j++, entries += tableStride * N, place += PLACE) {
      const particle = <usize>load<i32>(row + (j << 2));
      const to = toAnchor + slopeStride * particle;
      const mx = splat(place + 4);
      const my = splat(place + 8);
      v128.store(to, fma(mx, a, fma(my, c, v128.load(to))));
      v128.store(to, fma(mx, b, fma(my, d, v128.load(to, 16))), 16);
      v128.store(to, fma(term, v128.load(entries + tableStride * particle), v128.load(to, 32)), 32);
    }
  }
  v128.store(anchors + (anchor << 5), sum, 16);
}

/** Last stage for parameters. */
function addToParameterSums(around: usize, end: usize): void {
  const factor = scale();
  for (let slot: usize = slots; slot < slots + end; slot += SLOT) {
    const isP = v128.load(slot, IS_P);
    const byLead = v128.load(slot, BY_LEAD);
    const byRest = v128.load(slot, BY_REST);
    const byP = f32x4.mul(v128.bitselect(byLead, byRest, isP), factor);
    const byM = f32x4.mul(v128.bitselect(byRest, byLead, isP), factor);
    const pr = f32x4.mul(v128.load(slot, PR), byP);
    const pi = f32x4.mul(v128.load(slot, PI), byP);
    const mr = f32x4.mul(v128.load(slot, MR), byM);
    const mi = f32x4.mul(v128.load(slot, MI), byM);
    v128.store(matrix, f32x4.add(pr, mr));
    v128.store(matrix, f32x4.sub(mi, pi), 16);
    v128.store(matrix, f32x4.add(pi, mi), 32);
    v128.store(matrix, f32x4.sub(pr, mr), 48);
    addParameterSums(load<usize>(slot, ROW), around, f32x4.mul(v128.load(slot, VALUE), factor));
  }
}

/** One pass over all terms; see Mode and the layout's `state`. */
export function planePass(mode: i32, out: usize): void {
  for (let k: usize = 0; k < K; k++) {
    const component = components + componentBytes * k;
    const last = labellings + (G * N << 2);
    let row = labellings;
    if (mode == Mode.PARAMETERS) beginParameterSums();
    while (row < last) {
      const anchor = <usize>load<i32>(row);
      const around = geometry + geometryStride * anchor * N;
      const base = f32x4.add(splat(component), v128.load(anchors + (anchor << 5)));
      tabulate(component, anchor);
      while (row < last && <usize>load<i32>(row) == anchor) {
        let count: usize = 0;
        const first = row;
        while (count < CHUNK && row < last && <usize>load<i32>(row) == anchor) {
          count++;
          row += N << 2;
        }
        const end = gather(component, base, first, count);
        if (end == 0) continue;
        if (mode != Mode.PARAMETERS) {
          for (let slot: usize = slots; slot < slots + end; slot += SLOT) {
            raise(v128.load(slot, TERM));
          }
        }
        const rests = leadingPart(component, around, end);
        if (rests) remainingPart(component, around, rests);
        if (mode == Mode.PARAMETERS) {
          addToParameterSums(around, end);
          continue;
        }
        let sum = total();
        for (let slot: usize = slots; slot < slots + end; slot += SLOT) {
          sum = f32x4.add(sum, v128.load(slot, VALUE));
        }
        v128.store(state, sum, 32);
        if (mode == Mode.POSITIONS) scatter(component, anchor, end);
      }
    }
    if (mode == Mode.PARAMETERS) endParameterSums(component, out + (k * (1 + M * 5) << 2));
  }
}

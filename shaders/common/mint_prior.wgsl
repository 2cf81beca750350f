// The Mint prior: log q and ∂log q/∂x. Formulas: src/mint/mixture.ts and the file of the family.
//
// `prior` as the host packs it (src/backends/webgpu/mint_prior.ts), all f32:
//   0 log constant of the broad part, 1 its 1/s²; LABELLINGS: G rows of N particles, anchor first, sorted
//   by it; ANCHORS: first row and number of rows for every anchor (2 N); NODE_TABLES (n = 3): quadrature
//   nodes v, 1 − v and weights, NODES each, for 24 octaves of s₁ + s₂; COMPONENTS: K times what the family
//   keeps, COMPONENT_STRIDE numbers each.
//
// A term is one (component, labelling). First all logarithms of terms, then log q, then the slopes of the
// terms that matter. The family gives prior_begin (before anything), prior_bound + prior_term (the term's
// logarithm, and a bound of it), prior_forces (to the scratch) and prior_force (of one coordinate).
// Scratch at PRIOR_WORK: terms, then what the family keeps.

const TERM_LOGS: u32 = PRIOR_WORK;
const FAMILY_WORK: u32 = TERM_LOGS + K * G;
/** Terms this far (in log) below the largest that a thread has seen are zero: 4e-8. */
const CUT: f32 = 17.0;
const NOTHING: f32 = -1e30;

/** Place of component k in `prior`. */
fn component_at(k: u32) -> u32 {
  return COMPONENTS + k * COMPONENT_STRIDE;
}

/** Particle at place j (0: the anchor) of labelling g. */
fn labelled(g: u32, j: u32) -> u32 {
  return u32(prior[LABELLINGS + g * N + j]);
}

/** log q at work[x ...], returned to all threads; ∂log q/∂x to work[gradient ...]. Ends with a barrier. */
fn mint_prior(x: u32, gradient: u32, lid: u32) -> f32 {
  let centre = centre_of(x);
  var square = 0.0;
  for (var i = 0u; i < N; i++) {
    let d = position(x, i) - centre;
    square += dot(d, d);
  }
  let broad = fma(-0.5 * prior[1], square, prior[0]);
  var log_density = broad;
  if (K > 0u) {
    prior_begin(x, lid);
    sync();
    var best = broad;
    for (var q = lid; q < K * G; q += W) {
      var term = NOTHING;
      let bound = prior_bound(q / G, q % G);
      if (bound > best - CUT) {
        term = bound + prior_term(q / G, q % G, x);
        best = max(best, term);
      }
      work[TERM_LOGS + q] = term;
    }
    let largest = group_max(best, lid);
    var sum = 0.0;
    for (var q = lid; q < K * G; q += W) {
      sum += exp_f(work[TERM_LOGS + q] - largest);
    }
    sum = group_sum(sum, lid) + exp_f(broad - largest);
    log_density = largest + log_f(sum);
    sync();
    prior_forces(x, log_density, lid);
  }
  let pull = -exp_f(broad - log_density) * prior[1];
  for (var i = lid; i < N; i += W) {
    let d = pull * (position(x, i) - centre);
    for (var a = 0u; a < DIM; a++) {
      var sum = d[a];
      if (K > 0u) {
        sum += prior_force(i, a);
      }
      work[gradient + i * DIM + a] = sum;
    }
  }
  sync();
  return log_density;
}

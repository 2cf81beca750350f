// One sweep of the pair flow, and its inverse (src/backends/reference/pair_flow.ts):
//   d = x_i − x_j, r = |d| → R(r), x_i += ½ f d, x_j −= ½ f d, f = R/r − 1,
//   log|J| += (n − 1) log(1 + f) + log R′(r).
// A sweep is a round-robin tournament: the pairs of a round are disjoint, so that each has a thread of its
// own. Odd levels go through the rounds from the end.
//
// A level's table has FLOW_CELLS + 1 rows of two: R − r at a cell's lower node, and R′ − 1 in the cell; the
// last is the tail, where R is proportional to r. Deviations, not R itself: differences would lose digits.
// Who uses this says where the tables stand: flow_number(i) is number i of them.

/** Seats of the tournament; with an odd number of particles one is empty. */
const SEATS: u32 = N + (N & 1u);

/** The cell whose image holds `mapped`, by bisection. */
fn image_cell(table: u32, mapped: f32) -> u32 {
  if (!(mapped < f32(FLOW_CELLS) * FLOW_WIDTH + flow_number(table + 2u * FLOW_CELLS))) {
    return FLOW_CELLS;
  }
  var low = 0u;
  var high = FLOW_CELLS;
  while (high - low > 1u) {
    let middle = (low + high) >> 1u;
    if (f32(middle) * FLOW_WIDTH + flow_number(table + 2u * middle) <= mapped) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/** Moves particles i and j; returns log|J| of the forward map. */
fn move_pair(table: u32, i: u32, j: u32, x: u32, inverse: bool) -> f32 {
  let d = difference(x, i, j);
  let length = sqrt(dot(d, d));
  var cell = min(u32(length * FLOW_INVERSE_WIDTH), FLOW_CELLS);
  if (inverse) {
    cell = image_cell(table, length);
  }
  let gap = flow_number(table + 2u * cell);
  let bend = flow_number(table + 2u * cell + 1u);
  let slope = 1.0 + bend;
  let node = f32(cell) * FLOW_WIDTH;
  var f = 0.0;
  var shift = 0.0;
  if (inverse) {
    let inner = (length - node - gap) / slope;
    f = fma(bend, inner, gap) / (node + inner);
    shift = -f / (1.0 + f);
  } else {
    f = fma(bend, length - node, gap) / length;
    shift = f;
  }
  for (var a = 0u; a < DIM; a++) {
    add_to(x + i * DIM + a, 0.5 * shift * d[a]);
    add_to(x + j * DIM + a, -0.5 * shift * d[a]);
  }
  // (1 + f)^(n − 1) R′ − 1: the factor itself would lose the digits that it differs from 1 by.
  let stretch = select(f, f * (2.0 + f), DIM == 3u);
  return log_one_plus(fma(stretch, bend, stretch + bend));
}

/** Moves work[x ...] by the sweep of `level`, or undoes it; returns log|∂x′/∂x| of the sweep. Ends with a barrier. */
fn pair_flow(level: u32, x: u32, inverse: bool, lid: u32) -> f32 {
  let table = 2u * (FLOW_CELLS + 1u) * level;
  let from_end = ((level & 1u) == 1u) != inverse;
  var log_determinant = 0.0;
  for (var r = 0u; r < rolled(SEATS - 1u); r++) {
    let round = select(r, SEATS - 2u - r, from_end);
    for (var k = lid; k < SEATS / 2u; k += W) {
      // The last seat is fixed, the others go round.
      let a = select((round + k) % (SEATS - 1u), SEATS - 1u, k == 0u);
      let b = (round + SEATS - 1u - k) % (SEATS - 1u);
      if (a < N && b < N) {
        log_determinant += move_pair(table, min(a, b), max(a, b), x, inverse);
      }
    }
    sync();
  }
  return group_sum(log_determinant, lid);
}

// One Hamiltonian Monte Carlo transition of a workgroup's system (src/backends/reference/hmc.ts). Scratch:
// X, the state; PROPOSAL, MOMENTUM, KICK.
//
// The words that decide are those of every other backend; energies are float32, so a proposal whose gain
// lies within their rounding (about 1e-5) of log u may be decided otherwise than in float64. Both decisions
// are right: what is accepted by these energies and what a weight gains from them agree, and weights are
// exact for the target that float64 puts at the end.

struct Transition {
  /** U at the state before. */
  before: f32,
  /** U at the state after. */
  after: f32,
  /** min(1, e^gain) of the proposal; 0 where it is not a number. */
  acceptance: f32,
}

/** Counters of one level's random numbers: N·n normals and one pair of uniforms. */
const COUNTERS_PER_LEVEL: u32 = (SIZE + 1u) / 2u + 1u;

/** Uniform in (0, 1) from the upper 24 bits of a word. */
fn uniform_of(word: u32) -> f32 {
  return (f32(word >> 8u) + 0.5) * 5.9604644775390625e-8;
}

/** The two uniforms of the level whose counters begin at `counter`. */
fn level_uniforms(key: vec2<u32>, sample: u32, counter: u32) -> vec2<f32> {
  let words = threefry2x32(key, vec2<u32>(sample, counter + COUNTERS_PER_LEVEL - 1u));
  return vec2<f32>(uniform_of(words.x), uniform_of(words.y));
}

/** Normals without a centre-of-mass part, of counters from `counter`, to work[out ...]. Ends with a barrier. */
fn draw_velocities(out: u32, key: vec2<u32>, sample: u32, counter: u32, lid: u32) {
  for (var p = lid; 2u * p < SIZE; p += W) {
    let z = normal_pair(key, vec2<u32>(sample, counter + p));
    work[out + 2u * p] = z.x;
    if (2u * p + 1u < SIZE) {
      work[out + 2u * p + 1u] = z.y;
    }
  }
  project(out, DIM, lid);
}

/** The same of fewer random numbers: LevelNoise.centred in src/backends/reference/hmc.ts. */
fn draw_thrifty_velocities(out: u32, key: vec2<u32>, sample: u32, counter: u32, lid: u32) {
  let last = (N - 1u) * DIM;
  for (var p = lid; 2u * p < last; p += W) {
    let z = normals_of_words(thrifty_words(key, sample, counter, p));
    work[out + 2u * p] = z.x;
    if (2u * p + 1u < last) {
      work[out + 2u * p + 1u] = z.y;
    }
  }
  sync();
  if (lid < DIM) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N - 1u); i++) {
      sum += work[out + i * DIM + lid];
    }
    work[out + last + lid] = sum / (sqrt(f32(N)) - 1.0);
  }
  project(out, DIM, lid);
}

/** Σ ½ v², returned to all threads. */
fn kinetic_energy(lid: u32) -> f32 {
  var sum = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    let v = work[MOMENTUM + q];
    sum = fma(v, v, sum);
  }
  return 0.5 * group_sum(sum, lid);
}

/**
 * `leapfrogs` steps of dt for exp(−U_k) from X and the velocities drawn to MOMENTUM; X moves where it is
 * accepted. `clipped`, a literal: whether by the level's clipped force.
 */
fn hmc_transition(
  level: i32, dt: f32, leapfrogs: u32, clipped: bool, key: vec2<u32>, sample: u32, counter: u32, lid: u32,
) -> Transition {
  for (var q = lid; q < SIZE; q += W) {
    work[PROPOSAL + q] = work[X + q];
  }
  let start = kinetic_energy(lid);
  var before = 0.0;
  var after = 0.0;
  sync();
  for (var step = 0u; step <= leapfrogs; step++) {
    after = level_energy(level, PROPOSAL, KICK, lid);
    before = select(before, after, step == 0u);
    if (clipped) {
      clip_level(level, KICK, lid);
    }
    // A half kick ends a step, another one begins the next.
    let kicks = select(1.0, 0.5, step == 0u || step == leapfrogs);
    for (var q = lid; q < SIZE; q += W) {
      let v = fma(-kicks * dt, work[KICK + q], work[MOMENTUM + q]);
      work[MOMENTUM + q] = v;
      if (step < leapfrogs) {
        work[PROPOSAL + q] = fma(dt, v, work[PROPOSAL + q]);
      }
    }
    sync();
  }
  let gain = (before - after) + (start - kinetic_energy(lid));
  let number = is_finite(gain);
  let accept = number && log_f(level_uniforms(key, sample, counter).x) < gain;
  for (var q = lid; q < SIZE; q += W) {
    work[X + q] = select(work[X + q], work[PROPOSAL + q], accept);
    if (LOW != 0u && accept) {
      work[X + LOW + q] = 0.0;
    }
  }
  sync();
  return Transition(
    before, select(before, after, accept), select(0.0, exp_f(min(gain, 0.0)), number),
  );
}

// uses: group math positions two_floats low_parts threefry fine_normals finite pair_energies mint_prior gauge soft_lennard_jones clip saturation level_energy pair_flow hmc
// Annealing paths: one workgroup takes one sample through levels [begin, end) of its path, or back from `begin`
// to `end`: the pair flow, then an underdamped (OABA) or an adjusted (HMC) transition
// (src/backends/reference/path.ts). What W + U gains is written for every level; the host sums it in float64.

struct Job {
  /** Number of the first sample, as random numbers count them. */
  first_sample: u32,
  /** Samples in the arrays: the row length of `results`. */
  samples: u32,
  /** Place of this dispatch's first sample in the arrays. */
  offset: u32,
  /** K. */
  levels: u32,
  /** Level this dispatch begins with; on the way back the one above it. */
  begin: u32,
  /** Level it stops before; on the way back the last one. */
  end: u32,
  /** L of the adjusted kernel. */
  leapfrogs: u32,
  /** m of PathModel.refreshInterval. */
  refresh_interval: u32,
  /** Key of the random numbers. */
  key: vec2<u32>,
  /** 1: velocities are drawn. */
  start: u32,
  /** 1: the level before `begin` has half a kick and a drift to come. */
  pending: u32,
  /** 1: the last level's are done too. */
  finish: u32,
  /** 1: sample s goes on from where sample ancestors[s] stands. */
  gather: u32,
  /** HMC transitions for the level before `begin` come first: the number of the first. */
  move_begin: u32,
  /** The transition they stop before. */
  move_end: u32,
  /** Transitions after each resampling. */
  moves: u32,
  /** Their leapfrogs. */
  move_leapfrogs: u32,
  /** Key of their random numbers. */
  move_key: vec2<u32>,
  /** Their time step in units of the level's. */
  move_step: f32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
/** Levels and tables of the flow: common/level_energy.wgsl. */
@group(0) @binding(1) var<storage, read> path: array<f32>;
@group(0) @binding(2) var<storage, read> prior: array<f32>;
@group(0) @binding(3) var<storage, read> ancestors: array<f32>;
/**
 * For every sample: x, v, their low parts (two_floats.wgsl), the half kick still to come (N·n each), 1 while no
 * loop was cut.
 */
@group(0) @binding(4) var<storage, read> before: array<f32>;
@group(0) @binding(5) var<storage, read_write> after: array<f32>;
/**
 * For every level (row) and sample: what W + U gains before the level's weight is taken; what it gains after
 * that, or the acceptance probability; U_k where the weight is taken; what W + U gains by moves. (4 K, samples).
 */
@group(0) @binding(6) var<storage, read_write> results: array<f32>;

/** The state's numbers, which stand in the scratch as they do in the carry: from X. */
const STATE: u32 = 3u * SIZE + LOW;
const CARRY: u32 = STATE + 1u;

fn write_result(row: u32, level: u32, value: f32, sample: u32, lid: u32) {
  if (lid == 0u) {
    results[(row * job.levels + level) * job.samples + sample] = value;
  }
}

/** x += by · Δ_k v; no barrier: every thread has its own coordinates. */
fn drift(level: u32, by: f32, lid: u32) {
  let row = level_at(i32(level));
  let dt = by * vec2<f32>(path[row + 4u], path[row + 8u]);
  for (var q = lid; q < SIZE; q += W) {
    let v = VELOCITY + q;
    add_to(X + q, fma(dt.x, work[v], fma(dt.x, work[v + LOW], dt.y * work[v])));
  }
}

/** KICK ← by · Δ_k KICK. */
fn scale_kick(level: u32, by: f32, lid: u32) {
  let row = level_at(i32(level));
  let dt = by * vec2<f32>(path[row + 4u], path[row + 8u]);
  for (var q = lid; q < SIZE; q += W) {
    let force = work[KICK + q];
    work[KICK + q] = fma(dt.x, force, dt.y * force);
  }
}

/** The velocities a path begins with: normals without a centre-of-mass part. Ends with a barrier. */
fn begin_velocities(sample: u32, lid: u32) {
  for (var p = lid; 2u * p < SIZE; p += W) {
    let counter = job.levels * COUNTERS_PER_LEVEL + p;
    let z = fine_normal_pair(job.key, vec2<u32>(sample, counter));
    for (var k = 0u; k < 2u && 2u * p + k < SIZE; k++) {
      work[VELOCITY + 2u * p + k] = z[k];
      work[VELOCITY + LOW + 2u * p + k] = z[k + 2u];
    }
  }
  sync();
  if (lid < DIM) {
    var sum = 0.0;
    for (var i = 0u; i < rolled(N); i++) {
      sum += work[VELOCITY + i * DIM + lid];
    }
    for (var i = 0u; i < rolled(N); i++) {
      add_to(VELOCITY + i * DIM + lid, -sum / f32(N));
    }
  }
  sync();
}

/** v += KICK; the kinetic energy lost, returned to all threads. */
fn add_kick(lid: u32) -> f32 {
  var gained = 0.0;
  for (var q = lid; q < SIZE; q += W) {
    let d = work[KICK + q];
    let v = work[VELOCITY + q];
    gained = fma(d, fma(0.5, d, v), gained);
    add_to(VELOCITY + q, d);
  }
  return -group_sum(gained, lid);
}

/** v ← ηv + √(1 − η²) ξ with ξ centred, along one axis (PathModel.friction); begins and ends with a barrier. */
fn refresh(level: u32, sample: u32, lid: u32) {
  sync();
  let row = level_at(i32(level));
  let eta = vec2<f32>(path[row + 5u], path[row + 9u]);
  let rest = vec2<f32>(path[row + 6u], path[row + 10u]);
  if (rest.x != 0.0) {
    let counter = level * COUNTERS_PER_LEVEL;
    for (var p = lid; 2u * p < N - 1u; p += W) {
      let z = fine_normals_of_words(thrifty_words(job.key, sample, counter, p));
      for (var k = 0u; k < 2u && 2u * p + k < N - 1u; k++) {
        work[NOISE + 2u * p + k] = z[k];
        work[NOISE_LOW + 2u * p + k] = z[k + 2u];
      }
    }
    sync();
    // The last particle's: LevelNoise.centred in src/backends/reference/hmc.ts.
    if (lid == 0u) {
      var sum = vec2<f32>();
      for (var i = 0u; i < rolled(N - 1u); i++) {
        let next = two_sum(sum.x, work[NOISE + i]);
        sum = vec2<f32>(next.x, sum.y + (next.y + work[NOISE_LOW + i]));
      }
      let last = times(vec2<f32>(LAST_OF_CENTRED, LAST_OF_CENTRED_LOW), sum);
      work[NOISE + N - 1u] = last.x;
      work[NOISE_LOW + N - 1u] = last.y;
    }
    sync();
    // Its rounding moves the centre of mass, which changes nothing.
    let mean = INVERSE_ROOT_N * work[NOISE + N - 1u];
    let axis = level / job.refresh_interval % DIM;
    for (var i = lid; i < N; i += W) {
      let at = VELOCITY + i * DIM + axis;
      let centred = two_sum(work[NOISE + i], -mean);
      let noise = times(rest, vec2<f32>(centred.x, centred.y + work[NOISE_LOW + i]));
      let kept = times(eta, vec2<f32>(work[at], work[at + LOW]));
      let v = two_sum(kept.x, noise.x);
      work[at] = v.x;
      work[at + LOW] = v.y + (kept.y + noise.y);
    }
    sync();
  }
}

/** The second half of a level's kick, and the drift after it. */
fn complete(level: u32, place: u32, lid: u32) {
  write_result(1u, level, add_kick(lid), place, lid);
  drift(level, 0.5, lid);
}

/**
 * HMC transitions for `level` at the point where its weight is taken; they leave W as it is. The half kick
 * still to come is that of the new place.
 */
fn move_at(level: u32, place: u32, sample: u32, lid: u32) {
  let dt = path[level_at(i32(level)) + 4u];
  var gain = 0.0;
  for (var m = job.move_begin; m < job.move_end; m++) {
    let counter = (level * job.moves + m) * COUNTERS_PER_LEVEL;
    draw_thrifty_velocities(MOMENTUM, job.move_key, sample, counter, lid);
    let moved = hmc_transition(
      i32(level), job.move_step * dt, job.move_leapfrogs, false, job.move_key, sample, counter, lid,
    );
    gain += moved.after - moved.before;
  }
  if (lid == 0u) {
    let at = (3u * job.levels + level) * job.samples + place;
    results[at] = select(results[at], 0.0, job.move_begin == 0u) + gain;
  }
  if (!ADJUSTED) {
    _ = level_energy(i32(level), X, KICK, lid);
    clip_level(i32(level), KICK, lid);
    scale_kick(level, -0.5, lid);
    sync();
  }
}

/** Number i of the flow's tables. */
fn flow_number(i: u32) -> f32 {
  return path[u32(path[0]) + i];
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let place = job.offset + group.x;
  let sample = job.first_sample + group.x;
  var source = place * CARRY;
  if (job.gather == 1u) {
    source = u32(ancestors[place]) * CARRY;
  }
  for (var q = lid; q < STATE; q += W) {
    work[X + q] = before[source + q];
  }
  sync();
  if (job.start == 1u) {
    begin_velocities(sample, lid);
  }
  if (MOVES && job.move_end > job.move_begin) {
    move_at(job.begin - 1u, place, sample, lid);
  }
  if (!ADJUSTED && job.pending == 1u) {
    complete(job.begin - 1u, place, lid);
    sync();
  }
  let count = select(job.begin - job.end, job.end - job.begin, FORWARD);
  for (var k = 0u; k < count; k++) {
    let level = select(job.begin - 1u - k, job.begin + k, FORWARD);
    let dt = path[level_at(i32(level)) + 4u];
    var gain = 0.0;
    if (FLOW && FORWARD) {
      gain += pair_flow(level, X, false, lid);
    }
    if (ADJUSTED) {
      let counter = level * COUNTERS_PER_LEVEL;
      draw_thrifty_velocities(MOMENTUM, job.key, sample, counter, lid);
      let moved = hmc_transition(i32(level), dt, job.leapfrogs, true, job.key, sample, counter, lid);
      gain += select(-1.0, 1.0, FORWARD) * (moved.after - moved.before);
      write_result(1u, level, moved.acceptance, place, lid);
      write_result(2u, level, moved.after, place, lid);
    } else {
      if (FORWARD) {
        refresh(level, sample, lid);
      }
      drift(level, select(-0.5, 0.5, FORWARD), lid);
      sync();
      let energy = level_energy(i32(level), X, KICK, lid);
      clip_level(i32(level), KICK, lid);
      scale_kick(level, select(1.0, -0.5, FORWARD), lid);
      // On the way back, the kinetic energy gained is what the forward kick loses.
      gain += select(-1.0, 1.0, FORWARD) * add_kick(lid);
      write_result(2u, level, energy, place, lid);
      if (FORWARD) {
        if (k + 1u < count || job.finish == 1u) {
          complete(level, place, lid);
        }
      } else {
        drift(level, -0.5, lid);
        refresh(level, sample, lid);
      }
      sync();
    }
    if (FLOW && !FORWARD) {
      gain += pair_flow(level, X, true, lid);
    }
    write_result(0u, level, gain, place, lid);
  }
  let to = place * CARRY;
  for (var q = lid; q < STATE; q += W) {
    after[to + q] = work[X + q];
  }
  if (lid == 0u) {
    after[to + STATE] = before[source + STATE] * loops_ran();
  }
}

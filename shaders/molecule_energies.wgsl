// uses: group math finite positions molecule_geometry generalised_born
// Energies by term and gradients of conformations of one molecule, softened where asked, one workgroup for
// each. Bonded terms have slots (common/molecule_geometry.wgsl); of all pairs one thread owns an atom and
// visits all others. The soft core's formulas: src/systems/molecule/soften.ts.

struct Job {
  /** Place of this dispatch's first conformation. */
  offset: u32,
  /** Always 0; see rolled(). */
  zero: u32,
  /** 0 nothing is softened, 1 shifted, 2 beutler. */
  soft_kind: u32,
  /** 1 − t of shifted, α (1 − t)² of beutler. */
  strength: f32,
  /** c, the factor on B. */
  attraction: f32,
  /** The factor on products of charges: t, 1 where nothing is softened. */
  charges: f32,
  /** The factor on bonded terms: b + (1 − b) t, 1 where nothing is softened. */
  bonded: f32,
}

/** 0.1⁶ nm⁶: BARE_SIGMA⁶ of soften.ts, for pairs that have no σ. */
const BARE_SIXTH: f32 = 1e-6;

@group(0) @binding(0) var<uniform> job: Job;
/** Tables as src/backends/webgpu/molecule.ts packs them. */
@group(0) @binding(1) var<storage, read> molecule: array<f32>;
/** (count, N, 3). */
@group(0) @binding(2) var<storage, read> positions: array<f32>;
/** For every conformation its gradient (3N), bonds, angles, torsions, nonbonded, solvent, 1 while no loop was cut. */
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

/** nonbonded_pair at a soft distance R. */
fn soft_pair(charges: f32, a: f32, b: f32, squared: f32) -> vec2<f32> {
  var sigma6 = BARE_SIXTH;
  if (a > 0.0 && b > 0.0) {
    sigma6 = a / b;
  }
  if (job.soft_kind == 2u) {
    let fourth = squared * squared;
    let inverse6 = 1.0 / fma(job.strength, sigma6, fourth * squared);
    let electrostatic = job.charges * charges * exp_f(log_f(inverse6) / 6.0);
    let repulsion = a * inverse6 * inverse6;
    let attraction = b * inverse6;
    // dR/dr = r⁵/R⁵.
    return vec2<f32>(
      repulsion - attraction + electrostatic,
      fma(-12.0, repulsion, fma(6.0, attraction, -electrostatic)) * fourth * inverse6,
    );
  }
  let r = sqrt(squared);
  let inverse = 1.0 / fma(job.strength, exp_f(log_f(2.0 * sigma6) / 6.0), r);
  let inverse2 = inverse * inverse;
  let inverse6 = inverse2 * inverse2 * inverse2;
  let electrostatic = job.charges * charges * inverse;
  let repulsion = a * inverse6 * inverse6;
  let attraction = job.attraction * b * inverse6;
  return vec2<f32>(
    repulsion - attraction + electrostatic,
    fma(-12.0, repulsion, fma(6.0, attraction, -electrostatic)) * inverse / r,
  );
}

/** Coulomb and Lennard-Jones of a pair at squared distance `squared`: (u, u′/r); rows q q, A, B. */
fn nonbonded_pair(i: u32, j: u32, squared: f32) -> vec2<f32> {
  let row = PAIRS_AT + 3u * (i * N + j);
  let charges = molecule[row];
  let a = molecule[row + 1u];
  let b = molecule[row + 2u];
  // An excluded pair may coincide.
  if (charges == 0.0 && a == 0.0 && b == 0.0) {
    return vec2<f32>();
  }
  if (job.soft_kind != 0u) {
    return soft_pair(charges, a, b, squared);
  }
  let inverse = 1.0 / sqrt(squared);
  let inverse2 = inverse * inverse;
  let inverse6 = inverse2 * inverse2 * inverse2;
  let electrostatic = charges * inverse;
  // A r⁻⁶ first: r⁻¹² overflows where A = 0.
  let repulsion = a * inverse6 * inverse6;
  let attraction = b * inverse6;
  return vec2<f32>(
    repulsion - attraction + electrostatic,
    fma(-12.0, repulsion, fma(6.0, attraction, -electrostatic)) * inverse2,
  );
}

@compute @workgroup_size(W)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
  set_work_base(group.x);
  let place = job.offset + group.x;
  for (var q = lid; q < SIZE; q += W) {
    work[X + q] = positions[place * SIZE + q];
  }
  sync();
  let bonded = job.bonded * bonded_terms(lid);
  var solvent = 0.0;
  if (SOLVENT != 0u) {
    solvent = born_radii(lid);
  }
  sync();
  let to = place * (SIZE + 6u);
  var nonbonded = 0.0;
  for (var i = lid; i < N; i += W) {
    let xi = position(X, i);
    var g = vec3<f32>();
    var own = 0.0;
    var solvated = 0.0;
    var by_radius = 0.0;
    for (var j = 0u; j < rolled(N); j++) {
      if (j == i) {
        continue;
      }
      let d = xi - position(X, j);
      let squared = dot(d, d);
      let pair = nonbonded_pair(i, j, squared);
      var slope = pair.y;
      own += select(0.0, pair.x, j > i);
      if (SOLVENT != 0u) {
        let screened = solvated_pair(i, j, squared);
        solvated += select(0.0, screened.x, j > i);
        slope += screened.y;
        by_radius += screened.z;
      }
      g = fma(vec3<f32>(slope), d, g);
    }
    nonbonded += own;
    solvent += solvated;
    g += job.bonded * bonded_gradient(i);
    for (var a = 0u; a < DIM; a++) {
      work[GRADIENT + i * DIM + a] = g[a];
    }
    if (SOLVENT != 0u) {
      work[CHAIN + i] = (work[BY_RADIUS + i] + by_radius) * work[BY_INTEGRAL + i];
    }
  }
  sync();
  for (var i = lid; i < N; i += W) {
    var g = position(GRADIENT, i);
    if (SOLVENT != 0u) {
      g += born_chain(i);
    }
    for (var a = 0u; a < DIM; a++) {
      results[to + i * DIM + a] = g[a];
    }
  }
  let bonds = group_sum(bonded.x, lid);
  let angles = group_sum(bonded.y, lid);
  let torsions = group_sum(bonded.z, lid);
  let pairs = group_sum(nonbonded, lid);
  let solvation = group_sum(solvent, lid);
  if (lid == 0u) {
    results[to + SIZE] = bonds;
    results[to + SIZE + 1u] = angles;
    results[to + SIZE + 2u] = torsions;
    results[to + SIZE + 3u] = pairs;
    results[to + SIZE + 4u] = solvation;
    results[to + SIZE + 5u] = loops_ran();
  }
}

// What one dispatch of a kernel of whole paths does; binding 0 of julep.wgsl and controlled_diffusion.wgsl.

struct Job {
  /** Number of the first sample, as random numbers count them. */
  first_sample: u32,
  /** Samples in `kept`: its row length. */
  samples: u32,
  /** Place of this dispatch's first sample in `kept`. */
  offset: u32,
  /** T. */
  steps: u32,
  /** First visit of this dispatch, in the order of the path: a state of julep.wgsl, a step of a comparator. */
  visit_from: u32,
  /** Visit it stops before. */
  visit_to: u32,
  /** 1: from t = 0 by k⁺; 0: from t = 1 by k⁻. */
  forward: u32,
  /** 1: states and forces go to `kept`. */
  keep: u32,
  /** Key of the random numbers. */
  key: vec2<u32>,
  /** Normals start at this counter times the step. */
  counters_per_step: u32,
  /** Samples in `results`: its row length. */
  row: u32,
  /** Place in `carry` and `results` of the first sample of `kept`. */
  column: u32,
  /** Ticks of the network's pass that this dispatch does, tick_from ... tick_to − 1; all TICKS of them unless one
   * visit is too long for one dispatch. */
  tick_from: u32,
  /** Tick it stops before. */
  tick_to: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;

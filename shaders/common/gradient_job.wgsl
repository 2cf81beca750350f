// What one dispatch of a gradient along stored paths does; binding 0 of julep_gradient.wgsl and
// controlled_diffusion_gradient.wgsl. Items and slots are told there.

struct Job {
  /** Samples in `kept`: its row length. */
  samples: u32,
  /** T. */
  steps: u32,
  /** Items up to the last one of this dispatch. */
  items: u32,
  /** Place of the first item. */
  first_item: u32,
  /** Items of one workgroup. */
  per_group: u32,
  /** First item of each workgroup that this dispatch does. */
  item_from: u32,
  /** Item of each workgroup it stops before. */
  item_to: u32,
  /** Numbers in a slot. */
  slot_size: u32,
  /** S: samples in `coefficients` and `rates`, their row length. */
  row: u32,
  /** Place there of the first sample of `kept`. */
  column: u32,
  /** Ticks that this dispatch does of an item's 2·TICKS (the network forward, then backward); all of them unless
   * one item is too long for one dispatch. */
  tick_from: u32,
  /** Tick it stops before. */
  tick_to: u32,
  /** Always 0; see rolled(). */
  zero: u32,
}

@group(0) @binding(0) var<uniform> job: Job;

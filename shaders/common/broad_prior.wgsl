// A prior without components: its broad part is all there is (common/mint_prior.wgsl).

fn prior_begin(x: u32, lid: u32) {}

fn prior_bound(k: u32, g: u32) -> f32 {
  return NOTHING;
}

fn prior_term(k: u32, g: u32, x: u32) -> f32 {
  return 0.0;
}

fn prior_forces(x: u32, log_density: f32, lid: u32) {}

fn prior_force(i: u32, a: u32) -> f32 {
  return 0.0;
}

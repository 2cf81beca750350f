// Orbit von Mises-Fisher components (src/mint/orbit_vmf.ts): directions weigh the orbit integral of
// C = Σ_j κ_j μ_j θ_jᵀ. A place's own number is κ; a component's are the constant (without −Σκ, which
// orbit_integral takes off), π, Σκ and 1/Σκ.

fn orbit_left(k: u32, i: u32) -> vec4<f32> {
  let place = component_at(k) + 4u + 8u * i;
  return vec4<f32>(unit_mu(place), prior[place]);
}

fn orbit_right(k: u32, g: u32, i: u32, x: u32) -> vec3<f32> {
  return direction(labelled(g, 0u), labelled(g, i + 1u));
}

fn directional_term(k: u32, g: u32) -> f32 {
  return orbit(k, g, 0u).value;
}

fn directional_slope(k: u32, g: u32, place: u32, theta: vec3<f32>) -> vec3<f32> {
  return prior[place] * (orbit(k, g, 0u).slope * unit_mu(place));
}

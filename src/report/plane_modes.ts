/**
 * A two-dimensional mixture's components as pictures: where each puts its particles around the
 * anchor. A component is averaged over rotations, so its orientation is a matter of taste: here the
 * particle nearest to the anchor lies on the positive x axis, the others' centre above it.
 */
import { mintComponentSize, type MintModel } from "../mint/model.ts";

/** One particle of a component: x = radius·(cos angle, sin angle). */
export interface PlaneParticle {
  /** Median of its LogNormal radius, and the standard deviation of its logarithm. */
  radius: number;
  sigma: number;
  angle: number;
  /** Concentration of its von Mises angle. */
  kappa: number;
}

export interface PlaneMode {
  /** π_k, without the broad component's share. */
  weight: number;
  particles: PlaneParticle[];
}

/** Components of an orbit_vmf model with n = 2, heaviest first; empty for all others. */
export function planeModes(model: MintModel): PlaneMode[] {
  const { components, particles, dimension, parameters } = model;
  if (model.family !== "orbit_vmf" || dimension !== 2 || components === 0) return [];
  const m = particles - 1, size = mintComponentSize(particles, dimension);
  const logits = Array.from({ length: components }, (_, k) => parameters[k * size]);
  const largest = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return logits.map((logit, k) => {
    const at = k * size + 1;
    const found = Array.from({ length: m }, (_, i) => ({
      radius: Math.exp(parameters[at + 2 * m + i]),
      sigma: Math.exp(parameters[at + 3 * m + i]),
      angle: Math.atan2(parameters[at + 2 * i + 1], parameters[at + 2 * i]),
      kappa: Math.exp(parameters[at + 4 * m + i]),
    }));
    return { weight: Math.exp(logit - largest) / total, particles: oriented(found) };
  }).sort((a, b) => b.weight - a.weight);
}

function oriented(particles: PlaneParticle[]): PlaneParticle[] {
  const nearest = particles.reduce((a, b) => b.radius < a.radius ? b : a);
  const turned = particles.map((p) => ({ ...p, angle: p.angle - nearest.angle }));
  const height = turned.reduce((sum, p) => sum + p.radius * Math.sin(p.angle), 0);
  return height >= 0 ? turned : turned.map((p) => ({ ...p, angle: -p.angle }));
}

/**
 * The particle density of the mixture, Σ_k π_k Σ_i LogNormal(r)/r · vonMises(θ), on a grid of
 * cells × cells points over [−extent, extent]², rows from the lowest y on. Its integral is N − 1.
 */
export function planeDensity(modes: PlaneMode[], extent: number, cells: number): Float64Array {
  const density = new Float64Array(cells * cells);
  for (const { weight, particles } of modes) {
    for (const particle of particles) {
      const angular = angularNormalisation(particle.kappa);
      const radial = weight / (Math.sqrt(2 * Math.PI) * particle.sigma * angular);
      for (let row = 0; row < cells; row++) {
        const y = ((row + 0.5) / cells * 2 - 1) * extent;
        for (let column = 0; column < cells; column++) {
          const x = ((column + 0.5) / cells * 2 - 1) * extent;
          const r = Math.hypot(x, y);
          const z = Math.log(r / particle.radius) / particle.sigma;
          const cosine = Math.cos(Math.atan2(y, x) - particle.angle);
          density[row * cells + column] += radial / (r * r) *
            Math.exp(-z * z / 2 + particle.kappa * (cosine - 1));
        }
      }
    }
  }
  return density;
}

/** ∫ e^{κ (cos θ − 1)} dθ by the trapezoid rule, which is exact to rounding for such integrands. */
function angularNormalisation(kappa: number): number {
  const points = Math.max(64, Math.ceil(16 * Math.sqrt(kappa)));
  let sum = 0;
  for (let k = 0; k < points; k++) {
    sum += Math.exp(kappa * (Math.cos(2 * Math.PI * k / points) - 1));
  }
  return sum * 2 * Math.PI / points;
}

/** Half the side of a square that holds these modes to so many standard deviations. */
export function planeExtent(modes: PlaneMode[], deviations = 2.5): number {
  const reach = modes.flatMap((mode) =>
    mode.particles.map((p) => p.radius * Math.exp(Math.min(2, deviations * p.sigma)))
  );
  return Math.max(...reach);
}

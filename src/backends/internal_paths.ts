/** The `paths` job of molecules in internal coordinates: float64 on every backend. */
import { RandomStream, Stream } from "../math/random.ts";
import { type InternalSampler, LOG_ROTATIONS } from "../path/internal_sampler.ts";
import type { PathJob, PathResult } from "./path_jobs.ts";

/**
 * Paths of `count` samples, forward or backward; each takes its random numbers from its own stream.
 * The root atom is at the origin; positions are rounded to float32 after the weight was taken.
 */
export function internalPaths(sampler: InternalSampler, job: PathJob): PathResult {
  const { energy, path } = sampler;
  const { coordinates } = energy;
  const { seed, first, count, direction } = job;
  const size = 3 * coordinates.atoms;
  const forward = direction === "forward";
  const positions = new Float32Array(count * size);
  const priorPositions = new Float32Array(count * size);
  const energies = new Float64Array(count);
  const logWeights = new Float64Array(count);
  const x = new Float64Array(size);
  const before = energy.evaluations;
  let acceptance = 0;
  // A draw of no weight is shown as the reference geometry.
  const stand = sampler.reference;
  const put = (z: Float64Array, s: number, out: Float32Array): void => {
    coordinates.toCartesian(z, x);
    out.set(x, s * size);
  };
  for (let s = 0; s < count; s++) {
    const random = new RandomStream(seed, forward ? Stream.forward : Stream.backward, first + s);
    let result;
    if (forward) result = path.sample(random);
    else {
      const given = job.positions!.slice(s * size, (s + 1) * size);
      result = path.backward(sampler.coordinatesOf(given), random);
    }
    put(result.start ?? stand.z, s, priorPositions);
    put(result.z ?? stand.z, s, positions);
    // V = U − log J.
    energies[s] = result.z ? result.value + coordinates.logJacobian(result.z) : stand.energy;
    const w = result.logWeight + LOG_ROTATIONS;
    logWeights[s] = Number.isFinite(w) ? w : -Infinity;
    if (result.acceptance > 0) acceptance += result.acceptance / count;
  }
  const cost = { gradients: energy.evaluations - before, energies: 0, flowPasses: 0 };
  return {
    positions,
    energies,
    logWeights,
    priorPositions,
    acceptance: Float64Array.of(acceptance),
    cost,
  };
}

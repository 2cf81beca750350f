/** The jobs of path_jobs.ts on the device: whole paths, islands, chains. Weights in float64. */
import { Stream, streamKey } from "../../math/random.ts";
import { levelCount, type PathModel } from "../../path/model.ts";
import type {
  ChainsJob,
  ChainsResult,
  IslandJob,
  IslandResult,
  PathJob,
  PathResult,
} from "../backend.ts";
import { checkChains } from "../chains.ts";
import type { ExactParts } from "../exact.ts";
import { pathCost, weighPaths } from "../paths.ts";
import { checkIsland, IslandRecord } from "../smc.ts";
import { CHAIN_JITTER } from "../reference/hmc.ts";
import { centredPositions } from "../wasm/path.ts";
import { problemConstants } from "./constants.ts";
import type { Dispatch } from "./device.ts";
import { GpuError } from "./errors.ts";
import type { GpuKernels } from "./kernels.ts";
import { evaluationsAtOnce, type GpuPath, packPath } from "./path.ts";

/**
 * Levels of an island that are run before their weights are looked at. Where one of them resamples, those
 * after it were in vain; where none does, the device was asked once instead of this many times.
 */
const LEVELS_AHEAD = 8;

/** Samples (count, N, n) with the centre of mass at the origin. */
function inGauge({ system, size }: ExactParts, x: ArrayLike<number>, count: number): Float64Array {
  return centredPositions(x, count, size, system.dimension);
}

/** Annealed paths with exact log-weights: all levels in one submission for each population. */
export async function gpuPaths(
  parts: ExactParts,
  path: GpuPath,
  job: PathJob,
): Promise<PathResult> {
  const { count } = job;
  const { size } = parts;
  const model = parts.path;
  const K = levelCount(model);
  const adjusted = model.kernel === "adjusted";
  const forward = job.direction === "forward";
  const result = {
    positions: new Float32Array(count * size),
    energies: new Float64Array(count),
    logWeights: new Float64Array(count),
    priorPositions: new Float32Array(count * size),
    acceptance: new Float64Array(adjusted ? K : 0),
    increments: job.keepIncrements && forward ? new Float64Array(K * count) : undefined,
    cost: pathCost(model, count),
  };
  const [starts, ends] = forward
    ? [result.priorPositions, result.positions]
    : [result.positions, result.priorPositions];
  const most = path.largestPopulation;
  for (let from = 0; from < count; from += most) {
    const n = Math.min(most, count - from);
    const part = { seed: job.seed, first: job.first + from, count: n };
    const drawn = forward ? parts.drawPathPrior(part) : null;
    const given = drawn?.positions ?? job.positions!.subarray(from * size, (from + n) * size);
    const start = inGauge(parts, given, n);
    starts.set(start, from * size);
    const stream = forward ? Stream.pathForward : Stream.pathBackward;
    const population = path.population({ ...part, forward, moves: null }, stream, start);
    const end = await population.record({
      from: forward ? 0 : K,
      to: forward ? K : 0,
      start: !adjusted,
      pending: false,
      finish: true,
      ancestors: null,
    });
    const gains = await population.submit(0, K);
    population.moveTo(end);
    ends.set(await population.positions(), from * size);
    for (let s = 0; s < n; s++) {
      let W = drawn ? -drawn.logDensity[s] : 0;
      for (let step = 0; step < K; step++) {
        const level = forward ? step : K - 1 - step;
        const at = level * n + s;
        W += gains.before[at];
        if (result.increments) {
          result.increments[level * count + from + s] = W - gains.energies[at];
        }
        if (adjusted) result.acceptance[level] += gains.after[at] / count;
        else if (forward) W += gains.after[at];
      }
      result.logWeights[from + s] = W;
    }
  }
  weighPaths(parts, job, result, K);
  return result;
}

/** One island: levels on the device, a few at a time; weights and resampling here. */
export async function gpuIsland(
  parts: ExactParts,
  path: GpuPath,
  job: IslandJob,
): Promise<IslandResult> {
  checkIsland(job);
  const K = levelCount(parts.path);
  const adjusted = parts.path.kernel === "adjusted";
  const n = job.population;
  const record = new IslandRecord(parts, job);
  const options = { seed: job.seed, first: job.island * n, count: n };
  const drawn = parts.drawPathPrior(options);
  const moves = job.moves ?? null;
  const population = path.population(
    { ...options, forward: true, moves },
    Stream.pathForward,
    inGauge(parts, drawn.positions, n),
  );
  const accumulated = drawn.logDensity.map((l) => -l);
  const acceptance = new Float64Array(adjusted ? K : 0);
  let ancestors: Int32Array | null = null;
  const stretch = (from: number, to: number) => ({
    from,
    to,
    start: from === 0 && !adjusted,
    pending: from > 0,
    finish: to === K,
    ancestors,
  });
  for (let from = 0; from < K;) {
    const to = Math.min(K, from + LEVELS_AHEAD);
    const ahead = await population.record(stretch(from, to));
    // What the level before `from` gained after its weight was taken comes with this submission.
    const low = Math.max(0, from - 1);
    const gains = await population.submit(low, to);
    let level = from;
    let chosen: Int32Array | null = null;
    while (level < to && !chosen) {
      const at = (level - low) * n;
      const weights = new Float64Array(n);
      for (let s = 0; s < n; s++) {
        if (level === from && moves && ancestors) accumulated[s] += gains.moves[at - n + s];
        if (level > 0 && !adjusted) accumulated[s] += gains.after[at - n + s];
        accumulated[s] += gains.before[at + s];
        weights[s] = accumulated[s] - gains.energies[at + s];
        if (adjusted) acceptance[level] += gains.after[at + s] / n;
      }
      chosen = record.weigh(level, weights);
      if (chosen) {
        for (let s = 0; s < n; s++) accumulated[s] = gains.energies[at + chosen[s]];
      }
      level++;
    }
    // Levels after a resampling were in vain: once more up to it, with the next submission.
    population.moveTo(level === to ? ahead : await population.record(stretch(from, level)));
    ancestors = chosen;
    from = level;
    if (from === K && !adjusted) {
      const last = (K - 1 - low) * n;
      for (let s = 0; s < n; s++) accumulated[s] += gains.after[last + s];
    }
  }
  return record.result(await population.positions(), accumulated, acceptance);
}

/** Chains on the target, each a workgroup: warm-up and draws in few submissions. */
export async function gpuChains(
  parts: ExactParts,
  kernels: GpuKernels,
  job: ChainsJob,
): Promise<ChainsResult> {
  checkChains(job);
  const { count, draws, thin, warmup, leapfrogs, seed, first } = job;
  const { size, system } = parts;
  const { device } = kernels;
  const path = targetPath(leapfrogs);
  const problem = { system, mint: null, path };
  const prepared = await kernels.prepare(
    "hmc",
    problemConstants({
      system,
      mint: null,
      julep: null,
      purpose: "path",
      path: {
        mixture: true,
        saturates: false,
        adjusted: true,
        twoFloats: false,
        forward: true,
        moves: false,
        flow: null,
      },
    }),
  );
  const width = size + 4;
  const carried = new Float32Array(count * width);
  const start = inGauge(parts, job.positions, count);
  for (let c = 0; c < count; c++) {
    carried.set(start.subarray(c * size, (c + 1) * size), c * width);
    carried.set([job.stepSize, 0, 0, 1], c * width + size);
  }
  const carry = kernels.upload("carry 0", carried);
  const most = Math.min(count, kernels.groupsAtOnce(prepared));
  const key = streamKey(seed, Stream.chain);
  const positions = new Float32Array(count * draws * size);
  const atOnce = evaluationsAtOnce(problem, kernels, prepared, most, leapfrogs + 1);
  const drawsAtOnce = Math.max(1, Math.min(draws, largestDraws(kernels, count * size)));
  let carriedBack = carried;
  for (let firstDraw = 0; firstDraw < draws; firstDraw += drawsAtOnce) {
    const n = Math.min(drawsAtOnce, draws - firstDraw);
    const kept = device.buffer("draws", count * n * size);
    const buffers = kernels.withScratch(prepared, [
      kernels.upload("path", packPath(path, system.dimension)),
      device.buffer("path prior", 4),
      carry,
      kept,
    ], most);
    const begin = firstDraw === 0 ? 0 : warmup + firstDraw * thin;
    const end = warmup + (firstDraw + n) * thin;
    const dispatches: Dispatch[] = [];
    for (let from = begin; from < end; from += atOnce) {
      for (let offset = 0; offset < count; offset += most) {
        const fields = new DataView(new ArrayBuffer(64));
        const to = Math.min(from + atOnce, end);
        [first + offset, offset, from, to, leapfrogs, warmup, thin, firstDraw, n]
          .forEach((value, k) => fields.setUint32(4 * k, value, true));
        fields.setFloat32(36, job.targetAcceptance, true);
        fields.setUint32(40, key[0], true);
        fields.setUint32(44, key[1], true);
        fields.setFloat32(48, CHAIN_JITTER, true);
        const groups = Math.min(most, count - offset);
        dispatches.push({ kernel: prepared.kernel, job: fields.buffer, buffers, groups });
      }
    }
    const label = `hmc of ${count} chains, N = ${system.particles}, ${end - begin} transitions`;
    const [ends, states] = await device.run(label, dispatches, [
      { buffer: carry, length: count * width },
      { buffer: kept, length: count * n * size },
    ]);
    for (let c = 0; c < count; c++) {
      if (ends[(c + 1) * width - 1] !== 1) {
        throw new GpuError(
          `${label}: the device cut loops short (${device.facts.description}); use --backend wasm`,
        );
      }
      positions.set(
        states.subarray(c * n * size, (c + 1) * n * size),
        (c * draws + firstDraw) * size,
      );
    }
    carriedBack = Float32Array.from(ends);
  }
  const column = (k: number) =>
    Float64Array.from({ length: count }, (_, c) => carriedBack[c * width + size + k]);
  return {
    positions,
    energies: parts.targetEnergies(positions, count * draws),
    acceptance: column(2).map((sum) => sum / (draws * thin)),
    stepSize: column(0),
    cost: {
      gradients: count * (warmup + draws * thin) * (leapfrogs + 1),
      energies: count * draws,
      flowPasses: 0,
    },
  };
}

/** Kept states of each chain that fit into one buffer. */
function largestDraws({ device }: GpuKernels, numbers: number): number {
  return Math.floor(Math.min(2 ** 26, device.largestBinding) / (4 * numbers));
}

/** One level, the target: a mixture at t = 1, with no clipping. */
function targetPath(leapfrogs: number): PathModel {
  return {
    kernel: "adjusted",
    leapfrogs,
    levels: { kind: "mixture", times: Float64Array.of(1) },
    stepSize: Float64Array.of(1),
    friction: Float64Array.of(1),
    clip: Float64Array.of(0),
    flow: null,
  };
}

/** Host side of shaders/controlled_diffusion.wgsl and its gradient: the comparators' kernels. */
import { DIFFERENCE, diffusionSteps } from "../../julep/diffusion.ts";
import { MintDensity } from "../../mint/mixture.ts";
import { LANES } from "../backend.ts";
import type { GpuTransport } from "./julep_record.ts";
import type { TransportForm } from "./transport_form.ts";

/** Numbers of every step in the schedule, and those behind them (shaders/common/control.wgsl). */
const ROWS = 9;
const NUMBERS = 6;

export function diffusionForm({ system, mint, julep }: GpuTransport): TransportForm {
  const { particles: N, dimension: n } = system;
  const { targetForce, proximalSteps, adjointClip } = julep.diffusion!;
  const { broadScale } = mint;
  const stepsOf = (times: Float64Array) =>
    diffusionSteps(julep.diffusion!, julep.logStepSize, times, broadScale);
  const scheduleLength = (T: number) => (1 + ROWS) * T + 1 + NUMBERS;
  return {
    trajectories: "controlled_diffusion",
    gradient: "controlled_diffusion_gradient",
    carryLength: N * n + 1,
    visits: (T) => T,
    scheduleLength,
    schedule(times) {
      const T = times.length - 1;
      const steps = stepsOf(times);
      const out = new Float32Array(scheduleLength(T));
      out.set(times);
      [
        steps.pullForward,
        steps.pullBackward,
        steps.sigmaForward,
        steps.sigmaBackward,
        steps.control,
        steps.scale,
        steps.decay,
        steps.precision,
        steps.descent,
      ].forEach((row, k) => out.set(row, (1 + k) * T + 1));
      out.set([
        steps.attraction,
        julep.forceClip ?? 0,
        1 / broadScale ** 2,
        targetForce ? proximalSteps : 0,
        DIFFERENCE * system.lengthScale,
        adjointClip ?? 0,
      ], (1 + ROWS) * T + 1);
      return out;
    },
    constants(times) {
      const { sigmaForward, sigmaBackward } = stepsOf(times);
      return sigmaForward.map((sigma, i) => (N - 1) * n * Math.log(sigma / sigmaBackward[i]));
    },
    // −log q(x) − ½|x|²/s².
    normaliser: -new MintDensity(mint).logDensity(new Float64Array(N * n)),
    items(windows, column, count, T, through) {
      if (!julep.network) return [];
      const items: number[] = [];
      for (let s = column; s < column + count; s++) {
        if (through) {
          for (let step = T - 1; step >= 0; step--) items.push(s, step, 0);
          continue;
        }
        const [first, length] = windows.subarray(2 * Math.floor(s / LANES));
        for (let step = first; step < first + length; step++) items.push(s, step, 0);
      }
      return items;
    },
    together: (T, through) => through ? T : 1,
  };
}

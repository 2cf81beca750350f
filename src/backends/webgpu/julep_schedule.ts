/** The schedule that shaders/julep.wgsl and julep_gradient.wgsl read. */
import type { JulepModel } from "../../julep/model.ts";
import { levelsAt, rowsAt, stepFlow } from "../../julep/pair_path.ts";
import { stepSizes } from "../../julep/schedule.ts";
import { flowTable } from "../../path/flow.ts";
import { packFlowTable } from "../wasm/pair_flow.ts";

/** Numbers of a schedule of T steps. */
export function scheduleLength({ pairDrift, pairFlow }: JulepModel, T: number): number {
  const flow = pairFlow ? 2 * T * (pairFlow.cells + 1) : 0;
  return 10 * T + 6 + (T + 1) * ((pairDrift?.cells ?? 0) + 1) + flow;
}

/**
 * Times, then h = εΔ, σ = √(2h), 1/σ and Δ of every step; then of every state the force's clip, the row of
 * its level, and the pair drift's table; of every step the pair flow's (shaders/common/pair_path.wgsl).
 */
export function schedule(julep: JulepModel, times: Float64Array): Float32Array<ArrayBuffer> {
  const T = times.length - 1;
  const eps = stepSizes(julep.logStepSize, times);
  const { path, pairDrift, pairFlow } = julep;
  const nodes = (pairDrift?.cells ?? 0) + 1;
  const out = new Float32Array(scheduleLength(julep, T));
  out.set(times);
  for (let i = 0; i < T; i++) {
    const duration = times[i + 1] - times[i];
    const h = eps[i] * duration;
    out[T + 1 + i] = h;
    out[2 * T + 1 + i] = Math.sqrt(2 * h);
    out[3 * T + 1 + i] = 1 / Math.sqrt(2 * h);
    out[4 * T + 1 + i] = duration;
  }
  out.fill(julep.forceClip ?? 0, 5 * T + 1, 6 * T + 2);
  if (path) {
    out.set(rowsAt(path.clip, 1, times), 5 * T + 1);
    out.set(levelsAt(path, times), 6 * T + 2);
  }
  if (pairDrift) out.set(rowsAt(pairDrift.tables, nodes, times), 10 * T + 6);
  if (pairFlow) {
    const from = 10 * T + 6 + (T + 1) * nodes;
    const flow = stepFlow(pairFlow, times);
    for (let i = 0; i < T; i++) {
      const table = packFlowTable(flowTable(flow, i), flow.width);
      out.set(table, from + i * table.length);
    }
  }
  return out;
}

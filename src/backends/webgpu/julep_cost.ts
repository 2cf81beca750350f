/** What a state costs, so that dispatches of shaders/julep*.wgsl stay within what devices bear. */
import type { GpuTransport } from "./julep_record.ts";
import { priorLayout } from "./orbit_vmf.ts";

/** Floating-point operations of one dispatch at most, so that no driver takes it for hung. */
export const WORK_OF_A_DISPATCH = 2e10;

/** Turns of loops in one dispatch at most, below the 65535 of llvmpipe. */
export const TURNS_OF_A_DISPATCH = 50000;

/** Turns that a thread's loops take at one state, rather too many; measured on llvmpipe: 0.7 of it. */
export function turnsOfState(
  { system, mint, julep }: GpuTransport,
  W: number,
  backward: boolean,
): number {
  const { particles: N, dimension: n } = system;
  const times = (items: number) => Math.ceil(items / W);
  const terms = mint.components * priorLayout(mint).labellings;
  const orbit = 4 * N + (n === 3 ? 60 : 0);
  const prior = backward ? 0 : times(terms) * orbit + terms / N * times(N * N) * orbit;
  const base = prior + 8 * N * times(N) + 400;
  const net = julep.network;
  if (!net) return base;
  const H = net.hidden;
  const TE = Math.min(64, Math.max(4, Math.floor(256 / H) * 4));
  const product = times(TE / 4 * H) * (H / 4 + 3);
  const rows = Math.ceil(TE / (N - 1)) + 1;
  const tiles = Math.ceil(N * (N - 1) / TE);
  const dense = times(N / 4 * H) * (H / 4 + 4);
  let tile = product + times(rows * H) * N + 12;
  let layer = 5 * dense;
  if (backward) {
    tile += 2 * product + times(H * H) * (TE / 4 + 2) + times(2 * H) * (2 * TE + 4);
    layer = 16 * dense + 5 * times(H * H) * (N / 4 + 3) + 3 * times(H) * N;
  }
  return 1.4 * (base + net.layers * (tiles * tile + layer));
}

/** Operations of force and network at one state, roughly. */
export function costOfState({ system, julep }: GpuTransport): number {
  const N = system.particles;
  const net = julep.network;
  const edges = N * (N - 1);
  if (!net) return 30 * edges + 1000;
  return 30 * edges + 2 * net.layers * net.hidden ** 2 * (edges + 6 * N);
}

/** What a state costs, so that dispatches of shaders/julep*.wgsl and controlled_diffusion*.wgsl stay within what devices bear. */
import type { GpuTransport } from "./julep_record.ts";
import { tileEdges } from "./constants.ts";
import { EGNN_SHAPE_WITHOUT_NETWORK } from "./egnn.ts";
import { priorTurns } from "./mint_prior.ts";

/** Floating-point operations of one dispatch at most, so that no driver takes it for hung. */
export const WORK_OF_A_DISPATCH = 2e10;

/** Turns that a thread's loops take, rather too many; measured on llvmpipe: 0.7 of it. */
export interface Turns {
  /** At a state, beside the network. */
  readonly base: number;
  /** In a layer, beside its tiles. */
  readonly layer: number;
  /** In a tile of edges. */
  readonly tile: number;
  /** Tiles of all layers in one pass: TICKS in shaders/common/egnn.wgsl. */
  readonly ticks: number;
  readonly layers: number;
}

/**
 * Of one pass over the network with W threads: forward, or backward.
 *
 * @param through a comparator's gradient through the path
 */
export function turnsOf(
  { system, mint, julep }: GpuTransport,
  W: number,
  backward: boolean,
  through = false,
): Turns {
  const { particles: N, dimension: n } = system;
  const times = (items: number) => Math.ceil(items / W);
  const prior = backward ? 0 : priorTurns(mint, W);
  // The force of a comparator: of its control, or on both sides of a difference.
  const forces = (julep.diffusion?.proximalSteps ?? 0) * (!backward ? 1 : through ? 2 : 0);
  // Sweeps of a flow: one a step; in the gradient one for each kernel.
  const flow = julep.pairFlow ? (backward ? 2 : 1) * (N + 1) * (2 + times(N / 2) * (n + 24)) : 0;
  const base = prior + flow + 8 * N * times(N) + 400 + forces * (N * times(N) + 2 * N + W / 8 + 40);
  const { layers, hidden: H } = julep.network ?? EGNN_SHAPE_WITHOUT_NETWORK;
  const TE = tileEdges(N, H);
  const tiles = Math.ceil(N * (N - 1) / TE);
  const ticks = layers * tiles;
  if (!julep.network) return { base: 1.4 * base, layer: 0, tile: 0, ticks, layers };
  const product = times(TE / 4 * H) * (H / 4 + 3);
  const rows = Math.ceil(TE / (N - 1)) + 1;
  const dense = times(N / 4 * H) * (H / 4 + 4);
  let tile = product + times(rows * H) * Math.min(N, TE) + 12;
  let layer = 5 * dense;
  if (backward) {
    tile = 2 * product + times(H * H) * (TE / 4 + 2) + times(2 * H) * (2 * TE + 4) + 12;
    if (through) tile += times(TE) * (2 * H + 12) + times(N * system.dimension) * (TE + 1);
    layer = 12 * dense + 5 * times(H * H) * (N / 4 + 3) + 3 * times(H) * N;
  }
  return { base: 1.4 * base, layer: 1.4 * layer, tile: 1.4 * tile, ticks, layers };
}

/** Turns of a whole pass. */
export function turnsOfPass({ base, layer, tile, ticks, layers }: Turns): number {
  return base + layers * layer + ticks * tile;
}

/** Ticks that one dispatch does where a pass is too much for it. */
export function ticksAtOnce({ base, layer, tile, ticks, layers }: Turns, most: number): number {
  // Ticks that follow one another begin and end a layer now and then, and one more for the odd ends.
  const each = tile + layer * layers / ticks;
  return Math.max(1, Math.floor((most - base - 2 * layer) / each));
}

/** Operations of force and network at one state, roughly. */
export function costOfState({ system, julep }: GpuTransport): number {
  const N = system.particles;
  const net = julep.network;
  const edges = N * (N - 1);
  const forces = 30 * edges * (julep.diffusion?.proximalSteps ?? 1);
  if (!net) return forces + 1000;
  return forces + 2 * net.layers * net.hidden ** 2 * (edges + 6 * N);
}

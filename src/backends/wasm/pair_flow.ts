/** Host side of assembly/pair_flow.ts: packs a flow's tables. */
import { pairOrder } from "../../path/flow.ts";
import type { PairFlow } from "../../path/model.ts";
import type { KernelInstance } from "./module.ts";

/** Fields of PairFlow in assembly/pair_flow.ts, 4 bytes each. */
const FLOW_FIELDS = 8;

/**
 * Deviations of a flow's table as the WGSL kernel reads them, (cells + 1, 2): R − r at each node and R′ − 1
 * of the cell above it; the last is the tail, proportional to r.
 */
export function packFlowTable(table: Float64Array, width: number): Float32Array {
  const cells = table.length - 1;
  const out = new Float32Array(2 * (cells + 1));
  for (let c = 0; c <= cells; c++) {
    out[2 * c] = table[c] - c * width;
    out[2 * c + 1] = c < cells
      ? (table[c + 1] - table[c]) / width - 1
      : table[cells] / (cells * width) - 1;
  }
  return out;
}

/** The same as the WebAssembly kernel reads it, R = r + 2(α + βr) of each cell: (cells + 1, 2), α and β. */
export function packHalfDeviations(table: Float64Array, width: number): Float32Array {
  const cells = table.length - 1;
  const out = new Float32Array(2 * (cells + 1));
  for (let c = 0; c <= cells; c++) {
    const slope = c < cells ? (table[c + 1] - table[c]) / width : table[cells] / (cells * width);
    out[2 * c] = c < cells ? (table[c] - slope * c * width) / 2 : 0;
    out[2 * c + 1] = (slope - 1) / 2;
  }
  return out;
}

/** All tables of a flow as the WebAssembly kernel reads them. */
export function packFlow({ cells, width, tables }: PairFlow): Float32Array {
  const levels = tables.length / (cells + 1);
  const packed = new Float32Array(2 * tables.length);
  for (let k = 0; k < levels; k++) {
    const table = tables.subarray(k * (cells + 1), (k + 1) * (cells + 1));
    packed.set(packHalfDeviations(table, width), 2 * (cells + 1) * k);
  }
  return packed;
}

/** Writes the PairFlow structure with its tables (those of packFlow) and the order of a sweep. */
export function writeFlow(
  { memory }: Pick<KernelInstance, "memory">,
  flow: PairFlow,
  particles: number,
  dimension: number,
  packed: Float32Array = packFlow(flow),
): { address: number; tables: number } {
  const { cells, width } = flow;
  const order = pairOrder(particles);
  const orderAt = memory.alloc(4 * order.length);
  const tables = memory.alloc(4 * packed.length);
  const address = memory.alloc(4 * FLOW_FIELDS);
  memory.i32(orderAt, order.length).set(order.map((i) => 16 * dimension * i));
  memory.i32(address, FLOW_FIELDS).set([
    dimension,
    cells,
    0, // width and its inverse, floats: below
    0,
    orderAt,
    order.length / 2,
    tables,
    particles * dimension,
  ]);
  memory.f32(address + 8, 2).set([width, 1 / width]);
  memory.f32(tables, packed.length).set(packed);
  return { address, tables };
}

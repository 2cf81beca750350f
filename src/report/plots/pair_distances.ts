import { pairDistances } from "../../sampling/observables.ts";
import { createSystem } from "../../systems/create.ts";
import { Colour } from "../chart.ts";
import { commonRange, type Series } from "../histogram.ts";
import type { ReportInput } from "../input.ts";
import { distributions } from "./distributions.ts";

/** Configurations of each set that go into the histogram: it does not get smoother beyond. */
const MOST = 50_000;

/** Sets of pair distances: prior, weighted samples, reference where given. */
function series(input: ReportInput): Series[] {
  const { system } = input.config;
  const particles = system.kind === "molecule" ? createSystem(system).particles : system.particles;
  const dimension = system.kind === "double_well" ? system.dimension : 3;
  const found: Series[] = [];
  const add = (
    set: ReportInput["samples"],
    look: Pick<Series, "name" | "colour" | "dashed" | "filled">,
  ) => {
    if (!set?.positions || set.positions.length === 0) return;
    const positions = set.positions.subarray(0, MOST * particles * dimension);
    const values = pairDistances(positions, particles, dimension);
    found.push({ ...look, values, logWeights: set.logWeights?.subarray(0, MOST) });
  };
  add(input.prior, { name: "prior", colour: Colour.prior });
  add(input.samples, { name: "weighted samples", colour: Colour.samples, filled: true });
  add(input.reference, { name: "reference", colour: Colour.reference, dashed: true });
  return found;
}

/** Distances between particles, all pairs. */
export function pairDistancePlot(
  input: ReportInput,
  size: { width?: number; height?: number } = {},
): string | null {
  const all = series(input);
  if (all.length === 0) return null;
  const { low, high } = commonRange(all, 0.001);
  return distributions(all, {
    ...size,
    text: {
      title: "Distances between particles",
      description: `Histogram of all pair distances: ${all.map((s) => s.name).join(", ")}.`,
    },
    label: "distance between two particles",
    range: { low: Math.max(0, low), high },
    bins: 90,
  });
}

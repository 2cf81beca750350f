import { Colour } from "../chart.ts";
import { commonRange, drawable, type Series } from "../histogram.ts";
import type { ReportInput } from "../input.ts";
import { distributions } from "./distributions.ts";

/** Energies of prior draws, weighted samples and reference. */
export function energyPlot(input: ReportInput): string | null {
  const { prior, samples, reference } = input;
  const all: Series[] = [];
  if (prior?.energies) all.push({ name: "prior", colour: Colour.prior, values: prior.energies });
  if (samples?.energies) {
    all.push({
      name: "weighted samples",
      colour: Colour.samples,
      filled: true,
      values: samples.energies,
      logWeights: samples.logWeights,
    });
  }
  if (reference?.energies) {
    const values = reference.energies;
    all.push({ name: "reference", colour: Colour.reference, dashed: true, values });
  }
  // The prior's tail of overlapping particles would set the scale: the others do, where there are any.
  const target = all.filter((s) => s.name !== "prior" && drawable(s));
  if (all.length === 0) return null;
  return distributions(all, {
    text: {
      title: "Energies",
      description: `Histogram of the energy U over kT: ${all.map((s) => s.name).join(", ")}.`,
    },
    label: "energy U / kT",
    range: target.length > 0 ? commonRange(target) : commonRange(all, 0.05),
    rule: input.exact?.meanEnergy.value,
  });
}

import * as Plot from "@observablehq/plot";
import { effectiveSampleSize } from "../../sampling/weights.ts";
import { chart, Colour } from "../chart.ts";
import type { ReportInput } from "../input.ts";

/** The pooled ESS of the first n samples, over n: a heavy tail shows as steps down. */
export function runningEssPlot(input: ReportInput): string | null {
  const W = input.samples?.logWeights;
  if (!W || W.length < 200) return null;
  const points = [];
  for (let k = 0; k <= 120; k++) {
    const n = Math.round(100 * (W.length / 100) ** (k / 120));
    points.push({ n, ess: 100 * effectiveSampleSize(W.subarray(0, n)) });
  }
  const fromReference = input.figures?.essFromReference;
  return chart({
    title: "Effective sample size over the number of samples",
    description:
      "Pooled effective sample size of the first n samples. Sudden drops are rare large weights.",
  }, {
    x: { type: "log", label: "samples n", labelArrow: "none", ticks: 4, tickFormat: "~s" },
    y: { label: "ESS of the first n / %", labelArrow: "none", domain: [0, 100], ticks: 5 },
    marks: [
      Plot.ruleY([0], { stroke: Colour.ink, strokeOpacity: 0.5 }),
      Plot.lineY(points, { x: "n", y: "ess", stroke: Colour.samples, strokeWidth: 1.75 }),
      fromReference !== undefined && Number.isFinite(fromReference)
        ? Plot.ruleY([100 * fromReference], { stroke: Colour.reference, strokeDasharray: "4 3" })
        : null,
    ],
  });
}

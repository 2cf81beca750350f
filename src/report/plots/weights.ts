import * as Plot from "@observablehq/plot";
import { logPartitionFunction } from "../../sampling/weights.ts";
import { chart, Colour } from "../chart.ts";
import { commonRange, histogramPoints, type Series, stepLine } from "../histogram.ts";
import type { ReportInput } from "../input.ts";

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** "10⁻³" for powers of ten, nothing for the ticks between. */
function decade(value: number): string {
  const exponent = Math.log10(value);
  if (Math.abs(exponent - Math.round(exponent)) > 1e-9) return "";
  const digits = String(Math.abs(Math.round(exponent))).replace(/\d/g, (d) => SUPERSCRIPTS[+d]);
  return `10${exponent < -0.5 ? "⁻" : ""}${digits}`;
}

/**
 * W − log Z of the sampler's paths, and of backward paths from the reference, on a logarithmic
 * scale: tails are what matters here.
 */
export function weightPlot(
  input: ReportInput,
  size: { width?: number; height?: number } = {},
): string | null {
  const forward = input.samples?.logWeights;
  if (!forward) return null;
  const own = logPartitionFunction(forward).logZ;
  const logZ = input.exact?.exact ? input.exact.logZ!.value : input.figures?.logZBothEnds ?? own;
  if (!Number.isFinite(logZ)) return null;
  const shifted = (W: Float64Array) => W.filter(Number.isFinite).map((w) => w - logZ);
  const all: Series[] = [{
    name: "from the sampler",
    colour: Colour.samples,
    filled: true,
    values: shifted(forward),
  }];
  const backward = input.logWeightsFromReference;
  if (backward?.some(Number.isFinite)) {
    all.push({
      name: "from the reference",
      colour: Colour.reference,
      dashed: true,
      values: shifted(backward),
    });
  }
  const extremes = commonRange(all, 0);
  const range = { low: Math.max(extremes.low, -25), high: Math.min(extremes.high, 40), bins: 100 };
  const lines = all.map((series) => {
    const points = histogramPoints(series, range);
    return { series, points: points.map(({ x, y }) => ({ x, y: y > 0 ? y : NaN })) };
  });
  const densities = lines.flatMap(({ points }) => points.map(({ y }) => y)).filter((y) => y > 0);
  const floor = Math.min(...densities) / 2;
  return chart({
    title: "Log-weights",
    description: `Histogram of W minus log Z on a logarithmic scale: ${
      all.map((s) => s.name).join(", ")
    }. A narrow peak at zero is a perfect sampler; weight far to the right is rarely visited.`,
  }, {
    ...size,
    x: { label: "W − log Z", labelArrow: "none", domain: [range.low, range.high] },
    y: { type: "log", label: "density", labelArrow: "none", tickFormat: decade, ticks: 4 },
    marks: [
      Plot.ruleX([0], { stroke: Colour.ink, strokeDasharray: "1 3" }),
      ...lines.flatMap(({ series, points }) => [
        series.filled
          ? Plot.areaY(points, {
            x: "x",
            y1: floor,
            y2: "y",
            fill: series.colour,
            fillOpacity: 0.18,
            curve: "step",
          })
          : null,
        stepLine(series, points),
      ]),
    ],
  });
}

/** Histograms of one quantity in several sets, on common bins. */
import * as Plot from "@observablehq/plot";
import { chart, type ChartText, Colour } from "../chart.ts";
import { drawable, histogramPoints, type Series, stepLine } from "../histogram.ts";

export interface DistributionOptions {
  text: ChartText;
  label: string;
  range: { low: number; high: number };
  bins?: number;
  /** A vertical line, e.g. an exact mean. */
  rule?: number;
  width?: number;
  height?: number;
}

/** One chart, or null when no set can be drawn. */
export function distributions(all: readonly Series[], options: DistributionOptions): string | null {
  const { range, bins = 80 } = options;
  const shown = all.filter(drawable);
  if (shown.length === 0 || !(range.high > range.low)) return null;
  const marks: Plot.Markish[] = [Plot.ruleY([0], { stroke: Colour.ink, strokeOpacity: 0.5 })];
  for (const series of shown) {
    const points = histogramPoints(series, { ...range, bins });
    if (series.filled) {
      marks.push(Plot.areaY(points, {
        x: "x",
        y: "y",
        fill: series.colour,
        fillOpacity: 0.18,
        curve: "step",
      }));
    }
    marks.push(stepLine(series, points));
  }
  if (options.rule !== undefined && Number.isFinite(options.rule)) {
    marks.push(Plot.ruleX([options.rule], { stroke: Colour.ink, strokeDasharray: "1 3" }));
  }
  return chart(options.text, {
    width: options.width,
    height: options.height,
    x: { label: options.label, labelArrow: "none", domain: [range.low, range.high] },
    y: { label: "density", labelArrow: "none", ticks: 4, nice: true },
    marks,
  });
}

/** From sample sets to the lines of a histogram. */
import * as Plot from "@observablehq/plot";
import { type Histogram, weightedHistogram } from "../sampling/observables.ts";
import { normalisedWeights } from "../sampling/weights.ts";
import { quantile } from "./chart.ts";

/** One set in a histogram: several values may belong to one weight. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly dashed?: boolean;
  readonly filled?: boolean;
  readonly values: Float64Array;
  readonly logWeights?: Float64Array;
}

/** A set without any weight (every path failed) cannot be drawn. */
export function drawable(series: Series): boolean {
  return series.values.some(Number.isFinite) &&
    (!series.logWeights || normalisedWeights(series.logWeights).some((w) => w > 0));
}

/** Values of the samples that carry the weight: all but the lightest 0.1 % of it. */
function weighty(series: Series): Float64Array {
  if (!series.logWeights) return series.values;
  const weights = normalisedWeights(series.logWeights);
  const perWeight = series.values.length / weights.length;
  const floor = 1e-3 / weights.length;
  return series.values.filter((_, i) => weights[Math.floor(i / perWeight)] > floor);
}

/** The interval that holds nearly all of the given sets, a little wider. */
export function commonRange(all: readonly Series[], tail = 0.0005): { low: number; high: number } {
  const ranges = all.map((series) => {
    const values = weighty(series);
    return [quantile(values, tail), quantile(values, 1 - tail)];
  });
  const low = Math.min(...ranges.map(([a]) => a)), high = Math.max(...ranges.map(([, b]) => b));
  const margin = high > low ? 0.02 * (high - low) : 0.5;
  return { low: low - margin, high: high + margin };
}

/** Bin centres and densities, in drawing order. */
export function histogramPoints(
  series: Series,
  range: { low: number; high: number; bins: number },
): { x: number; y: number }[] {
  const { edges, density }: Histogram = weightedHistogram(
    series.values,
    series.logWeights ?? null,
    range,
  );
  return Array.from(density, (y, b) => ({ x: (edges[b] + edges[b + 1]) / 2, y }));
}

/** A histogram's outline. */
export function stepLine(
  { colour, dashed }: Series,
  points: readonly { readonly x: number; readonly y: number }[],
): Plot.Markish {
  return Plot.lineY(points, {
    x: "x",
    y: "y",
    stroke: colour,
    strokeWidth: dashed ? 1.25 : 1.75,
    strokeDasharray: dashed ? "4 3" : undefined,
    curve: "step",
  });
}

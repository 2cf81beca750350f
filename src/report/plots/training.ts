/** Training curves: one quantity over the iterations, raw and smoothed. */
import * as Plot from "@observablehq/plot";
import { chart, type ChartText, Colour, quantile, thinned } from "../chart.ts";
import type { ReportInput } from "../input.ts";

interface Curve {
  text: ChartText;
  label: string;
  iterations: readonly number[];
  values: readonly number[];
  colour: string;
  /** A horizontal line, e.g. the exact log Z. */
  rule?: number;
  domain?: [number, number];
  smooth?: boolean;
}

/** Extremes of the first iterations must not flatten the rest: 96 % of the values set the scale. */
function domainOf({ values, rule }: Curve): [number, number] {
  const bounds = [quantile(values, 0.02), quantile(values, 0.98)];
  if (rule !== undefined && Number.isFinite(rule)) bounds.push(rule);
  const [low, high] = [Math.min(...bounds), Math.max(...bounds)];
  const margin = high > low ? 0.08 * (high - low) : 0.5;
  return [low - margin, high + margin];
}

function curvePlot(curve: Curve): string | null {
  if (!curve.values.some(Number.isFinite)) return null;
  const points = thinned(curve.values.map((y, i) => ({
    x: curve.iterations[i],
    y: Number.isFinite(y) ? y : NaN,
  })));
  const smooth = curve.smooth !== false && points.length >= 30;
  const k = Math.max(3, Math.round(points.length / 20));
  return chart(curve.text, {
    width: 300,
    height: 210,
    x: { label: "iteration", labelArrow: "none", ticks: 4, tickFormat: "d" },
    y: {
      label: curve.label,
      labelArrow: "none",
      ticks: 4,
      domain: curve.domain ?? domainOf(curve),
    },
    marks: [
      curve.rule !== undefined && Number.isFinite(curve.rule)
        ? Plot.ruleY([curve.rule], { stroke: Colour.reference, strokeDasharray: "4 3" })
        : null,
      Plot.lineY(points, {
        x: "x",
        y: "y",
        stroke: curve.colour,
        strokeOpacity: smooth ? 0.35 : 1,
        strokeWidth: smooth ? 1 : 1.75,
        clip: true,
      }),
      smooth
        ? Plot.lineY(
          points,
          Plot.windowY({ k, reduce: "median" }, {
            x: "x",
            y: "y",
            stroke: curve.colour,
            strokeWidth: 2,
            clip: true,
          }),
        )
        : null,
    ],
  });
}

const drawn = (plots: (string | null)[]) => plots.filter((plot) => plot !== null);

/** Mint: loss, ESS of the batches, log Z, tempering exponent. */
export function mintTrainingPlots({ mintCurve: curve, exact }: ReportInput): string[] {
  if (!curve || curve.length === 0) return [];
  const iterations = curve.map((p) => p.iteration), colour = Colour.prior;
  return drawn([
    curvePlot({
      text: { title: "Mint: loss", description: "Weighted negative log-likelihood by iteration." },
      label: "loss",
      iterations,
      values: curve.map((p) => p.loss),
      colour,
    }),
    curvePlot({
      text: {
        title: "Mint: ESS",
        description: "Effective sample size of each batch, in per cent.",
      },
      label: "ESS of the batch / %",
      iterations,
      values: curve.map((p) => 100 * p.ess),
      colour,
      domain: [0, 100],
    }),
    curvePlot({
      text: { title: "Mint: log Z", description: "Estimate of log Z of each batch." },
      label: "log Z",
      iterations,
      values: curve.map((p) => p.logZ ?? NaN),
      colour,
      rule: exact?.logZ?.value,
    }),
    curvePlot({
      text: {
        title: "Mint: tempering",
        description: "Exponent of the tempered weights by iteration; 1 is not tempered.",
      },
      label: "tempering exponent",
      iterations,
      values: curve.map((p) => p.temperingExponent),
      colour,
      domain: [0, 1.05],
      smooth: false,
    }),
  ]);
}

/** Julep: loss, path ESS, log Z, and the learned ε(t). */
export function julepTrainingPlots(input: ReportInput): string[] {
  const curve = input.julepCurve ?? [];
  const iterations = curve.map((p) => p.iteration), colour = Colour.samples;
  return drawn([
    curvePlot({
      text: { title: "Julep: loss", description: "Variance of the log-weights by iteration." },
      label: "loss",
      iterations,
      values: curve.map((p) => p.loss),
      colour,
    }),
    curvePlot({
      text: { title: "Julep: path ESS", description: "Path ESS of each iteration, in per cent." },
      label: "path ESS / %",
      iterations,
      values: curve.map((p) => 100 * p.ess),
      colour,
      domain: [0, 100],
    }),
    curvePlot({
      text: { title: "Julep: log Z", description: "Estimate of log Z of each iteration." },
      label: "log Z",
      iterations,
      values: curve.map((p) => p.logZ),
      colour,
      rule: input.exact?.logZ?.value,
    }),
    stepSizePlot(input),
  ]);
}

/** The learned step size ε(t), log-linear between its knots, and the constant it started from. */
function stepSizePlot({ logStepSize, config }: ReportInput): string | null {
  if (!logStepSize || logStepSize.length === 0) return null;
  const knots = Array.from(logStepSize, Math.exp).map((epsilon, k) => ({
    t: logStepSize.length > 1 ? k / (logStepSize.length - 1) : 0.5,
    epsilon,
  }));
  if (!knots.every(({ epsilon }) => Number.isFinite(epsilon) && epsilon > 0)) return null;
  const ends = knots.length > 1 ? knots : [0, 1].map((t) => ({ t, epsilon: knots[0].epsilon }));
  const { initial } = config.julep.stepSize;
  const start = initial === "path" ? [] : [initial];
  const all = [...start, ...knots.map((knot) => knot.epsilon)];
  return chart({
    title: "Learned step size",
    description: "Step size epsilon over annealing time t, with the value it started from.",
  }, {
    width: 300,
    height: 210,
    x: { label: "t, prior → target", labelArrow: "none", domain: [0, 1], ticks: 4 },
    y: {
      type: "log",
      label: "ε(t)",
      labelArrow: "none",
      ticks: 4,
      tickFormat: "~g",
      domain: [Math.min(...all) / 1.3, Math.max(...all) * 1.3],
    },
    marks: [
      Plot.ruleY(start, { stroke: Colour.reference, strokeDasharray: "4 3" }),
      Plot.lineY(ends, { x: "t", y: "epsilon", stroke: Colour.samples, strokeWidth: 2 }),
      Plot.dot(knots, { x: "t", y: "epsilon", fill: Colour.samples, r: 3 }),
    ],
  });
}

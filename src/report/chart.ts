/** Observable Plot drawn on the server, and what all charts of the report share. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeHtml } from "./format.ts";

/**
 * Each role keeps its colour in all charts; the values stand in `palette` (page.ts puts them in the
 * HTML, picture.ts in the SVG), so that light and dark pages share one drawing.
 */
export const Colour = {
  prior: "var(--prior)",
  samples: "var(--samples)",
  reference: "var(--reference)",
  control: "var(--control)",
  faint: "var(--faint)",
  ink: "var(--ink)",
} as const;

const light = {
  paper: "#ffffff",
  panel: "#f7f9f8",
  ink: "#17211e",
  muted: "#5b6964",
  faint: "#d9e0dd",
  prior: "#b8590a",
  samples: "#0b7a66",
  reference: "#17211e",
  control: "#6f51b5",
  warning: "#8a4b00",
  warningPanel: "#fff6e6",
};
const dark: typeof light = {
  paper: "#101614",
  panel: "#18201d",
  ink: "#e6edea",
  muted: "#9aa9a3",
  faint: "#34403b",
  prior: "#f0a052",
  samples: "#4fd0b0",
  reference: "#e6edea",
  control: "#b59cf2",
  warning: "#ffc978",
  warningPanel: "#2a2113",
};

/** CSS that defines the colours on `selector`, for light and dark. */
export function palette(selector: string): string {
  const variables = (colours: Record<string, string>) =>
    Object.entries(colours).map(([name, value]) =>
      `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}:${value}`
    ).join(";");
  return `${selector}{${variables(light)}}` +
    `@media (prefers-color-scheme:dark){${selector}{${variables(dark)}}}`;
}

export interface ChartText {
  /** Names the chart for a screen reader. */
  title: string;
  /** What it shows, in one or two sentences. */
  description: string;
}

/**
 * One SVG element as text. Sizes are in CSS pixels; the drawing scales with its container. Numbers
 * in paths are rounded to a hundredth of a pixel.
 */
export function chart(text: ChartText, options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const svg = Plot.plot({
    width: 480,
    height: 270,
    marginTop: 26,
    marginLeft: 48,
    marginBottom: 38,
    className: "plot",
    style: { background: "none" },
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    document: document as unknown as Document,
  });
  const style = svg.querySelector("style");
  if (style) style.remove(); // Plot's own; page.ts and picture.ts bring theirs
  const id = text.title.toLowerCase().replace(/[^a-z0-9]+/g, "-"); // titles are unique in a page
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-labelledby", `${id}-title ${id}-description`);
  const heading = `<title id="${id}-title">${escapeHtml(text.title)}</title>` +
    `<desc id="${id}-description">${escapeHtml(text.description)}</desc>`;
  // Plot numbers its clip paths across charts; equal charts must be equal text.
  const clips: string[] = [];
  const own = (clip: string) => {
    if (!clips.includes(clip)) clips.push(clip);
    return `${id}-clip-${clips.indexOf(clip)}`;
  };
  return svg.outerHTML.replace(/^<svg[^>]*>/, (tag) => tag + heading)
    .replace(/plot-clip-\d+/g, own)
    .replace(/-?\d+\.\d{3,}/g, (number) => String(Math.round(Number(number) * 100) / 100));
}

/** The q-quantile of the finite values; NaN when there is none. */
export function quantile(values: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  if (sorted.length === 0) return NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** At most `most` evenly spaced entries, the last one among them. */
export function thinned<T>(points: readonly T[], most = 400): readonly T[] {
  if (points.length <= most) return points;
  return Array.from(
    { length: most },
    (_, k) => points[Math.floor((k + 1) * points.length / most) - 1],
  );
}

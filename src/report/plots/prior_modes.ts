/** The prior in the plane, as in the paper's figure 1. */
import * as Plot from "@observablehq/plot";
import type { MintModel } from "../../mint/model.ts";
import { chart, Colour } from "../chart.ts";
import { percent } from "../format.ts";
import { planeDensity, planeExtent, type PlaneMode, planeModes } from "../plane_modes.ts";

/** Density of particles around the anchor, all components in one picture; null unless n = 2. */
export function priorDensityPlot(
  model: MintModel | undefined,
  height = 480,
): string | null {
  const modes = model ? planeModes(model) : [];
  if (modes.length === 0) return null;
  const extent = planeExtent(modes);
  const cells = 140;
  const density = planeDensity(modes, extent, cells);
  const peak = density.reduce((a, b) => Math.max(a, b), 0);
  if (!(peak > 0) || !Number.isFinite(peak)) return null;
  // Filled contours on top of each other: every level adds the same thin coat of colour.
  const thresholds = [0.01, 0.03, 0.08, 0.16, 0.28, 0.42, 0.58, 0.75, 0.9].map((f) => f * peak);
  return chart({
    title: "The prior's particle density in the plane",
    description: `Contours of the density of particles around the anchor particle at the origin, ` +
      `summed over ${modes.length} mixture components.`,
  }, {
    width: height - 12, // with these margins both axes have the same scale
    height,
    marginTop: 26,
    marginBottom: 38,
    marginLeft: 40,
    marginRight: 12,
    x: { label: null, domain: [-extent, extent], ticks: 5 },
    y: { label: null, domain: [-extent, extent], ticks: 5 },
    marks: [
      Plot.contour(density, {
        width: cells,
        height: cells,
        x1: -extent,
        y1: -extent,
        x2: extent,
        y2: extent,
        fill: Colour.prior,
        fillOpacity: 0.14,
        stroke: Colour.prior,
        strokeOpacity: 0.35,
        strokeWidth: 0.5,
        thresholds,
      }),
      Plot.dot([[0, 0]], { r: 4, fill: Colour.ink }),
    ],
  });
}

/** One standard deviation around a particle, as a closed line. */
function outline({ radius, sigma, angle, kappa }: PlaneMode["particles"][number]) {
  const along = Math.min(0.8, sigma), across = Math.min(0.8, 1 / Math.sqrt(kappa));
  return Array.from({ length: 25 }, (_, k) => {
    const phase = 2 * Math.PI * k / 24;
    const r = radius * Math.exp(along * Math.cos(phase)), a = angle + across * Math.sin(phase);
    return { x: r * Math.cos(a), y: r * Math.sin(a) };
  });
}

/** Each component's mean configuration, heaviest first, with its weight; null unless n = 2. */
export function priorModesPlot(model: MintModel | undefined): string | null {
  const modes = model ? planeModes(model).slice(0, 32) : [];
  if (modes.length === 0) return null;
  const extent = 1.08 * planeExtent(modes, 1);
  const columns = Math.min(5, modes.length), rows = Math.ceil(modes.length / columns);
  const cell = (k: number) => ({ fx: k % columns, fy: Math.floor(k / columns) });
  const particles = modes.flatMap(({ particles }, k) =>
    particles.map((p) => ({
      ...cell(k),
      x: p.radius * Math.cos(p.angle),
      y: p.radius * Math.sin(p.angle),
    }))
  );
  const outlines = modes.flatMap(({ particles }, k) =>
    particles.flatMap((p, i) =>
      outline(p).map((point) => ({ ...cell(k), z: `${k}-${i}`, ...point }))
    )
  );
  const cells = modes.map((mode, k) => ({ ...cell(k), label: percent(mode.weight) }));
  const width = 480;
  const facet = { fx: "fx", fy: "fy" } as const;
  return chart({
    title: "Mean configurations of the prior's components",
    description: `${modes.length} small panels, heaviest first. Each shows the anchor at the ` +
      `centre, the mean positions of the other particles and one standard deviation around them.`,
  }, {
    width,
    height: Math.round(width / columns * rows),
    marginTop: 1,
    marginRight: 1,
    marginBottom: 1,
    marginLeft: 1,
    fx: { axis: null, padding: 0.06 },
    fy: { axis: null, padding: 0.06 },
    x: { axis: null, domain: [-extent, extent] },
    y: { axis: null, domain: [-extent, extent] },
    marks: [
      Plot.frame({ stroke: Colour.faint, rx: 4 }),
      Plot.line(outlines, {
        ...facet,
        x: "x",
        y: "y",
        z: "z",
        stroke: Colour.prior,
        strokeWidth: 1,
        fill: Colour.prior,
        fillOpacity: 0.15,
      }),
      Plot.dot(particles, { ...facet, x: "x", y: "y", r: 1.5, fill: Colour.prior }),
      Plot.dot(cells, { ...facet, x: () => 0, y: () => 0, r: 2.5, fill: Colour.ink }),
      Plot.text(cells, {
        ...facet,
        text: "label",
        frameAnchor: "bottom-left",
        dx: 4,
        dy: -3,
        fontSize: 10,
        fill: Colour.ink,
      }),
    ],
  });
}

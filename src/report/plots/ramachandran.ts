/**
 * Free energies over (φ, ψ) side by side on one colour scale, as in the paper's figure 2: reference,
 * prior, weighted samples. Drawn by hand rather than by a plotting library: one path for every colour
 * keeps a map of 4096 cells at a few kilobytes.
 */
import { quantile } from "../chart.ts";
import { escapeHtml } from "../format.ts";
import type { RamachandranPicture } from "../input.ts";

/** Side of a panel, gaps and margins, CSS pixels. */
const SIDE = 232;
const GAP = 22;
const LEFT = 46;
const TOP = 28;
const BOTTOM = 42;
const BAR = { gap: 22, width: 14, right: 46 };

/** Colours of a step each, from the lowest free energy up: dark to light on any page. */
const STEPS = 24;
/** The scale ends here at the latest, kT; what is higher shares the last colour. */
const HIGHEST = 10;

/** Viridis at nine even places. */
const VIRIDIS = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/** Colour of step k of STEPS. */
function colour(k: number): string {
  const place = k / (STEPS - 1) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(place));
  const parts = VIRIDIS[i].map((v, c) =>
    Math.round(v + (place - i) * (VIRIDIS[i + 1][c] - v)).toString(16).padStart(2, "0")
  );
  return `#${parts.join("")}`;
}

/** −log p relative to the likeliest cell of its own panel, kT; +∞ for an empty one. */
export function freeEnergies(histogram: Float64Array): Float64Array {
  const peak = histogram.reduce((a, p) => Math.max(a, p), 0);
  return histogram.map((p) => p > 0 ? Math.log(peak / p) : Infinity);
}

/**
 * Top of the colour scale, kT: what 99 of 100 cells of every panel are below. A sample of next to no
 * weight alone in its cell would otherwise stretch it.
 */
export function highestShown({ panels }: RamachandranPicture): number {
  const tops = panels.map(({ histogram }) => quantile(freeEnergies(histogram), 0.99));
  const top = tops.reduce((a, b) => b > a ? b : a, 1);
  return Math.min(HIGHEST, Math.ceil(top));
}

/** One SVG element; null where no panel has any weight. `highest`: top of the colour scale, kT. */
export function ramachandranPlot(
  picture: RamachandranPicture,
  highest = highestShown(picture),
): string | null {
  const { title, bins, panels } = picture;
  const maps = panels.map(({ name, histogram }) => ({ name, energies: freeEnergies(histogram) }))
    .filter(({ energies }) => energies.some(Number.isFinite));
  if (maps.length === 0) return null;
  const clipped = maps.some(({ energies }) => energies.some((e) => e > highest && e < Infinity));
  const right = LEFT + maps.length * (SIDE + GAP) - GAP;
  const width = right + BAR.gap + BAR.width + BAR.right;
  const height = TOP + SIDE + BOTTOM;
  const named = [title, ...maps.map(({ name }) => name)].join(" ").toLowerCase();
  const id = `ramachandran-${named.replace(/[^a-z0-9]+/g, "-")}`;
  const text = `Free energy in kT over the torsions phi and psi of ${title}, dark where it is ` +
    `low: ${maps.map(({ name }) => name).join(", ")}.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="plot" fill="currentColor" ` +
    `font-family="system-ui, sans-serif" font-size="11" text-anchor="middle" ` +
    `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" ` +
    `aria-labelledby="${id}-title ${id}-description">` +
    `<title id="${id}-title">Ramachandran plot of ${escapeHtml(title)}</title>` +
    `<desc id="${id}-description">${escapeHtml(text)}</desc>` +
    maps.map((map, k) => {
      const place = { first: k === 0, last: k === maps.length - 1 };
      return panel(map, LEFT + k * (SIDE + GAP), bins, highest, place);
    }).join("") +
    bar(right + BAR.gap, highest, clipped) + "</svg>";
}

const DEGREES = [-180, -90, 0, 90, 180];
/** A minus sign, not a hyphen. */
const degrees = (d: number) => `${String(d).replace("-", "−")}°`;

function panel(
  { name, energies }: { name: string; energies: Float64Array },
  x: number,
  bins: number,
  highest: number,
  { first, last }: { first: boolean; last: boolean },
): string {
  const scale = SIDE / bins;
  const ticks = DEGREES.map((d) => {
    const at = (d + 180) / 360 * SIDE;
    const below = `<path d="M${x + at} ${TOP + SIDE}v4" stroke="currentColor"/>` +
      // 180 of one panel would run into −180 of the next.
      (d < 180 || last ? `<text x="${x + at}" y="${TOP + SIDE + 16}">${degrees(d)}</text>` : "");
    const y = TOP + SIDE - at;
    const beside = `<path d="M${x} ${y}h-4" stroke="currentColor"/>` +
      (first ? `<text x="${x - 7}" y="${y + 4}" text-anchor="end">${degrees(d)}</text>` : "");
    return below + beside;
  }).join("");
  const ψ = first
    ? `<text transform="translate(${x - 36} ${TOP + SIDE / 2}) rotate(-90)">ψ</text>`
    : "";
  return `<text x="${x}" y="${TOP - 10}" text-anchor="start" font-size="13" font-weight="600" ` +
    `style="fill:var(--ink)">${escapeHtml(name)}</text>` +
    `<g transform="translate(${x} ${TOP + SIDE}) scale(${scale} ${-scale})" ` +
    `shape-rendering="crispEdges">${cells(energies, bins, highest)}</g>` +
    `<rect x="${x}" y="${TOP}" width="${SIDE}" height="${SIDE}" fill="none" stroke="currentColor"/>` +
    `${ticks}${ψ}<text x="${x + SIDE / 2}" y="${TOP + SIDE + 34}">φ</text>`;
}

/** One path for every colour, of runs along φ. */
function cells(energies: Float64Array, bins: number, highest: number): string {
  const step = (at: number) =>
    Number.isFinite(energies[at])
      ? Math.min(STEPS - 1, Math.floor(energies[at] / highest * STEPS))
      : -1;
  const runs: string[] = new Array(STEPS).fill("");
  for (let row = 0; row < bins; row++) {
    for (let from = 0; from < bins;) {
      const k = step(row * bins + from);
      let to = from + 1;
      while (to < bins && step(row * bins + to) === k) to++;
      if (k >= 0) runs[k] += `M${from} ${row}h${to - from}v1h${from - to}z`;
      from = to;
    }
  }
  return runs.map((d, k) => d === "" ? "" : `<path fill="${colour(k)}" d="${d}"/>`).join("");
}

/** The colour scale, zero at the bottom. */
function bar(x: number, highest: number, clipped: boolean): string {
  const height = SIDE / STEPS;
  const steps = Array.from(
    { length: STEPS },
    (_, k) =>
      `<rect x="${x}" y="${TOP + SIDE - (k + 1) * height}" width="${BAR.width}" ` +
      `height="${height + 0.5}" fill="${colour(k)}"/>`,
  ).join("");
  const spacing = highest > 5 ? 2 : 1;
  const values = Array.from({ length: Math.floor(highest / spacing) + 1 }, (_, k) => k * spacing);
  if (clipped && !values.includes(highest)) values.push(highest);
  const ticks = values.map((value) => {
    const y = TOP + SIDE - value / highest * SIDE;
    const more = clipped && value === highest ? "≥ " : "";
    return `<path d="M${x + BAR.width} ${y}h4" stroke="currentColor"/>` +
      `<text x="${x + BAR.width + 8}" y="${y + 4}" text-anchor="start">${more}${value}</text>`;
  }).join("");
  return `${steps}${ticks}<text x="${x + BAR.width / 2}" y="${TOP - 10}">F / kT</text>`;
}

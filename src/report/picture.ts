/** One SVG for a front page: the prior, the distances it is carried to, and the weights. */
import { parseHTML } from "linkedom";
import { palette } from "./chart.ts";
import { escapeHtml, percentWithError, withError } from "./format.ts";
import type { ReportInput } from "./input.ts";
import { pairDistancePlot } from "./plots/pair_distances.ts";
import { priorDensityPlot } from "./plots/prior_modes.ts";
import { highestShown, ramachandranPlot } from "./plots/ramachandran.ts";
import { weightPlot } from "./plots/weights.ts";

const PANEL = { width: 340, height: 300 };
const GAP = 20;
const TOP = 64;

/**
 * A self-contained SVG of two or three panels side by side (those whose input is there), legible on
 * light and dark pages: it brings its own colours and background.
 */
export function renderPicture(input: ReportInput): string {
  const f = input.figures;
  const [torsions] = input.ramachandran ?? [];
  const mint = torsions?.panels.find(({ name }) => name === "Mint, as drawn");
  const own = torsions?.panels.find(({ name }) => name === "MintJulep, weighted");
  const free = (panel: typeof mint) =>
    torsions && panel
      ? ramachandranPlot({ ...torsions, panels: [panel] }, highestShown(torsions))
      : null;
  const panels = [
    {
      svg: priorDensityPlot(input.mint, PANEL.height),
      title: "1  Mint: a mixture prior",
      // Notes are SVG, not plain text.
      note: "particles around the anchor (dot)",
    },
    { svg: free(mint), title: "1  Mint: the prior", note: "free energy over (φ, ψ), as drawn" },
    {
      svg: free(own),
      title: "2  Carried to the target",
      note: "free energy over (φ, ψ), weighted",
    },
    {
      svg: own ? null : pairDistancePlot(input, PANEL),
      title: "2  Julep: carried to the target",
      note: "pair distances: " + [
        input.prior && coloured("prior", "prior"),
        input.samples && coloured("samples", "weighted"),
        input.reference && coloured("reference", "reference"),
      ].filter((part) => part).join(", "),
    },
    {
      svg: weightPlot(input, PANEL),
      title: `3  Weights${
        f?.ess === undefined ? "" : `: ESS ${percentWithError(f.ess, f.essStdErr)}`
      }`,
      note: f?.logZ === undefined
        ? "W − log Z, logarithmic scale"
        : `log Z = ${withError(f.logZ, f.logZStdErr)}${
          input.exact?.exact ? `, exact ${input.exact.logZ?.value.toFixed(5)}` : ""
        }`,
    },
  ].filter((panel) => panel.svg !== null);
  const width = Math.max(1, panels.length) * (PANEL.width + GAP) + GAP;
  const height = TOP + PANEL.height + GAP;
  const drawn = panels.map(({ svg, title, note }, k) => {
    const x = GAP + k * (PANEL.width + GAP);
    return `<text class="title" x="${x}" y="32">${escapeHtml(title)}</text>` +
      `<text class="note" x="${x}" y="50">${note}</text>` +
      nested(svg!, x, TOP);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ` +
    `height="${height}" role="img" aria-label="${
      escapeHtml(`${input.config.preset}: prior, samples and weights`)
    }"><style>${palette("svg")}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}
.title{font-size:16px;font-weight:600;fill:var(--ink)}.note{font-size:12px;fill:var(--muted)}
.plot{font-size:11px;color:var(--muted)}</style>
<rect width="100%" height="100%" rx="8" fill="var(--paper)"/>
${drawn.join("\n")}
</svg>
`;
}

const coloured = (colour: string, text: string) =>
  `<tspan style="fill:var(--${colour});font-weight:600">${text}</tspan>`;

/** A chart placed inside another SVG, as strict XML. */
function nested(svg: string, x: number, y: number): string {
  const { document } = parseHTML(svg);
  const element = document.querySelector("svg")!;
  element.setAttribute("x", String(x));
  element.setAttribute("y", String(y));
  // A drawing of another size is fitted into its panel.
  if (Number(element.getAttribute("width")) > PANEL.width) {
    element.setAttribute("width", String(PANEL.width));
    element.setAttribute("height", String(PANEL.height));
    element.setAttribute("preserveAspectRatio", "xMinYMin");
  }
  return element.outerHTML;
}

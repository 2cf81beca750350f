/** The HTML page around the report: one file, no script, nothing loaded from anywhere. */
import { palette } from "./chart.ts";
import { escapeHtml } from "./format.ts";

const css = `
${palette(":root")}
:root{color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main,header>div,footer>div{max-width:72rem;margin:0 auto;padding:0 1.5rem}
header{padding:3rem 0 1.5rem;border-bottom:1px solid var(--faint)}
header p{margin:.35rem 0}
.eyebrow{font-size:.8rem;letter-spacing:.09em;text-transform:uppercase;color:var(--samples);font-weight:600}
h1{font-size:2.1rem;line-height:1.2;margin:.2rem 0 .7rem;letter-spacing:-.015em;text-wrap:balance;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:3rem 0 .6rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.8rem 0 .4rem}
p{max-width:46rem;margin:.6rem 0}
small,.note,figcaption,.muted{color:var(--muted);font-size:.84rem}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85em}
.definition{overflow-wrap:anywhere}
pre{background:var(--panel);border:1px solid var(--faint);border-radius:6px;padding:.8rem 1rem;overflow-x:auto;margin:.6rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(13.5rem,1fr));gap:1px;margin:2rem 0 0;
background:var(--faint);border:1px solid var(--faint);border-radius:8px;overflow:hidden}
.tiles div{background:var(--paper);padding:.9rem 1.1rem}
.tiles dt{font-size:.84rem;color:var(--muted)}
.tiles dd{margin:.1rem 0 0;font-size:1.25rem;line-height:1.35;font-weight:600;letter-spacing:-.01em;white-space:nowrap}
.tiles dd small{display:block;font-size:.84rem;font-weight:400;letter-spacing:0;white-space:normal}
.warnings{background:var(--warning-panel);border-left:4px solid var(--warning);border-radius:0 6px 6px 0;
padding:.9rem 1.2rem;margin:2rem 0 0}
.warnings h2{margin:0;font-size:1rem;color:var(--warning)}
.warnings ul{margin:.4rem 0 0;padding-left:1.2rem}
.warnings li{margin:.3rem 0;max-width:54rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;text-align:left}
th,td{padding:.28rem .9rem .28rem 0;vertical-align:baseline}
.figures{width:100%;min-width:34rem;margin:.6rem 0}
.figures thead th{font-size:.84rem;font-weight:600;border-bottom:1px solid var(--ink);vertical-align:bottom}
.figures thead td{border-bottom:1px solid var(--ink)}
.figures{font-size:.9rem}
.figures tbody th{font-weight:500;white-space:nowrap}
.figures th[scope=row]{font-weight:400;font-size:.84rem;color:var(--muted)}
.figures tr.first>*{border-top:1px solid var(--faint)}
.figures tbody tr:first-child>*{border-top:0}
.figures td,.figures thead th[scope=col]{text-align:right;padding:.28rem 0 .28rem .8rem;white-space:nowrap}
.figures td small{display:inline-block;min-width:3.6rem;padding-left:.4rem}
.figures .known{color:var(--muted)}
.configs{columns:3 17rem;column-gap:2.5rem;margin:.6rem 0}
.config{break-inside:avoid;width:100%;margin:0 0 1.6rem;font-size:.88rem}
.config caption{text-align:left;font-weight:600;padding:0 0 .25rem;border-bottom:1px solid var(--ink)}
.config th{font-weight:400;color:var(--muted)}
.config td{text-align:right;padding-right:0;overflow-wrap:anywhere}
.config tr+tr>*{border-top:1px solid var(--faint)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1.2rem 2rem;margin:.8rem 0}
.plots.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,14rem),1fr));gap:.8rem 1.4rem}
figure{margin:0;min-width:0}
figure h3{margin:.2rem 0 .1rem}
figcaption{max-width:46rem;margin-top:.2rem}
svg{display:block;width:100%;height:auto;max-width:100%;color:var(--muted);overflow:visible}
.plot{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums}
.plot text{white-space:pre}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;font-size:.88rem;margin:.4rem 0;padding:0;list-style:none}
.legend i{display:inline-block;width:1.5rem;border-top:3px solid;margin-right:.45rem;vertical-align:.25em}
.legend .dashed{border-top-style:dashed;border-top-width:2px}
dl.terms{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.35rem 1.4rem;font-size:.9rem}
dl.terms dt{font-weight:600}dl.terms dd{margin:0;max-width:46rem}
footer{border-top:1px solid var(--faint);margin-top:3.5rem;padding:1.2rem 0 2.5rem}
@media (max-width:40rem){header{padding-top:1.8rem}h1{font-size:1.6rem}dl.terms{grid-template-columns:1fr;gap:.1rem}dl.terms dd{margin-bottom:.5rem}}
@media print{h2,figure,tr{break-inside:avoid;break-after:auto}h2{break-after:avoid}.configs{columns:2}body{font-size:11pt}}
`.trim();

/** A complete document. `title` is plain text; header, body and footer are HTML. */
export function page(
  { title, header, body, footer }: { title: string; header: string; body: string; footer: string },
): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${css}</style>
</head>
<body>
<header><div>${header}</div></header>
<main>
${body}
</main>
<footer><div>${footer}</div></footer>
</body>
</html>
`;
}

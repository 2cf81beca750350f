/** Text for people: numbers with their errors, and escaping. */

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text safe inside elements and quoted attributes; characters no XML may hold are dropped. */
export function escapeHtml(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, "").replace(/[&<>"']/g, (c) => ENTITIES[c]);
}

/** "–" for what is missing or not a number, "∞", or `digits` decimals with a true minus sign. */
export function fixed(x: number | undefined | null, digits: number): string {
  if (x === undefined || x === null || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  return x.toFixed(digits).replace("-", "−");
}

/** Decimals at which an error shows two significant digits; 3 where there is no usable error. */
function decimalsOfError(error: number | undefined): number {
  if (error === undefined || !Number.isFinite(error) || error <= 0) return 3;
  return Math.min(12, Math.max(0, 1 - Math.floor(Math.log10(error))));
}

/** "31.0534 ± 0.0012": the error with two significant digits. */
export function withError(x: number | undefined, error: number | undefined): string {
  const digits = decimalsOfError(error);
  if (x === undefined || error === undefined || Number.isNaN(error)) return fixed(x, digits);
  return `${fixed(x, digits)} ± ${fixed(error, digits)}`;
}

/** A fraction as "88.4 %"; tiny ones keep two significant digits. */
export function percent(x: number | undefined): string {
  if (x === undefined || !Number.isFinite(x)) return fixed(x, 1);
  if (x > 0 && x < 0.01) return `${Number((100 * x).toPrecision(2))} %`;
  return `${fixed(100 * x, 1)} %`;
}

/** "88.4 ± 0.3 %"; below 0.1 % the error is left out, it is of the size of the value. */
export function percentWithError(x: number | undefined, error: number | undefined): string {
  if (x === undefined || error === undefined || !Number.isFinite(error) || x < 1e-3) {
    return percent(x);
  }
  const digits = Math.max(1, decimalsOfError(100 * error) - 1);
  return `${fixed(100 * x, digits)} ± ${fixed(100 * error, digits)} %`;
}

/** An integer with thin spaces between thousands. */
export function integer(x: number | undefined): string {
  if (x === undefined || !Number.isFinite(x)) return fixed(x, 0);
  return String(Math.round(x)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** "42 s", "3 min 05 s", "2 h 10 min". */
export function seconds(x: number | undefined): string {
  if (x === undefined || !Number.isFinite(x)) return fixed(x, 0);
  if (x < 60) return `${x < 10 ? x.toFixed(1) : Math.round(x)} s`;
  const s = Math.round(x), pad = (v: number) => String(v).padStart(2, "0");
  return s < 3600
    ? `${Math.floor(s / 60)} min ${pad(s % 60)} s`
    : `${Math.floor(s / 3600)} h ${pad(Math.floor(s % 3600 / 60))} min`;
}

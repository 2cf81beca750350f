/** A configuration as nested tables of field and value. */
import { escapeHtml } from "./format.ts";

function leaves(value: unknown, path: string): [string, string][] {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, item]) =>
      leaves(item, path ? `${path}.${key}` : key)
    );
  }
  return [[path, typeof value === "string" ? value : JSON.stringify(value) ?? "–"]];
}

function table(caption: string, fields: [string, string][]): string {
  const lines = fields.map(([name, value]) =>
    `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`
  );
  return `<table class="config"><caption>${escapeHtml(caption)}</caption><tbody>${
    lines.join("")
  }</tbody></table>`;
}

/** One table for each section of the configuration, and one for the fields outside all of them. */
export function configTables(config: object): string {
  const plain: [string, string][] = [];
  const sections: string[] = [];
  for (const [name, value] of Object.entries(config)) {
    if (value !== null && typeof value === "object") sections.push(table(name, leaves(value, "")));
    else plain.push(...leaves(value, name));
  }
  return `<div class="configs">${table("run", plain)}${sections.join("")}</div>`;
}

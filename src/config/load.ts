/**
 * From what the user names (a preset or a JSON file) and overrides to a complete RunConfig.
 *
 * A file may be complete (the config.json of a run) or hold only what differs from the preset named
 * in its "preset" field. Without that field, or with "custom", the file must describe the system;
 * everything else has defaults fitting the kind of system.
 */
import { InputError } from "../errors.ts";
import { asInputError } from "../io/atomic.ts";
import type { RunConfig } from "./config.ts";
import { parseJson } from "./json.ts";
import { withMethod } from "./methods.ts";
import { preset, presetNames } from "./presets.ts";
import { validateConfig } from "./schema.ts";

type Fields = Record<string, unknown>;

/**
 * The configuration of a preset or file, with overrides `a.b.c=value` applied in order (the value
 * is JSON, or a bare string where it is not) after those of the method (methods.ts). Throws InputError of one line: unknown preset or
 * field (listing the known ones), a file that cannot be read or parsed, a value out of range.
 */
export function loadConfig(
  nameOrPath: string,
  overrides: readonly string[] = [],
  method?: string,
): RunConfig {
  const base = presetNames.includes(nameOrPath)
    ? validateConfig(preset(nameOrPath), `preset ${nameOrPath}`)
    : readConfigFile(nameOrPath);
  return withChanges(base, overrides, method);
}

/** A configuration with a method's changes, then overrides; as loadConfig does it. */
export function withChanges(
  base: RunConfig,
  overrides: readonly string[],
  method?: string,
): RunConfig {
  let config: unknown = method === undefined ? base : withMethod(base, method);
  if (overrides.length === 0) return config as RunConfig;
  const applied: { path: string; text: string }[] = [];
  for (const text of overrides) {
    const { path, value } = parseOverride(text);
    config = setAt(config as Fields, path.split("."), value, text);
    applied.push({ path, text });
  }
  return validateConfig(config, (field) => {
    const touches = (path: string) =>
      `${field}.`.startsWith(`${path}.`) ||
      `${path}.`.startsWith(`${field}.`);
    const culprit = applied.findLast(({ path }) => touches(path)) ?? applied[applied.length - 1];
    return `--set ${culprit.text}`;
  });
}

/** A configuration file, completed from its base and checked. Throws InputError of one line. */
export function readConfigFile(path: string): RunConfig {
  const text = readText(path);
  if (/^\s*(%VERSION|%FLAG|<)/.test(text)) {
    throw new InputError(
      `${path} is a molecule's parameter file, no configuration: train takes it with --coordinates FILE`,
    );
  }
  const value = parseJson(text, path);
  if (!isFields(value)) {
    throw new InputError(`${path}: must hold one JSON object, the configuration of a run`);
  }
  return completeConfig(value, path);
}

/**
 * A whole configuration from what differs from its base: the preset it names, or the defaults of its
 * kind of system. Throws InputError, naming `source`, where the result is not valid.
 */
export function completeConfig(value: Record<string, unknown>, source: string): RunConfig {
  return validateConfig(merge(baseOf(value, source), value), source);
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path).replace(/^\uFEFF/, "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && !/[/\\]|\.json$/.test(path)) {
      throw new InputError(
        `unknown preset "${path}": the presets are ${presetNames.join(", ")}; ` +
          `or give the path of a JSON file`,
      );
    }
    throw asInputError(error, `cannot read ${path}`);
  }
}

function baseOf(value: Fields, path: string): Fields {
  const name = Object.hasOwn(value, "preset") ? value.preset : "custom";
  if (typeof name === "string" && presetNames.includes(name)) {
    const base = preset(name);
    // A file that changes the kind of system leaves behind what only the preset's kind has.
    const kind = isFields(value.system) ? value.system.kind : base.system.kind;
    const { internal, molecule, ...rest } = base;
    if (kind !== "molecule") return rest;
    return { ...rest, ...(internal ? { internal } : {}), ...(molecule ? { molecule } : {}) };
  }
  if (name !== "custom") {
    throw new InputError(
      `${path}: preset ${JSON.stringify(name)} is unknown: it must be ` +
        `${presetNames.join(", ")} or custom`,
    );
  }
  const { system: _, ...rest } = preset(presetOfKind(value.system));
  return { ...rest, preset: "custom" };
}

/** The preset whose stages suit a system of this kind. */
function presetOfKind(system: unknown): string {
  if (!isFields(system)) return "dw4";
  return system.kind === "lennard_jones" ? "lj13" : system.kind === "molecule" ? "aldp" : "dw4";
}

/** Complete examples of the tagged objects, by their `kind`: what a change of kind starts from. */
function defaultsOfKind(kind: unknown): Fields | undefined {
  switch (kind) {
    case "double_well":
      return { ...preset("dw4").system };
    case "lennard_jones":
      return { ...preset("lj13").system };
    case "molecule":
      return { ...preset("aldp").system };
    case "shifted":
      return { kind };
    case "beutler":
      return { kind, alpha: 0.5 };
    default:
      return undefined;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy of base with the fields of `over` put over it, object by object. */
function merge(base: unknown, over: unknown): unknown {
  if (!isFields(over) || !isFields(base)) return over;
  const changesKind = Object.hasOwn(over, "kind") && over.kind !== base.kind;
  const under = changesKind ? defaultsOfKind(over.kind) ?? {} : base;
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over)) merged.set(key, merge(merged.get(key), value));
  // fromEntries defines own properties: a "__proto__" in a file stays a field, and is refused.
  return Object.fromEntries(merged);
}

function parseOverride(text: string): { path: string; value: unknown } {
  const split = text.indexOf("=");
  if (split <= 0) {
    throw new InputError(`--set ${text}: must have the form field=value, as in julep.steps=100`);
  }
  const path = text.slice(0, split).trim();
  const right = text.slice(split + 1).trim();
  if (right === "") throw new InputError(`--set ${text}: the value is missing`);
  try {
    return { path, value: JSON.parse(right) };
  } catch {
    return { path, value: right };
  }
}

/** A copy of `fields` with the value at `path` merged in. */
function setAt(fields: Fields, path: string[], value: unknown, text: string, parent = ""): Fields {
  const [key, ...rest] = path;
  const here = parent === "" ? "a configuration" : parent;
  if (!isFields(fields)) {
    throw new InputError(`--set ${text}: ${parent} is a value, it has no fields`);
  }
  if (!Object.hasOwn(fields, key)) {
    const known = Object.keys(fields).join(", ");
    throw new InputError(`--set ${text}: ${here} has no field "${key}"; its fields are ${known}`);
  }
  const name = parent === "" ? key : `${parent}.${key}`;
  if (name === "preset" || name === "version") {
    throw new InputError(`--set ${text}: ${name} says what the configuration is and cannot be set`);
  }
  if (rest.length > 0) {
    const inner = setAt(fields[key] as Fields, rest, value, text, name);
    return { ...fields, [key]: inner };
  }
  return merge(fields, Object.fromEntries([[key, value]])) as Fields;
}

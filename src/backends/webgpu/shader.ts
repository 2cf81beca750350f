/**
 * Puts a kernel's text together: the constants of its problem, the common parts it uses, itself.
 *
 * A kernel names its parts in its first line, `// uses: group math ...`. All kernels keep their
 * scratch in an array `work`, of WORK_SIZE numbers for each workgroup: in workgroup memory where it
 * fits, else in a buffer, of which every workgroup has its own stretch.
 */
import { shaders } from "./shaders.gen.ts";

export interface ShaderBinding {
  readonly binding: number;
  readonly type: "uniform" | "read-only-storage" | "storage";
}

export interface ComposedShader {
  readonly code: string;
  readonly bindings: readonly ShaderBinding[];
}

/** Names of the kernels: files of shaders/ itself. */
export const kernelNames: readonly string[] = Object.keys(shaders)
  .filter((name) => !name.startsWith("common/"));

const declaration = /@binding\((\d+)\)\s*var<([^>]*)>/g;

function typeOf(qualifiers: string): ShaderBinding["type"] {
  if (qualifiers.includes("uniform")) return "uniform";
  return qualifiers.includes("read_write") ? "storage" : "read-only-storage";
}

/** The parts a kernel's first line names. */
export function partsOf(name: string): string[] {
  const [, parts] = /^\/\/ uses:(.*)/.exec(shaders[name] ?? "") ?? [];
  if (parts === undefined) throw new Error(`shaders/${name}.wgsl does not begin with "// uses:"`);
  return parts.trim().split(/\s+/).filter((part) => part !== "");
}

/** Throws where a kernel or one of its parts does not exist. */
export function composeShader(
  name: string,
  constants: string,
  scratch: "workgroup" | "buffer",
): ComposedShader {
  // What the prior's family is made of, the constants say (constants.ts).
  const [, family = ""] = /^\/\/ prior: (.*)$/m.exec(constants) ?? [];
  const parts = partsOf(name).flatMap((part) =>
    part === "mint_prior" ? [part, ...family.split(" ")] : [part]
  );
  const common = parts.map((part) => {
    const text = shaders[`common/${part}`];
    if (text === undefined) throw new Error(`shaders/${name}.wgsl uses ${part}: no such part`);
    return text;
  });
  let body = [...common, shaders[name]].join("\n");
  if (/\bwork\[/.test(body)) body = withScratch(body, scratch);
  const code = `${constants}\n${body}`;
  const bindings = [...code.matchAll(declaration)].map(([, binding, qualifiers]) => ({
    binding: Number(binding),
    type: typeOf(qualifiers),
  }));
  return { code, bindings };
}

function withScratch(body: string, scratch: "workgroup" | "buffer"): string {
  if (scratch === "workgroup") {
    // Nothing that threads share is in a buffer then: half of the barriers can go.
    return "var<workgroup> work: array<f32, WORK_SIZE>;\nfn set_work_base(group: u32) {}\n" +
      body.replaceAll("  storageBarrier();\n", "");
  }
  const binding = Math.max(...[...body.matchAll(declaration)].map(([, b]) => Number(b))) + 1;
  return `@group(0) @binding(${binding}) var<storage, read_write> work: array<f32>;\n` +
    "var<private> work_base: u32;\n" +
    "fn set_work_base(group: u32) { work_base = group * WORK_SIZE; }\n" +
    body.replaceAll("work[", "work[work_base + ");
}

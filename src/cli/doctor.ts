/** `mintjulep doctor`: what this machine offers, and why something is missing. */
import { command, constant, type InferValue, message, object, option } from "@optique/core";
import type { BackendName } from "../backends/backend.ts";
import { selectBackend } from "../backends/select.ts";
import { kernelModule, simdFeatures } from "../backends/wasm/module.ts";
import {
  type AdapterFacts,
  adapterName,
  findAdapter,
  type FoundAdapter,
} from "../backends/webgpu/adapter.ts";
import { VERSION } from "../version.ts";
import { printData } from "./output.ts";

export const doctorCommand = command(
  "doctor",
  object({
    command: constant("doctor"),
    json: option("--json", { description: message`One JSON object on standard output` }),
  }),
  { description: message`Tell what this machine offers: cores, SIMD, GPU adapter` },
);

/** What doctor finds; the shape of `doctor --json`. */
export interface Findings {
  mintjulep: string;
  deno: string;
  v8: string;
  typescript: string;
  os: string;
  arch: string;
  /** Logical cores this process may use; the default of --workers. */
  cores: number;
  simd: boolean;
  relaxedSimd: boolean;
  /** Whether the embedded WebAssembly kernels are there and compile (a checkout builds them). */
  kernels: boolean;
  /** The WebGPU adapter, or null with the reason beside it. */
  adapter: Adapter | null;
  adapterMissing: string | null;
  /** What --backend auto takes. */
  backend: BackendName;
  /** Advice in words; empty when nothing is amiss. */
  notes: string[];
}

export type Adapter = AdapterFacts;

/** Looks around. Never throws for something that is merely absent. */
async function examine(): Promise<Findings> {
  const { simd, relaxedSimd } = simdFeatures();
  const kernels = simd && await kernelsCompile(relaxedSimd ? "relaxed" : "plain");
  const found = await findAdapter();
  const notes: string[] = [];
  if (!simd) notes.push("no WebAssembly SIMD in this runtime: use --backend reference (slow)");
  else if (!relaxedSimd) notes.push("no relaxed SIMD: the plain kernels are used, a bit slower");
  if (simd && !kernels) {
    notes.push("the WebAssembly kernels are missing: in a checkout, run `deno task build`");
  }
  notes.push(gpuNote(found));
  return {
    mintjulep: VERSION,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    typescript: Deno.version.typescript,
    os: osName(),
    arch: Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    simd,
    relaxedSimd,
    kernels,
    adapter: found.adapter === null ? null : found.facts,
    adapterMissing: found.adapter === null ? found.reason : null,
    backend: (await selectBackend("auto")).backend,
    notes,
  };
}

function osName(): string {
  try {
    return `${Deno.build.os} ${Deno.osRelease()}`;
  } catch {
    return Deno.build.os; // the permission to ask was not given
  }
}

async function kernelsCompile(variant: "relaxed" | "plain"): Promise<boolean> {
  try {
    await kernelModule(variant);
    return true;
  } catch {
    return false;
  }
}

/** Why the GPU is not what "auto" takes, or what to know about it. */
function gpuNote(found: FoundAdapter): string {
  if (found.adapter === null) {
    return `no GPU is used (${found.reason}): the kernels run as WebAssembly on the cores`;
  }
  return found.facts.software
    ? "the GPU adapter is software, for tests: WebAssembly on the cores is faster, so auto takes it"
    : "auto takes the GPU where it has the kernels (--backend wasm: the cores)";
}

/** Prints the findings; 0 always: something missing is an answer, not a failure. */
export async function runDoctor(
  options: InferValue<typeof doctorCommand>,
): Promise<number> {
  const findings = await examine();
  printData(options.json ? JSON.stringify(findings, null, 2) : readable(findings));
  return 0;
}

function readable(f: Findings): string {
  const adapter = f.adapter
    ? `${adapterName(f.adapter)}${f.adapter.software ? ", software" : ""}`
    : `none: ${f.adapterMissing}`;
  const details = f.adapter
    ? [
      ["limits", Object.entries(f.adapter.limits).map(([k, v]) => `${k} ${v}`).join(", ")],
      ["features", f.adapter.features.join(", ")],
    ]
    : [];
  const yes = (b: boolean) => b ? "yes" : "no";
  const rows = [
    ["mintjulep", f.mintjulep],
    ["Deno", `${f.deno} (V8 ${f.v8}, TypeScript ${f.typescript})`],
    ["system", `${f.os}, ${f.arch}`],
    ["cores", String(f.cores)],
    ["SIMD", `${yes(f.simd)}, relaxed: ${yes(f.relaxedSimd)}`],
    ["kernels", f.kernels ? "ready" : "missing"],
    ["GPU adapter", adapter],
    ...details,
    ["backend", f.backend],
    ...f.notes.map((note) => ["note", note]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)} ${value}`).join("\n");
}

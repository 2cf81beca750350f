/** Finds the GPU adapter, and says in words why there is none. */

/** What an adapter is, in plain data. */
export interface AdapterFacts {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** True for an implementation on the processor's cores (llvmpipe, SwiftShader). */
  readonly software: boolean;
  readonly features: readonly string[];
  /** The limits that kernels meet, bytes or counts. */
  readonly limits: Readonly<Record<AdapterLimit, number>>;
}

/** Limits asked for from the adapter; a device without them has WebGPU's defaults. */
export const adapterLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const;
export type AdapterLimit = (typeof adapterLimits)[number];

export type FoundAdapter =
  | { readonly adapter: GPUAdapter; readonly facts: AdapterFacts }
  | { readonly adapter: null; readonly reason: string };

/** Asks the runtime for an adapter; never throws for one that is merely absent. */
export async function findAdapter(): Promise<FoundAdapter> {
  if (!("gpu" in navigator) || !navigator.gpu) {
    return { adapter: null, reason: "this runtime has no navigator.gpu" };
  }
  quietVulkan();
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
    if (adapter === null) return { adapter: null, reason: whyNoAdapter() };
    return { adapter, facts: factsOf(adapter) };
  } catch (error) {
    return { adapter: null, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Mesa writes a line to standard error where this variable is missing. */
function quietVulkan(): void {
  try {
    if (Deno.build.os === "linux" && !Deno.env.get("XDG_RUNTIME_DIR")) {
      Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
    }
  } catch { /* no permission, or no Deno: then the line stays */ }
}

function factsOf(adapter: GPUAdapter): AdapterFacts {
  const { vendor, architecture, device, description } = adapter.info;
  const named = `${vendor} ${architecture} ${device} ${description}`;
  const fallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  return {
    vendor,
    architecture,
    device,
    description,
    software: fallback || /llvmpipe|swiftshader|softpipe|basic render/i.test(named),
    features: [...adapter.features].map(String).sort(),
    limits: Object.fromEntries(
      adapterLimits.map((name) => [name, adapter.limits[name]]),
    ) as Record<AdapterLimit, number>,
  };
}

/** The adapter's name for people. */
export function adapterName(facts: AdapterFacts): string {
  const { description, device, vendor } = facts;
  return [description, device, vendor].find((s) => s && s !== "0" && !/^\d+$/.test(s)) ?? "unnamed";
}

function whyNoAdapter(): string {
  if (typeof Deno === "undefined" || Deno.build.os !== "linux") {
    return "the system offers no adapter";
  }
  const library = "libvulkan.so.1";
  try {
    Deno.dlopen(library, {}).close();
    return `${library} loads, but offers no device: no driver is installed ` +
      `(Debian: mesa-vulkan-drivers has one in software)`;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return "no adapter (--allow-ffi would tell more)";
    return `${library} cannot be loaded (Debian: apt install libvulkan1 mesa-vulkan-drivers)`;
  }
}

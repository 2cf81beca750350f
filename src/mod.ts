/**
 * MintJulep: exactly weighted equilibrium samples of N-body systems from their energy alone. This
 * module is the library, and the command line when it is run.
 */
export type * from "./config/config.ts";
export { loadConfig } from "./config/load.ts";
export { preset, presetNames } from "./config/presets.ts";
export { AbortedError, InputError } from "./errors.ts";
export type { Progress } from "./run/progress.ts";
export { VERSION } from "./version.ts";

if (import.meta.main) {
  const { main } = await import("./cli/main.ts");
  Deno.exit(await main(Deno.args));
}

/** Which backend a run uses. */
import { InputError } from "../errors.ts";
import type { BackendName } from "./backend.ts";

export const backendChoices = ["auto", "wasm", "reference"] as const;
export type BackendChoice = (typeof backendChoices)[number];

/** "auto" takes the fastest backend of this machine. Throws InputError on an unknown name. */
export function selectBackend(choice: BackendChoice): BackendName {
  if (!backendChoices.includes(choice)) {
    throw new InputError(`Unknown backend "${choice}": choose one of ${backendChoices.join(", ")}`);
  }
  return choice === "auto" ? "wasm" : choice;
}

/** Which backend a run uses. */
import { InputError } from "../errors.ts";
import type { BackendName } from "./backend.ts";
import { adapterName, findAdapter } from "./webgpu/adapter.ts";
import { type Asked, missingOnGpu } from "./webgpu/supported.ts";

export const backendChoices: readonly BackendChoice[] = ["auto", "wasm", "webgpu", "reference"];
/** What computes, as `--backend` names it; "auto" is told at selectBackend. */
export type BackendChoice = BackendName | "auto";

export interface Selected {
  readonly backend: BackendName;
  /** One line the user should see; absent where there is nothing to say. */
  readonly note?: string;
}

/**
 * "auto" takes the fastest backend of this machine that can do what is asked: a GPU where there is a
 * real one. Throws InputError on an unknown name, on "webgpu" without an adapter, and on what the
 * webgpu backend cannot do.
 */
export async function selectBackend(choice: BackendChoice, asked: Asked = {}): Promise<Selected> {
  if (!backendChoices.includes(choice)) {
    throw new InputError(`Unknown backend "${choice}": choose one of ${backendChoices.join(", ")}`);
  }
  if (choice === "wasm" || choice === "reference") return { backend: choice };
  const missing = missingOnGpu(asked);
  if (choice === "webgpu" && missing) {
    throw new InputError(`--backend webgpu ${missing}: use --backend wasm`);
  }
  if (missing || choice === "auto" && asked.withoutNetwork) return { backend: "wasm" };
  const found = await findAdapter();
  if (choice === "auto") {
    if (found.adapter === null || found.facts.software) return { backend: "wasm" };
    return { backend: "webgpu", note: `GPU ${adapterName(found.facts)}` };
  }
  if (found.adapter === null) {
    throw new InputError(`--backend webgpu: no GPU adapter: ${found.reason}`);
  }
  const name = adapterName(found.facts);
  return found.facts.software
    ? {
      backend: "webgpu",
      note: `warning: the GPU adapter is software (${name}); --backend wasm is faster`,
    }
    : { backend: "webgpu", note: `GPU ${name}` };
}

/** Ctrl-C: the first asks for an orderly stop, the second does not wait for it. */
import { printNotice } from "./output.ts";

/** Exit code of a run that was interrupted: 128 + SIGINT. */
export const INTERRUPTED = 130;

/** Windows knows no SIGTERM. */
const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/**
 * Runs `body` with a signal that the first SIGINT or SIGTERM aborts after printing `notice`; a
 * second one ends the process at once with code 130.
 */
export async function interruptible<T>(
  notice: string,
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) Deno.exit(INTERRUPTED);
    printNotice(`\n${notice} (again: at once)\n`);
    controller.abort();
  };
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    return await body(controller.signal);
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

/** The pool's side of one worker: calls that settle even when the worker dies. */
import * as Comlink from "comlink";
import { AbortedError, InputError } from "../errors.ts";
import type { WorkerService } from "./serve.ts";

/** The worker is gone or of no further use (uncaught error, trap in a kernel, ended). */
export class WorkerLostError extends Error {
  override name = "WorkerLostError";
}

export class RemoteWorker {
  readonly #worker: Worker;
  readonly #service: Comlink.Remote<WorkerService>;
  /** Rejects the calls in flight. A comlink call to a dead worker never settles by itself. */
  readonly #pending = new Set<(error: Error) => void>();
  #lost: WorkerLostError | undefined;
  /** Version of the problem its executor is prepared with; 0: none. */
  version = 0;

  constructor(url: URL, name: string) {
    this.#worker = new Worker(url, { type: "module", name });
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.end(event.message || "the worker could not be started");
    });
    this.#worker.addEventListener("messageerror", () => this.end("a message could not be read"));
    this.#service = Comlink.wrap<WorkerService>(this.#worker);
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Calls the worker. Throws WorkerLostError when the worker dies before it answers, or answers with
   * a trap; any other error comes back with its own class and message.
   */
  call<T>(send: (service: Comlink.Remote<WorkerService>) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(this.#lost);
      this.#pending.add(reject);
      send(this.#service).then(resolve, (thrown) => {
        const error = revive(thrown);
        // After a trap a WebAssembly memory is in an unknown state.
        if (error.name === "RuntimeError") this.end(error.message);
        reject(this.#lost ?? error);
      }).finally(() => this.#pending.delete(reject));
    });
  }

  /** Ends the worker; every call in flight rejects with `reason`. */
  end(reason: string): void {
    if (this.#lost) return;
    this.#lost = new WorkerLostError(reason);
    this.#worker.terminate();
    for (const reject of this.#pending) reject(this.#lost);
    this.#pending.clear();
  }
}

const classes: Record<string, new (message?: string) => Error> = {
  InputError,
  AbortedError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/** Comlink brings every error as a plain Error with the original's name: gives back its class. */
function revive(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(String(thrown));
  if (!Object.hasOwn(classes, thrown.name)) return thrown;
  const error = new classes[thrown.name](thrown.message);
  error.stack = thrown.stack;
  return error;
}

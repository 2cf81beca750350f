/**
 * A mistake in what the user gave: a flag, a file, a field. The command line prints its message as
 * one line and exits with code 2; the library throws it. Messages name the file or flag, the field
 * and the value.
 */
export class InputError extends Error {
  /** Tells the class where `instanceof` cannot, as after a message between workers. */
  override name = "InputError";
}

/** The run was stopped by its AbortSignal (Ctrl-C on the command line, exit code 130). */
export class AbortedError extends Error {
  /** As InputError's. */
  override name = "AbortedError";
  /** The message is one line. */
  constructor(message = "stopped") {
    super(message);
  }
}

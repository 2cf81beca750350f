import { InputError } from "../errors.ts";

/**
 * `<path> is not a readable <format> file: <what>` in one line, whatever control characters the names
 * in a damaged file hold.
 */
export function unreadable(path: string, format: string, what: string): InputError {
  const line = what.replace(/[\p{Cc}\u2028\u2029]+/gu, "?");
  return new InputError(`${path} is not a readable ${format} file: ${line}`);
}

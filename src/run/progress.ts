/**
 * How a long stage tells what it is doing. The run API calls it; what it looks like is the
 * caller's business (src/cli/progress.ts draws it on a terminal, a library user may ignore it).
 */
export interface Progress {
  /** A new stage of `total` steps begins; an unfinished earlier one ends. */
  stage(name: string, total: number): void;
  /** `done` of the stage's steps are done; `fields` are figures worth showing (loss, ess, ...). */
  update(done: number, fields: Record<string, number | string>): void;
  /** The stage is over. */
  end(): void;
  /** One line for the reader that stays: a warning, a file written. */
  note(line: string): void;
}

/** Says nothing. */
export const silent: Progress = {
  stage: () => {},
  update: () => {},
  end: () => {},
  note: () => {},
};

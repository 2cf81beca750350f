/**
 * Progress on standard error: on a terminal one line that is redrawn, elsewhere (a log file, CI)
 * a plain line every few seconds and one at the end of each stage.
 */
import type { Progress } from "../run/progress.ts";
import { figure, oneLine, printNotice } from "./output.ts";

/** What a display is drawn on. */
export interface Screen {
  write(text: string): void;
  /** A terminal, where a line can be redrawn. */
  terminal: boolean;
  /** Width in characters, asked each time: windows are resized. */
  columns(): number;
  /** Milliseconds, monotone. */
  now(): number;
}

const stderr: Screen = {
  write: printNotice,
  terminal: Deno.stderr.isTerminal(),
  columns: () => {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return 80;
    }
  },
  now: () => performance.now(),
};

/** Milliseconds between two drawings. */
const TERMINAL_INTERVAL = 100;
const LOG_INTERVAL = 5000;
/** Clears the line the cursor is in. */
const CLEAR = "\r\x1b[K";

interface Stage {
  name: string;
  total: number;
  started: number;
  drawn: number;
  done: number;
  /** The first update, from which the rate is taken: a resumed stage starts in the middle. */
  first: { done: number; at: number } | undefined;
  fields: Record<string, number | string>;
}

/** Shows progress on standard error, or on the given screen. */
export function displayProgress(screen: Screen = stderr): Progress {
  let stage: Stage | undefined;
  let live = false;

  const show = (text: string) => {
    if (screen.terminal) {
      screen.write(CLEAR + text.slice(0, Math.max(20, screen.columns() - 1)));
      live = true;
    } else screen.write(`${text}\n`);
  };
  const end = () => {
    if (!stage) return;
    show(finished(stage, screen.now()));
    if (screen.terminal) screen.write("\n");
    live = false;
    stage = undefined;
  };

  return {
    stage(name, total) {
      end();
      const now = screen.now();
      stage = {
        name: oneLine(name),
        total,
        started: now,
        // On a terminal the first update is drawn at once, a log waits.
        drawn: screen.terminal ? -Infinity : now,
        done: 0,
        first: undefined,
        fields: {},
      };
    },
    update(done, fields) {
      if (!stage) return;
      const now = screen.now();
      stage.first ??= { done, at: now };
      stage.done = done;
      stage.fields = fields;
      if (now - stage.drawn < (screen.terminal ? TERMINAL_INTERVAL : LOG_INTERVAL)) return;
      stage.drawn = now;
      show(underWay(stage, now));
    },
    end,
    note(line) {
      screen.write(`${live ? CLEAR : ""}${oneLine(line)}\n`);
      if (live && stage) show(underWay(stage, screen.now()));
    },
  };
}

function underWay(stage: Stage, now: number): string {
  const first = stage.first ?? { done: 0, at: now };
  const rate = 1000 * (stage.done - first.done) / (now - first.at);
  const parts = [`${stage.name} ${stage.done}/${stage.total}`];
  if (rate > 0 && Number.isFinite(rate)) {
    parts.push(`${Number(rate.toPrecision(3))}/s`, ...shown(stage.fields));
    parts.push(`${duration((stage.total - stage.done) / rate)} left`);
  } else parts.push(...shown(stage.fields));
  return parts.join("  ");
}

function finished(stage: Stage, now: number): string {
  const counts = stage.done === stage.total ? `${stage.total}` : `${stage.done}/${stage.total}`;
  const took = `in ${duration((now - stage.started) / 1000)}`;
  return [`${stage.name} ${counts}`, ...shown(stage.fields), took].join("  ");
}

const shown = (fields: Stage["fields"]) =>
  Object.entries(fields).map(([name, value]) =>
    `${name} ${typeof value === "number" ? figure(Number(value.toPrecision(4))) : oneLine(value)}`
  );

/** "45 s", "3 min 05 s", "2 h 10 min". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  const two = (x: number) => String(x).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
}

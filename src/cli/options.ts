/** Options that several commands share, and values that name their flag when they are wrong. */
import {
  argument,
  choice,
  type Message,
  message,
  option,
  optional,
  string,
  text,
  type ValueParser,
  withDefault,
} from "@optique/core";
import { backendChoices } from "../backends/select.ts";

/** Largest count anywhere; more would not fit an array. */
const MAX_COUNT = 1e9;

/** Most workers of a pool (workers/pool.ts). */
const MAX_WORKERS = 1024;

/** A sentence made of ready text, without optique's own quoting. */
export const sentence = (words: string): Message => [text(words)];

/** As it was typed where that is plain, else in quotes. */
const quoted = (input: string) => /^[\w.+-]+$/.test(input) ? input : JSON.stringify(input);

/** Digits, also as 1e5 or 2.5e4. */
const numeral = /^\d+(?:\.\d+)?(?:e\+?\d+)?$/i;

function integerOf(flag: string, metavar: "N" | "SEED", min: number, max: number, range: string) {
  const parser: ValueParser<"sync", number> = {
    mode: "sync",
    metavar,
    placeholder: min,
    parse(input) {
      const value = numeral.test(input) ? Number(input) : NaN;
      if (Number.isInteger(value) && value >= min && value <= max) return { success: true, value };
      return {
        success: false,
        error: sentence(`${flag} must be an integer ${range}, got ${quoted(input)}`),
      };
    },
    format: String,
  };
  return parser;
}

type Flag = `--${string}`;
// The value's own message already names the flag.
const errors = { invalidValue: (error: Message) => error };

/** `flag N`: an integer from `least` to 1e9. */
export function countOption(flag: Flag, description: string, least = 1) {
  return option(flag, integerOf(flag, "N", least, MAX_COUNT, `from ${least} to 1e9`), {
    description: sentence(description),
    errors,
  });
}

/** `--seed S`: what random numbers are keyed by. */
export function seedOption(description: string) {
  const range = "from 0 to 2^32 - 1";
  return optional(
    option("--seed", integerOf("--seed", "SEED", 0, 2 ** 32 - 1, range), {
      description: sentence(description),
      errors,
    }),
  );
}

/** `--temperature K`. */
export function temperatureOption() {
  const parser: ValueParser<"sync", number> = {
    mode: "sync",
    metavar: "K",
    placeholder: 300,
    parse(input) {
      const value = /^\d+(\.\d+)?$/.test(input) ? Number(input) : NaN;
      if (value > 0) return { success: true, value };
      return {
        success: false,
        error: sentence(`--temperature must be a number of kelvin above 0, got ${quoted(input)}`),
      };
    },
    format: String,
  };
  return option("--temperature", parser, {
    description: sentence("With --coordinates: kelvin, 300 by default"),
    errors,
  });
}

/** `flag A,B,C,D`: four atoms counted from 1. */
function torsionOption(flag: "--phi" | "--psi") {
  const parser: ValueParser<"sync", number[]> = {
    mode: "sync",
    metavar: "A,B,C,D",
    placeholder: [1, 2, 3, 4],
    parse(input) {
      const value = input.split(",").map((word) =>
        /^[1-9]\d{0,8}$/.test(word) ? Number(word) : NaN
      );
      if (value.length === 4 && new Set(value).size === 4 && !value.some(Number.isNaN)) {
        return { success: true, value };
      }
      return {
        success: false,
        error: sentence(
          `${flag} must be four different atoms counted from 1, as in 5,7,9,15, got ${
            quoted(input)
          }`,
        ),
      };
    },
    format: (value) => value.join(","),
  };
  return optional(
    option(flag, parser, {
      description: sentence(
        `Molecules: atoms of ${flag.slice(2)}, counted from 1; found from the bonds by default`,
      ),
      errors,
    }),
  );
}

/** `--chirality`, `--phi`, `--psi`: what is sampled and looked at of a molecule. */
export function moleculeOptions() {
  const modes = ["keep", "both", "fold"] as const;
  return {
    chirality: optional(option(
      "--chirality",
      choice(modes, {
        errors: {
          invalidChoice: (input) =>
            sentence(`--chirality must be ${modes.join(", ")}, got ${quoted(input)}`),
        },
      }),
      {
        description: sentence(
          "Molecules: keep the given handedness; both; fold: mirror images shown as the given one",
        ),
        errors,
      },
    )),
    phi: torsionOption("--phi"),
    psi: torsionOption("--psi"),
  };
}

/** `flag PATH`. */
export function pathOption(
  flag: Flag,
  metavar: "DIR" | "FILE" | "REFERENCE",
  description: string,
) {
  return option(flag, string({ metavar }), { description: sentence(description) });
}

/** DIR, the folder of a trained run. */
export function runArgument(command: string) {
  return argument(string({ metavar: "DIR" }), {
    description: message`Folder of a trained run`,
    errors: { endOfInput: sentence(`${command} needs DIR, the folder of a trained run`) },
  });
}

/** `--workers` and `--backend`: where and how the numbers are computed, alike in every command. */
export function machineOptions() {
  return {
    workers: optional(
      option("--workers", integerOf("--workers", "N", 1, MAX_WORKERS, `from 1 to ${MAX_WORKERS}`), {
        description: sentence("Worker threads; as many as cores by default"),
        errors,
      }),
    ),
    backend: withDefault(
      option(
        "--backend",
        choice(backendChoices, {
          errors: {
            invalidChoice: (input) =>
              sentence(
                `--backend must be ${backendChoices.join(", ")}, got ${quoted(input)}`,
              ),
          },
        }),
        {
          description: sentence(
            `${
              backendChoices.join(", ")
            }; auto, the default, takes the fastest; reference is plain ` +
              "float64, for checks",
          ),
          errors,
        },
      ),
      "auto" as const,
    ),
  };
}

/**
 * The command line. Exit codes: 0 done, 1 internal failure, 2 bad input (one line on standard
 * error), 130 interrupted.
 */
import { formatMessage, type InferValue, type Message, message, or } from "@optique/core";
import { runParserSync } from "@optique/core/facade";
import { AbortedError, InputError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { doctorCommand, runDoctor } from "./doctor.ts";
import { evaluateCommand, runEvaluate } from "./evaluate.ts";
import { INTERRUPTED } from "./interrupt.ts";
import { energyCommand, inspectCommand, runEnergy, runInspect } from "./molecule.ts";
import { oneLine, printData, printNotice } from "./output.ts";
import { runSample, sampleCommand } from "./sample.ts";
import { runTable1, table1Command } from "./table1.ts";
import { runTrain, trainCommand } from "./train.ts";
import { runTune, tuneCommand } from "./tune.ts";

const NAME = "mintjulep";
const commands = or(
  trainCommand,
  sampleCommand,
  evaluateCommand,
  inspectCommand,
  energyCommand,
  table1Command,
  tuneCommand,
  doctorCommand,
);
type Command = InferValue<typeof commands>;

/** Help or the version was asked for and has been printed. */
class Answered extends Error {}

function answered(): never {
  throw new Answered();
}

/** Runs one command; returns the exit code. Everything it has to say has been printed. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(parse(args));
  } catch (error) {
    if (error instanceof Answered) return 0;
    const code = is(error, InputError) ? 2 : is(error, AbortedError) ? INTERRUPTED : 1;
    if (code === 1) printNotice(internalFailure(error, args));
    else printNotice(`${NAME}: ${oneLine((error as Error).message)}\n`);
    return code;
  }
}

/** Also by name: an error from a worker arrives as a plain Error. */
function is(error: unknown, kind: typeof InputError | typeof AbortedError): boolean {
  return error instanceof kind || (error instanceof Error && error.name === kind.name);
}

function dispatch(parsed: Command): Promise<number> {
  switch (parsed.command) {
    case "train":
      return runTrain(parsed);
    case "sample":
      return runSample(parsed);
    case "evaluate":
      return runEvaluate(parsed);
    case "inspect":
      return runInspect(parsed);
    case "energy":
      return runEnergy(parsed);
    case "table1":
      return runTable1(parsed);
    case "tune":
      return runTune(parsed);
    case "doctor":
      return runDoctor(parsed);
  }
}

function parse(args: readonly string[]): Command {
  if (args.length === 0) {
    throw new InputError(
      "which command? train, sample, evaluate, inspect, energy, table1, tune or doctor (see --help)",
    );
  }
  return runParserSync(commands, NAME, [...args], {
    brief: message`Exactly weighted samples of N-body systems, from their energy alone.`,
    help: { option: true, onShow: answered },
    version: { value: VERSION, option: true, onShow: answered },
    aboveError: "none",
    colors: Deno.stdout.isTerminal() && !Deno.noColor,
    maxWidth: Deno.stdout.isTerminal() ? Math.max(60, Deno.consoleSize().columns) : undefined,
    stdout: printData,
    stderr: () => {}, // said by onError, in one line
    onError: (_code: number, error: Message) => {
      const text = oneLine(formatMessage(error)).replace(/\.$/, "");
      throw new InputError(text[0].toLowerCase() + text.slice(1));
    },
  });
}

function internalFailure(error: unknown, args: readonly string[]): string {
  const what = error instanceof Error ? error.stack ?? error.message : String(error);
  const cause = error instanceof Error && error.cause !== undefined
    ? `caused by ${error.cause instanceof Error ? error.cause.stack : String(error.cause)}\n`
    : "";
  return `${NAME}: internal failure: ${what}\n${cause}` +
    `This is a fault of the program, not yours. Please report it with the lines above, the output ` +
    `of \`${NAME} doctor\`, and the command:\n  ${NAME} ${
      args.map((a) => JSON.stringify(a)).join(" ")
    }\n`;
}

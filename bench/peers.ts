/** Peers in Python behind `--serve` (bench/peers/README.md): started once, then timed call by call. */
import { TextLineStream } from "./text_lines.ts";

export interface PeerOptions {
  readonly system: string;
  readonly samples: number;
  readonly steps: number;
  readonly threads: number;
  readonly gradientFraction: number;
}

/** What a peer says after its warm-up. */
export interface PeerInfo {
  readonly framework: string;
  readonly version: string;
  /** How it runs at its best: "compile", "eager", "jit". */
  readonly mode: string;
  /** First iteration with everything before it. */
  readonly compileSeconds: number;
}

export interface Timing {
  /** Wall clock. */
  readonly seconds: number;
  /** Of all threads of the process. */
  readonly cpuSeconds: number;
}

export class Peer implements AsyncDisposable {
  readonly info: PeerInfo;
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(
    info: PeerInfo,
    process: Deno.ChildProcess,
    lines: ReadableStreamDefaultReader<string>,
  ) {
    this.info = info;
    this.#process = process;
    this.#lines = lines;
    this.#input = process.stdin.getWriter();
  }

  /** Starts bench/peers/`script`; a string says in one line why there is no such peer here. */
  static async start(
    script: string,
    options: PeerOptions,
    mode = "auto",
  ): Promise<Peer | string> {
    const path = new URL(`peers/${script}`, import.meta.url).pathname;
    const flags = {
      system: options.system,
      samples: options.samples,
      steps: options.steps,
      threads: options.threads,
      "gradient-fraction": options.gradientFraction,
      mode,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    let process: Deno.ChildProcess;
    try {
      process = new Deno.Command("python3", {
        args: [path, "--serve", ...args],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      return `python3 does not start (${(error as Error).message})`;
    }
    const complaint = new Response(process.stderr).text();
    const lines = process.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
    const { value } = await lines.read();
    if (value !== undefined) return new Peer(JSON.parse(value), process, lines);
    await process.stdin.close();
    await process.status;
    return (await complaint).trim().split("\n").at(-1) || "it ended without a word";
  }

  /** One training iteration. */
  async iteration(): Promise<Timing> {
    await this.#input.write(new TextEncoder().encode("\n"));
    const { value } = await this.#lines.read();
    if (value === undefined) throw new Error(`the ${this.info.framework} peer ended early`);
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}

/**
 * The native peers of bench/peers/c/, compiled with the machine's own C compiler at 128-bit vector
 * width and loaded with Deno.dlopen. Without a compiler the benchmarks say so and go on.
 */
const SOURCES = ["pair_energies.c", "fma_peak.c"];
/** What "C at 128-bit FMA width" means; other architectures have it as their baseline. */
const FLAGS = [
  "-O3",
  "-shared",
  "-fPIC",
  // Else clearing a small gradient becomes a call of memset, which costs C more than it saves.
  ...(Deno.build.os === "linux" ? ["-fno-tree-loop-distribute-patterns"] : []),
  ...(Deno.build.arch === "x86_64" ? ["-mfma", "-mprefer-vector-width=128"] : []),
];

const signatures = {
  pair_energies_batch: {
    parameters: ["i32", "buffer", "buffer", "buffer", "buffer", "i32", "f32", "i32"],
    result: "void",
  },
  fma_peak: { parameters: ["i32", "f32", "f32"], result: "f32" },
} as const;

export type NativePeers = Deno.DynamicLibrary<typeof signatures>["symbols"];

export interface Native {
  /** null: no peers, for the reason given. */
  readonly peers: NativePeers | null;
  /** The compiler and its flags, or why there are no peers. */
  readonly description: string;
}

let built: Native | undefined;

/** Compiles and loads the peers once. */
export function native(): Native {
  built ??= build();
  return built;
}

function build(): Native {
  const compiler = Deno.env.get("CC") ?? "cc";
  const directory = Deno.makeTempDirSync();
  try {
    const library = `${directory}/peers.so`;
    const sources = SOURCES.map((name) => new URL(`peers/c/${name}`, import.meta.url).pathname);
    const { success, stderr } = new Deno.Command(compiler, {
      args: [...FLAGS, "-o", library, ...sources],
    }).outputSync();
    if (!success) {
      const reason = new TextDecoder().decode(stderr).split("\n")[0];
      return { peers: null, description: `${compiler} failed: ${reason}` };
    }
    return {
      peers: Deno.dlopen(library, signatures).symbols,
      description: `${compiler} ${FLAGS.join(" ")}`,
    };
  } catch (error) {
    return { peers: null, description: `no C compiler (${compiler}): ${(error as Error).message}` };
  } finally {
    // A loaded library stays mapped after its file is gone.
    Deno.removeSync(directory, { recursive: true });
  }
}

/**
 * Runs the tests in two waves, quick ones first, and ends with the line `N passed, N failed`
 * (`, N skipped` where tests were ignored, with their names and reasons above). Steps count as
 * tests; a wave that fails outside its tests (a file that cannot be loaded) counts as one failure.
 *
 * Usage: deno run -A tools/test.ts [options of deno test]
 */

const root = new URL("../", import.meta.url);
/** Folders whose tests take their time: they run when the quick ones are through. */
const slow = ["tests/statistics/", "tests/cli/"];

/** What one wave came to. */
export interface Tally {
  passed: number;
  failed: number;
  /** Names of ignored tests; they carry the reason in brackets. */
  skipped: string[];
}

const unescape = (text: string) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'").replaceAll("&amp;", "&");

/** Counts of a JUnit report as `deno test --junit-path` writes it. */
export function readJunit(xml: string): Tally {
  const tally: Tally = { passed: 0, failed: 0, skipped: [] };
  for (const [, name, body] of xml.matchAll(/<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)) {
    if (/^\s*<skipped\/>/.test(body)) tally.skipped.push(unescape(name));
    else if (/^\s*<(failure|error)\b/.test(body)) tally.failed++;
    else tally.passed++;
  }
  return tally;
}

function* testFiles(folder: string): Iterable<string> {
  for (const entry of Deno.readDirSync(new URL(folder, root))) {
    if (entry.isDirectory) yield* testFiles(`${folder}${entry.name}/`);
    else if (entry.name.endsWith("_test.ts")) yield folder + entry.name;
  }
}

async function runWave(files: string[], options: string[]): Promise<Tally> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--parallel", `--junit-path=${report}`, ...options, ...files],
      cwd: root,
    }).spawn().status;
    const tally = readJunit(await Deno.readTextFile(report));
    if (!success && tally.failed === 0) tally.failed = 1;
    return tally;
  } finally {
    await Deno.remove(report);
  }
}

/**
 * Software Vulkan for the GPU tests where this is Debian, we are root, and it is missing. Elsewhere, or
 * when it cannot be had, those tests are reported as ignored with the reason.
 */
async function installVulkan(): Promise<void> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return;
  if (await exists("/usr/lib/x86_64-linux-gnu/libvulkan.so.1")) return;
  if (await exists("/usr/lib/aarch64-linux-gnu/libvulkan.so.1")) return;
  if (!await exists("/usr/bin/apt-get")) return;
  const packages = ["mesa-vulkan-drivers", "libvulkan1"];
  console.log(`Installing ${packages.join(" ")} for the WebGPU tests`);
  const apt = async (...args: string[]) =>
    (await new Deno.Command("apt-get", {
      args: ["-qq", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=20", ...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdout: "null",
      stderr: "null",
    }).output()).success;
  const install = ["install", "-y", "--no-install-recommends", ...packages];
  if (!await apt(...install) && !(await apt("update") && await apt(...install))) {
    console.log("apt-get could not install them: the WebGPU tests are ignored");
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  await installVulkan();
  const all = [...testFiles("tests/")].sort();
  const isSlow = (file: string) => slow.some((folder) => file.startsWith(folder));
  const total: Tally = { passed: 0, failed: 0, skipped: [] };
  for (const files of [all.filter((f) => !isSlow(f)), all.filter(isSlow)]) {
    if (files.length === 0) continue;
    const wave = await runWave(files, Deno.args);
    total.passed += wave.passed;
    total.failed += wave.failed;
    total.skipped.push(...wave.skipped);
  }
  for (const name of total.skipped) console.log(`skipped: ${name}`);
  if (total.skipped.length) console.log(`${total.skipped.length} skipped, each named above`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  Deno.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
}

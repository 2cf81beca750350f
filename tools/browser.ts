/**
 * The kernels' conformance suite in a headless Chromium: a second WebGPU engine (Dawn on SwiftShader), and
 * the module as a page would import it. Prints one line for each comparison; exit code 1 where one
 * is off. Not part of the tests: it needs a Chromium (Debian: apt install chromium).
 *
 * Usage: deno task test:browser [--chromium PATH] [--gpu]   (--gpu: the machine's own adapter)
 */
import type { Outcome } from "../tests/browser/suite.ts";

const root = new URL("../", import.meta.url);
const candidates = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

async function findChromium(): Promise<string> {
  const at = Deno.args.indexOf("--chromium");
  for (const name of at >= 0 ? [Deno.args[at + 1]] : candidates) {
    try {
      const { success } = await new Deno.Command(name, {
        args: ["--version"],
        stdout: "null",
        stderr: "null",
      }).output();
      if (success) return name;
    } catch { /* not there */ }
  }
  throw new Error("no Chromium found (Debian: apt install chromium; or --chromium PATH)");
}

/** The suite and all it imports as one script. */
async function bundle(folder: string): Promise<string> {
  const out = `${folder}/suite.js`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--platform", "browser", "-o", out, "tests/browser/suite.ts"],
    cwd: root,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return await Deno.readTextFile(out);
}

/** A page on 127.0.0.1 (WebGPU wants a secure context) with the script in it. */
function servePage(script: string): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const isScript = new URL(request.url).pathname === "/suite.js";
    const type = isScript ? "text/javascript" : "text/html; charset=utf-8";
    const page = '<!doctype html><script type="module" src="suite.js"></script>';
    return new Response(isScript ? script : page, { headers: { "content-type": type } });
  });
}

/** Evaluates an expression in the first page of a browser, through its debugging port. */
async function evaluate(port: number, url: string, expression: string): Promise<unknown> {
  const target = await retry(async () => {
    const pages = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
    const page = pages.find((p: { url: string }) => p.url.startsWith(url));
    if (!page) throw new Error("the page is not there yet");
    return page.webSocketDebuggerUrl as string;
  });
  const socket = new WebSocket(target);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the browser's debugging port does not answer"));
  });
  interface Answer {
    result?: { value?: unknown };
    exceptionDetails?: unknown;
  }
  const answer = new Promise<Answer>((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.id !== 1) return;
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    };
    socket.onclose = () => reject(new Error("the browser closed its debugging port"));
  });
  const params = { expression, awaitPromise: true, returnByValue: true };
  socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params }));
  const { result, exceptionDetails } = await answer;
  socket.close();
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails, null, 1));
  return result?.value;
}

async function retry<T>(work: () => Promise<T>, times = 100): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (--times === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The port Chromium chose, from the file it writes. */
async function debuggingPort(profile: string): Promise<number> {
  return await retry(async () =>
    Number((await Deno.readTextFile(`${profile}/DevToolsActivePort`)).split("\n")[0])
  );
}

if (import.meta.main) {
  const chromium = await findChromium();
  const folder = await Deno.makeTempDir();
  const server = servePage(await bundle(folder));
  const url = `http://127.0.0.1:${server.addr.port}/`;
  const adapter = Deno.args.includes("--gpu") ? [] : ["--use-webgpu-adapter=swiftshader"];
  const browser = new Deno.Command(chromium, {
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu-sandbox",
      "--enable-unsafe-webgpu",
      "--enable-features=Vulkan",
      ...adapter,
      "--remote-debugging-port=0",
      `--user-data-dir=${folder}/profile`,
      url,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  let failed = 0;
  try {
    const port = await debuggingPort(`${folder}/profile`);
    await retry(async () => {
      if (await evaluate(port, url, "typeof suite") !== "object") throw new Error("not loaded");
    });
    const { adapter, comparisons } = await evaluate(port, url, "suite.run()") as Outcome;
    console.log(`adapter: ${adapter}`);
    for (const { name, error, tolerance } of comparisons) {
      const ok = error <= tolerance;
      if (!ok) failed++;
      const figures = `${error.toPrecision(2)} of ${tolerance.toPrecision(1)}`;
      console.log(`${ok ? "ok    " : "FAILED"} ${name}: ${figures}`);
    }
    console.log(`${comparisons.length - failed} passed, ${failed} failed`);
  } finally {
    browser.kill();
    await browser.status;
    await server.shutdown();
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
  Deno.exit(failed === 0 ? 0 : 1);
}

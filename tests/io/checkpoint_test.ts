import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import {
  type Checkpoint,
  checkpointFile,
  loadCheckpoint,
  previousCheckpointFile,
  saveCheckpoint,
} from "../../src/io/checkpoint.ts";
import { flipped, inFolder, refused } from "./helpers.ts";

const checkpoint = (iteration: number): Checkpoint => ({
  tensors: {
    parameters: Float64Array.of(iteration, NaN, -0, 5e-324),
    counters: Int32Array.of(iteration),
  },
  metadata: { stage: "julep", state: '{"Δ":1}' },
});
const iterationOf = (loaded: Checkpoint | null) => loaded?.tensors.counters[0];
const names = (dir: string) => [...Deno.readDirSync(dir)].map((entry) => entry.name).sort();
const damage = async (path: string, bit: number) =>
  await Deno.writeFile(path, flipped(await Deno.readFile(path), bit));

Deno.test("a checkpoint comes back to the bit, and equal ones are equal files", async () => {
  await inFolder(async (dir) => {
    assert.equal(await loadCheckpoint(dir), null);
    await saveCheckpoint(dir, checkpoint(1));
    assert.deepStrictEqual(await loadCheckpoint(dir), checkpoint(1));
    assert.deepEqual(names(dir), ["checkpoint.safetensors"]);
    const bytes = await Deno.readFile(checkpointFile(dir));
    // A loaded one saved again is the same file: nothing is added on the way.
    await saveCheckpoint(dir, (await loadCheckpoint(dir))!);
    assert.deepEqual(await Deno.readFile(checkpointFile(dir)), bytes);
    await saveCheckpoint(dir, checkpoint(2));
    assert.equal(iterationOf(await loadCheckpoint(dir)), 2);
    assert.deepEqual(await Deno.readFile(previousCheckpointFile(dir)), bytes);
    assert.deepEqual(names(dir), ["checkpoint.previous.safetensors", "checkpoint.safetensors"]);
  });
});

Deno.test("any turned bit and any truncation is noticed, the previous one is taken", async () => {
  await inFolder(async (dir) => {
    await saveCheckpoint(dir, checkpoint(1));
    await saveCheckpoint(dir, checkpoint(2));
    const path = checkpointFile(dir);
    const bytes = await Deno.readFile(path);
    const check = async (broken: Uint8Array) => {
      await Deno.writeFile(path, broken);
      const notes: string[] = [];
      const loaded = await loadCheckpoint(dir, (line) => notes.push(line));
      assert.equal(iterationOf(loaded), 1);
      assert.equal(notes.length, 1);
      assert.ok(notes[0].includes(path) && notes[0].includes(previousCheckpointFile(dir)));
    };
    // The state of the folder is on the disk: fewer cases than in memory, spread by a prime.
    for (let bit = 0; bit < 8 * bytes.length; bit += 7) await check(flipped(bytes, bit));
    for (let length = 0; length < bytes.length; length += 5) await check(bytes.slice(0, length));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, mask) => {
          const broken = bytes.slice();
          broken[at] ^= mask;
          // One kind of blank for another in the header's padding changes nothing that is read.
          if (/\s/.test(String.fromCharCode(broken[at])) && bytes[at] === 0x20) return;
          await check(broken);
        },
      ),
    );
  });
});

Deno.test("two damaged checkpoints are refused; a lost newest one is made good", async () => {
  await inFolder(async (dir) => {
    await saveCheckpoint(dir, checkpoint(1));
    await damage(checkpointFile(dir), 999);
    await assert.rejects(loadCheckpoint(dir), refused(/./, checkpointFile(dir)));
    await saveCheckpoint(dir, checkpoint(1));
    await saveCheckpoint(dir, checkpoint(2));
    await damage(checkpointFile(dir), 999);
    await damage(previousCheckpointFile(dir), 999);
    await assert.rejects(loadCheckpoint(dir), refused(/./, checkpointFile(dir)));
    await Deno.remove(checkpointFile(dir));
    await assert.rejects(loadCheckpoint(dir), refused(/./, previousCheckpointFile(dir)));
    await saveCheckpoint(dir, checkpoint(1));
    await saveCheckpoint(dir, checkpoint(2));
    await Deno.remove(checkpointFile(dir));
    assert.equal(iterationOf(await loadCheckpoint(dir)), 1);
  });
});

Deno.test("saving never replaces the one sound checkpoint by a damaged one", async () => {
  await inFolder(async (dir) => {
    await saveCheckpoint(dir, checkpoint(1));
    await saveCheckpoint(dir, checkpoint(2));
    await damage(checkpointFile(dir), 999);
    await saveCheckpoint(dir, checkpoint(3));
    assert.equal(iterationOf(await loadCheckpoint(dir)), 3);
    await damage(checkpointFile(dir), 999);
    assert.equal(iterationOf(await loadCheckpoint(dir)), 1);
  });
});

Deno.test("a save that fails leaves the earlier checkpoint", async () => {
  await inFolder(async (dir) => {
    await saveCheckpoint(dir, checkpoint(1));
    const bad = { ...checkpoint(2), tensors: { __metadata__: Float64Array.of(1) } };
    await assert.rejects(saveCheckpoint(dir, bad), RangeError);
    await Deno.mkdir(previousCheckpointFile(dir)); // In the way of the copy.
    await assert.rejects(saveCheckpoint(dir, checkpoint(2)), refused(/it is a folder/));
    assert.equal(iterationOf(await loadCheckpoint(dir)), 1);
    await assert.rejects(
      saveCheckpoint(join(dir, "missing"), checkpoint(1)),
      refused(/cannot write/, "missing"),
    );
  });
});

Deno.test("kill -9 at any moment leaves a sound checkpoint, no older than the last finished save", async () => {
  await inFolder(async (dir) => {
    const code = `
      import { saveCheckpoint } from ${
      JSON.stringify(import.meta.resolve("../../src/io/checkpoint.ts"))
    };
      const tensors = { parameters: new Float64Array(50000), counters: new Int32Array(1) };
      for (let i = 1; ; i++) {
        tensors.counters[0] = i;
        tensors.parameters.fill(i);
        await saveCheckpoint(${JSON.stringify(dir)}, { tensors, metadata: {} });
        console.log(i);
      }`;
    for (let kills = 0; kills < 4; kills++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", code],
        cwd: new URL("../../", import.meta.url),
        stdout: "piped",
      }).spawn();
      let reported = 0;
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        for (const line of text.trim().split("\n")) reported = Number(line);
        if (reported < 3) continue;
        // Somewhere within a save, another place each time.
        await new Promise((resolve) => setTimeout(resolve, 3 + 7 * kills));
        child.kill("SIGKILL");
        break;
      }
      await child.status;
      const loaded = await loadCheckpoint(dir);
      const iteration = iterationOf(loaded)!;
      assert.ok(iteration >= reported, `${iteration} after ${reported} was reported`);
      assert.ok(loaded!.tensors.parameters.every((value) => value === iteration));
    }
  });
});

/** Whatever the user gets wrong is one clear line and exit code 2, and no file changes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  assertRefused,
  contents,
  inFolder,
  mintjulep,
  mintjulepHere,
  trainArgs,
} from "./command.ts";

/** Arguments, with DIR standing for a folder with the files below; what the line must say. */
const cases: [string, RegExp][] = [
  ["", /which command\? train, sample, evaluate, inspect, energy, table1, tune or doctor/],
  ["brew", /unexpected option or subcommand: `brew`/],
  ["--verbose", /`--verbose`/],
  ["train", /train needs a preset or a JSON file/],
  ["train dw4", /train needs --out DIR/],
  ["train dw4 --out", /`--out` requires/],
  ["train dw4 --out DIR/new --sed 3", /`--sed`/],
  ["train dw4 lj13 --out DIR/new", /`lj13`/],
  ["train dw5 --out DIR/new", /unknown preset "dw5": the presets are dw4, lj13, lj55, lj13-eacf/],
  ["train DW4 --out DIR/new", /unknown preset "DW4"/],
  ["train DIR/none.json --out DIR/new", /none\.json: no such file/],
  ["train DIR --out DIR/new", /it is a folder/],
  [
    "train DIR/molecule.prmtop --out DIR/new",
    /molecule\.prmtop is a molecule's parameter file.* with --coordinates FILE$/,
  ],
  ["train DIR/system.xml --out DIR/new", /system\.xml is a molecule's parameter file/],
  ["energy aldp --forces", /--forces needs --json/],
  ["energy aldp --coordinates DIR/none.npy", /: cannot read .*none\.npy: no such file/],
  [
    "train DIR/malformed.json --out DIR/new",
    /malformed\.json: not valid JSON at line 1, column 19:/,
  ],
  [
    "train DIR/truncated.json --out DIR/new",
    /truncated\.json: .* line 3, column 13: the text ends/,
  ],
  ["train DIR/empty.json --out DIR/new", /empty\.json: .*the text ends where a value is expected/],
  ["train DIR/binary.json --out DIR/new", /binary\.json: not valid JSON/],
  ["train DIR/wrong.json --out DIR/new", /wrong\.json: julep\.steps must be .* >= 1, got "many"/],
  ["train DIR/negative.json --out DIR/new", /negative\.json: julep\.steps must be .*, got -3$/],
  ["train DIR/unknown.json --out DIR/new", /unknown\.json: unknown field julep\.stepz$/],
  ["train DIR/incomplete.json --out DIR/new", /incomplete\.json: system\.particles is missing/],
  [
    "train dw4 --out DIR/new --set julep.stepz=3",
    /--set julep\.stepz=3: julep has no field "stepz"/,
  ],
  ["train dw4 --out DIR/new --set julep.steps=0", /julep\.steps must be an integer >= 1, got 0$/],
  ["train dw4 --out DIR/new --set julep.steps", /must have the form field=value/],
  [
    "train dw4 --out DIR/new --method hmc",
    /unknown method "hmc": the methods are julep, underdamped, /,
  ],
  [
    "train dw4 --out DIR/new --method pis --set julep.stepSize.learn=true",
    /julep\.stepSize\.learn must be false with julep\.diffusion\.kind pis, got true$/,
  ],
  [
    "train lj13 --out DIR/new --method smc --set path.resampling.population=10",
    /path\.resampling.*population \(a multiple of 4 >= 8\)|population must be a multiple of 4 >= 8/,
  ],
  [
    "train lj13 --out DIR/new --method ais --set path.levels=1",
    /path\.levels must be an integer >= 2/,
  ],
  ["train DIR --resume --method pis", /--method cannot go with --resume/],
  [
    "train dw4 --out DIR/new --set mint.family=gaussian",
    /mint\.family must be "orbit_vmf" or "pvmf" or "orbit_gaussian", got "gaussian"$/,
  ],
  [
    "train DIR/labelled.json --out DIR/new",
    /mint\.symmetrise: 13 identical particles have 6\.2e\+9 labellings, at most 5040 .*orbit_gaussian/,
  ],
  ["train dw4 --out DIR/new --set mint.components=0", /mint\.broad\.weight must be 1 because/],
  [
    "train lj13 --out DIR/new --set system.epsilon=-1",
    /system\.epsilon must be a number > 0, got -1/,
  ],
  [
    "train dw4 --out DIR/new --seed 1.5",
    /--seed must be an integer from 0 to 2\^32 - 1, got 1\.5$/,
  ],
  ["train dw4 --out DIR/new --seed -1", /--seed must be .*, got -1$/],
  ["train dw4 --out DIR/new --seed 9007199254740992", /--seed must be .*, got 9007199254740992$/],
  ["train dw4 --out DIR/new --workers 0", /--workers must be an integer from 1 to 1024, got 0$/],
  ["train dw4 --out DIR/new --workers 1025", /--workers must be .* from 1 to 1024, got 1025$/],
  ["train dw4 --out DIR/new --workers two", /--workers must be an integer .*, got two$/],
  [
    "train dw4 --out DIR/new --backend gpu",
    /--backend must be auto, wasm, webgpu, reference, got gpu$/,
  ],
  ["train dw4 --out DIR/file/new", /cannot write .*file\/new: .*is a file, not a folder$/],
  ["train dw4 --out DIR/file", /cannot write .*file: .*in the way|not a folder/],
  ["train DIR/none --resume", /none/],
  ["train DIR --resume", /config\.json/],
  ["train DIR --resume --out DIR/new", /--out cannot go with --resume/],
  ["train DIR --resume --seed 3", /--seed cannot go with --resume/],
  ["train DIR --resume --set seed=3", /--set cannot go with --resume/],
  ["sample", /sample needs DIR/],
  ["sample DIR --out DIR/s.npz", /missing option `--samples`/],
  ["sample DIR --samples 5", /missing option `--out`/],
  ...["0", "-1", "1e99", "abc", "1.5", "1e10", "Infinity", "NaN", "0x10", "1,000"].map(
    (value): [string, RegExp] => [
      `sample DIR --out DIR/s.npz --samples ${value}`,
      new RegExp(`--samples must be an integer from 1 to 1e9, got "?${value}"?$`),
    ],
  ),
  ["sample DIR --out DIR/s.npz --samples", /`--samples` requires/],
  ["sample DIR --out DIR/s.npz --samples 5 --samples 6", /`--samples` cannot be used multiple/],
  ["sample DIR --out DIR/s.npz --samples 5 --steps 0", /--steps must be .*, got 0$/],
  ["sample DIR --out DIR/s.npz --samples 5", /config\.json/],
  ["sample DIR/none --out DIR/s.npz --samples 5", /none/],
  ["sample DIR --out DIR/none/s.npz --samples 5", /cannot write .*none\/s\.npz: no such file/],
  ["sample DIR --out DIR/file/s.npz --samples 5", /s\.npz: .*is a file, not a folder$/],
  ["sample DIR --out DIR/s.xyz --samples 5", /s\.xyz: its name must end in \.npz, \.pdb or \.dcd$/],
  ["sample DIR --out DIR/s --samples 5", /its name must end in/],
  ["sample DIR --out DIR --samples 5", /cannot write .*: it is a folder$/],
  ["evaluate", /evaluate needs DIR/],
  ["evaluate DIR --samples 0 --json", /--samples must be .*, got 0$/],
  ["evaluate DIR --samples 5 --seeds -2 --json", /--seeds must be .*, got -2$/],
  ["evaluate DIR --samples 5 --reference", /`--reference` requires/],
  ["evaluate DIR/file --samples 5 --json", /file/],
  ["table1", /missing option `--out`/],
  ["table1 --out DIR/new --preset lj38", /lj38/],
  ["table1 --out DIR/new --row cnf", /cnf/],
  ["table1 --out DIR/file", /cannot write .*file: .*in the way|not a folder/],
  ["tune --out DIR/new", /tune needs a preset or a JSON file/],
  ["tune dw4 --out DIR/new --method mcmc", /mcmc/],
  ["tune lj13 --out DIR/new --generations 0", /--generations must be .*, got 0$/],
  ["tune lj13 --out DIR/new --population 3", /--population must be .* from 4 to 1e9, got 3$/],
  ["doctor --jsonn", /`--jsonn`/],
  ["doctor everything", /`everything`/],
];
if (Deno.build.os === "linux") {
  cases.push(["sample DIR --out /dev/full --samples 5", /\/dev\/full: it is not a regular file$/]);
}

const files: Record<string, string | Uint8Array> = {
  "file": "a file\n",
  "molecule.prmtop": "%VERSION  VERSION_STAMP = V0001.000\n%FLAG TITLE\n",
  "system.xml": '<?xml version="1.0" ?>\n<System></System>\n',
  "malformed.json": '{"preset": "dw4", }',
  "truncated.json": '{\n  "preset": "dw4",\n  "julep": {',
  "empty.json": "",
  "binary.json": new Uint8Array(64).map((_, i) => (i * 37) & 255),
  "wrong.json": '{"preset": "dw4", "julep": {"steps": "many"}}',
  "negative.json": '{"preset": "dw4", "julep": {"steps": -3}}',
  "unknown.json": '{"preset": "dw4", "julep": {"stepz": 3}}',
  "labelled.json": '{"preset": "lj13", "mint": {"components": 2, "broad": {"weight": 0.1}}}',
  "incomplete.json": '{"system": {"kind": "double_well"}}',
};

for (const [line, pattern] of cases) {
  Deno.test(`refused: mintjulep ${line}`, async () => {
    await inFolder(async (dir) => {
      for (const [name, content] of Object.entries(files)) {
        await Deno.writeFile(
          join(dir, name),
          typeof content === "string" ? new TextEncoder().encode(content) : content,
        );
      }
      const before = contents(dir);
      const args = line.split(" ").filter((arg) => arg !== "").map((a) => a.replace("DIR", dir));
      const result = await mintjulepHere(...args);
      assertRefused(result, pattern);
      assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
      assert.deepEqual(contents(dir), before);
    });
  });
}

Deno.test("refused: an argument with line breaks still gives one line", async () => {
  await inFolder(async (dir) => {
    const result = await mintjulep("train", "dw4", "--out", join(dir, "x"), "--set", "a\nb=1\r\n2");
    assertRefused(result, /--set a b=1 2/);
    assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
  });
});

Deno.test("a finished run stays as it was whatever is asked of it wrongly", async () => {
  await inFolder(async (dir) => {
    const run = join(dir, "run");
    const trained = await mintjulep(...trainArgs(run));
    assert.equal(trained.code, 0, trained.stderr);
    const samples = join(dir, "s.npz");
    assert.equal((await mintjulep("sample", run, "--samples", "8", "--out", samples)).code, 0);
    await Deno.writeTextFile(join(dir, "bad.npy"), "not an array");
    const before = contents(dir);
    const wrong: [string[], RegExp][] = [
      [trainArgs(run), /already holds a run/],
      [trainArgs(run, { "julep.steps": -1 }), /julep\.steps must be an integer >= 1, got -1$/],
      [["sample", run, "--samples", "0", "--out", samples], /--samples/],
      [["sample", run, "--samples", "8", "--out", join(samples, "x")], /not a folder/],
      [["evaluate", run, "--samples", "8", "--reference", join(dir, "no.npy")], /no\.npy/],
      [["evaluate", run, "--samples", "8", "--reference", join(dir, "bad.npy")], /bad\.npy/],
    ];
    for (const [args, pattern] of wrong) {
      assertRefused(await mintjulepHere(...args), pattern);
      assert.deepEqual(contents(dir), before, args.join(" "));
    }
  });
});

Deno.test("damaged files of a run are named, and left alone", async () => {
  await inFolder(async (dir) => {
    const trained = await mintjulep(...trainArgs(join(dir, "run")));
    assert.equal(trained.code, 0, trained.stderr);
    const checkpoint = await Deno.readFile(join(dir, "run", "checkpoint.safetensors"));
    const flipped = checkpoint.slice();
    flipped[flipped.length - 5] ^= 1;
    const config = await Deno.readTextFile(join(dir, "run", "config.json"));
    const damages: [string, string | Uint8Array, RegExp][] = [
      ["checkpoint.safetensors", checkpoint.subarray(0, 1000), /checkpoint/],
      ["checkpoint.safetensors", checkpoint.subarray(0, 4), /checkpoint/],
      ["checkpoint.safetensors", flipped, /checkpoint/],
      ["checkpoint.safetensors", new Uint8Array(200), /checkpoint/],
      ["config.json", config.slice(0, 300), /config\.json: not valid JSON at line \d+, column \d+/],
      ["config.json", config.replace('"seed": 2666', '"seed": 2667'), /config\.json is not the/],
    ];
    for (const [name, content, pattern] of damages) {
      const damaged = join(dir, "damaged");
      await Deno.mkdir(damaged);
      for (const entry of Deno.readDirSync(join(dir, "run"))) {
        // Without the earlier checkpoint there is nothing to fall back on.
        if (entry.name === "checkpoint.previous.safetensors") continue;
        await Deno.copyFile(join(dir, "run", entry.name), join(damaged, entry.name));
      }
      await Deno.writeFile(
        join(damaged, name),
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
      const before = contents(damaged);
      for (
        const args of [
          ["sample", damaged, "--samples", "8", "--out", join(damaged, "s.npz")],
          ["evaluate", damaged, "--samples", "8", "--json"],
          ["train", damaged, "--resume"],
        ]
      ) {
        assertRefused(await mintjulepHere(...args), pattern);
        assert.deepEqual(contents(damaged), before, args.join(" "));
      }
      await Deno.remove(damaged, { recursive: true });
    }
  });
});

import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import type { RunConfig, SystemConfig } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { preset, presetNames } from "../../src/config/presets.ts";
import { validateConfig } from "../../src/config/schema.ts";
import { InputError } from "../../src/errors.ts";

const options = { seed: 2666, numRuns: 200 };
const folder = Deno.makeTempDirSync();
const file = join(folder, "config.json");
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

function fromFile(content: unknown, overrides: string[] = []): RunConfig {
  const text = typeof content === "string" ? content : JSON.stringify(content, null, 2);
  Deno.writeTextFileSync(file, text);
  return loadConfig(file, overrides);
}

/** The message of the InputError that `body` must throw; one line. */
function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    assert.ok(error instanceof InputError, `not an InputError: ${error}`);
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message;
  }
  assert.fail("accepted");
}

const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
const fraction = fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true });
const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((x) => x === 0 ? 0 : x);
const count = (min: number) => fc.integer({ min, max: 1e9 });

const system: fc.Arbitrary<SystemConfig> = fc.oneof(
  fc.record({
    kind: fc.constant("double_well" as const),
    particles: fc.integer({ min: 2, max: 1000 }),
    dimension: fc.constantFrom(2 as const, 3 as const),
    offset: finite,
    linear: finite,
    quadratic: finite,
    quartic: positive,
    temperature: positive,
  }),
  fc.record({
    kind: fc.constant("lennard_jones" as const),
    particles: fc.integer({ min: 2, max: 1000 }),
    epsilon: positive,
    oscillator: positive,
    softCore: fc.oneof(
      fc.constant({ kind: "shifted" as const }),
      fc.record({ kind: fc.constant("beutler" as const), alpha: positive }),
    ),
  }),
);

const config: fc.Arbitrary<RunConfig> = fc.record({
  version: fc.constant(1 as const),
  preset: fc.constantFrom(...presetNames, "custom"),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  system,
  mint: fc.record({
    family: fc.constantFrom("orbit_vmf" as const, "pvmf" as const, "orbit_gaussian" as const),
    gaussian: fc.record({
      mean: fc.constant("minima" as const),
      covariance: fc.constantFrom("scale" as const, "diagonal" as const, "full" as const),
    }),
    pvmf: fc.record({
      normaliserSamples: fc.integer({ min: 64, max: 1e7 }),
      langevinSteps: fc.integer({ min: 0, max: 1e5 }),
    }),
    components: fc.integer({ min: 1, max: 1e6 }),
    symmetrise: fc.boolean(),
    allowLabelled: fc.boolean(),
    broad: fc.record({
      weight: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      scale: fc.oneof(fc.constant("auto" as const), positive),
    }),
    initialWidth: positive,
    starts: count(1),
    descentSteps: count(0),
    iterations: count(0),
    samples: count(1),
    learningRate: positive,
    gradientClip: positive,
    weightExponent: positive,
    temperedEss: fraction,
    repulsion: fc.double({ min: 0, max: 1e6, noNaN: true }),
  }),
  julep: fc.record({
    steps: count(1),
    samples: count(2),
    iterations: count(0),
    learningRate: positive,
    warmup: count(0),
    gradientClip: positive,
    gauge: fc.constantFrom("anchor" as const, "centre_of_mass" as const),
    grid: fc.constantFrom("uniform" as const, "random" as const),
    loss: fc.constantFrom("total" as const, "per_step" as const, "grouped" as const),
    lossGroups: count(1),
    tilt: fc.double({ min: 0, max: 1, noNaN: true }),
    gradientFraction: fraction,
    forceClip: fc.oneof(fc.constant(null), positive),
    network: fc.record({
      enabled: fc.boolean(),
      layers: fc.integer({ min: 1, max: 64 }),
      hidden: fc.integer({ min: 1, max: 128 }).map((x) => 8 * x),
      channels: fc.integer({ min: 1, max: 4 }),
      drift: fc.constant(true),
      evenDrift: fc.boolean(),
      matrix: fc.constantFrom("none" as const, "signed" as const, "positive" as const),
    }),
    path: fc.constant(null),
    stepSize: fc.record({
      initial: positive,
      knots: fc.integer({ min: 2, max: 1000 }),
      learn: fc.boolean(),
      learningRateFactor: positive,
    }),
  }),
  checkpointEvery: count(1),
}).map((value) => structuredClone(value)); // plain prototypes everywhere

/** Paths of all leaves. */
function leaves(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

function withValue(value: unknown, path: string[], leaf: unknown): unknown {
  if (path.length === 0) return leaf;
  const [key, ...rest] = path;
  const fields = value as Record<string, unknown>;
  return { ...fields, [key]: withValue(fields[key], rest, leaf) };
}

Deno.test("every preset is valid and loads as itself", () => {
  for (const name of presetNames) assert.deepEqual(loadConfig(name), preset(name));
});

Deno.test("a valid configuration survives the round trip through a file", () => {
  fc.assert(
    fc.property(config, (value) => {
      assert.deepEqual(fromFile(value), value);
    }),
    options,
  );
});

Deno.test("a leaf of the wrong type is refused and named", () => {
  const wrong = fc.constantFrom<unknown>([], [1], {}, { a: 1 }, "nonsense", "1", true, null, -0.5);
  const mutated = config.chain((value) =>
    fc.record({
      value: fc.constant(value),
      path: fc.constantFrom(...leaves(value)),
      leaf: wrong,
    })
  ).filter(({ value, path, leaf }) => {
    const name = path.join(".");
    const old = path.reduce<unknown>((v, key) => (v as Record<string, unknown>)[key], value);
    if (typeof leaf === typeof old && typeof leaf !== "number" && typeof leaf !== "string") {
      return false;
    }
    if (leaf === null && name === "julep.forceClip") return false;
    const negative = ["system.offset", "system.linear", "system.quadratic"];
    if (leaf === -0.5 && negative.includes(name)) return false;
    // Any name is a name; which presets exist is checked elsewhere.
    return !(name === "preset" && typeof leaf === "string");
  });
  fc.assert(
    fc.property(mutated, ({ value, path, leaf }) => {
      const message = refusal(() => validateConfig(withValue(value, path, leaf), "c.json"));
      assert.ok(message.startsWith(`c.json: ${path.join(".")} must be `), message);
    }),
    options,
  );
});

Deno.test("a missing leaf of the whole is refused and named", () => {
  fc.assert(
    fc.property(
      config.chain((value) =>
        fc.record({ value: fc.constant(value), path: fc.constantFrom(...leaves(value)) })
      ),
      ({ value, path }) => {
        const message = refusal(() => validateConfig(withValue(value, path, undefined), "c.json"));
        assert.ok(message.startsWith(`c.json: ${path.join(".")} is missing`), message);
      },
    ),
    options,
  );
});

Deno.test("--set of any leaf to its own value changes nothing", () => {
  const base = preset("lj13");
  for (const path of leaves(base)) {
    const name = path.join(".");
    if (name === "preset" || name === "version") continue;
    const value = path.reduce<unknown>((v, key) => (v as Record<string, unknown>)[key], base);
    assert.deepEqual(loadConfig("lj13", [`${name}=${JSON.stringify(value)}`]), base, name);
    if (typeof value === "string") assert.deepEqual(loadConfig("lj13", [`${name}=${value}`]), base);
  }
});

Deno.test("a partial file takes the rest from its preset, a custom one from fitting defaults", () => {
  const partial = fromFile({ preset: "lj13", julep: { steps: 7, network: { hidden: 32 } } });
  const expected = preset("lj13");
  expected.julep.steps = 7;
  expected.julep.network.hidden = 32;
  assert.deepEqual(partial, expected);

  const custom = fromFile({
    system: {
      kind: "lennard_jones",
      particles: 5,
      epsilon: 1,
      oscillator: 2,
      softCore: { kind: "shifted" },
    },
  });
  assert.equal(custom.preset, "custom");
  assert.ok(custom.system.kind === "lennard_jones");
  assert.equal(custom.system.particles, 5);
  assert.deepEqual(custom.mint, preset("lj13").mint);
});

Deno.test("a change of kind starts from that kind's own fields", () => {
  const changed = loadConfig("lj13", ["system.softCore.kind=shifted"]);
  assert.deepEqual((changed.system as { softCore: unknown }).softCore, { kind: "shifted" });
  const back = fromFile(changed, [
    "system.softCore.kind=beutler",
    "system.softCore.alpha=0.25",
  ]);
  assert.deepEqual((back.system as { softCore: unknown }).softCore, {
    kind: "beutler",
    alpha: 0.25,
  });
});

Deno.test("overrides that only fit together are judged together", () => {
  const config = loadConfig("dw4", ["mint.components=0", "mint.broad.weight=1", "mint.samples=8"]);
  assert.equal(config.mint.components, 0);
  assert.match(
    refusal(() => loadConfig("dw4", ["mint.components=0", "seed=1"])),
    /mint\.broad\.weight must be 1 because mint\.components is 0, got 0\.02$/,
  );
});

Deno.test("--set values are JSON or bare strings", () => {
  assert.equal(loadConfig("lj13", ["mint.broad.scale=auto"]).mint.broad.scale, "auto");
  assert.equal(loadConfig("lj13", ['mint.broad.scale="auto"']).mint.broad.scale, "auto");
  assert.equal(loadConfig("lj13", ["julep.forceClip=null"]).julep.forceClip, null);
  assert.equal(loadConfig("lj13", ["julep.learningRate=2e-4"]).julep.learningRate, 2e-4);
  const merged = loadConfig("dw4", ['julep.network={"layers":2}']).julep.network;
  assert.deepEqual(merged, { ...preset("dw4").julep.network, layers: 2 });
});

const refusedOverrides: [string, string, RegExp][] = [
  [
    "dw4",
    "julep.steps=-3",
    /^--set julep\.steps=-3: julep\.steps must be an integer >= 1, got -3$/,
  ],
  ["dw4", "julep.steps=1e99", /julep\.steps must be an integer <= 1000000000, got 1e\+99$/],
  ["dw4", "julep.stepz=3", /julep has no field "stepz"; its fields are steps, samples, iter/],
  ["dw4", "jules.steps=3", /a configuration has no field "jules"; its fields are version, preset/],
  ["dw4", "julep.steps", /must have the form field=value/],
  ["dw4", "=3", /must have the form field=value/],
  ["dw4", "julep.steps=", /the value is missing/],
  ["dw4", "julep..steps=3", /julep has no field ""/],
  ["dw4", "seed.low=3", /seed is a value, it has no fields/],
  [
    "dw4",
    "seed=9007199254740992",
    /seed must be an integer from 0 to 2\^32 - 1, got 9007199254740992/,
  ],
  ["dw4", "julep=3", /julep must be an object, got 3$/],
  ["dw4", 'julep={"a":1}', /unknown field julep\.a$/],
  ["dw4", "__proto__.polluted=1", /has no field "__proto__"/],
  ["dw4", 'julep={"__proto__":{"polluted":1}}', /unknown field julep\.__proto__$/],
  ["dw4", "constructor.prototype.polluted=1", /has no field "constructor"/],
  ["dw4", "preset=lj13", /preset says what the configuration is and cannot be set/],
  ["dw4", "julep.network.hidden=60", /julep\.network\.hidden must be a multiple of 8, got 60$/],
  ["dw4", "julep.gradientFraction=0", /must be a number in \(0, 1\], got 0$/],
  ["dw4", "system.quartic=0", /system\.quartic must be > 0/],
  [
    "dw4",
    "system.kind=ising",
    /system\.kind must be "double_well", "lennard_jones" or "molecule", got "ising"/,
  ],
  ["dw4", "mint.broad.weight=1", /must be < 1 because mint\.components is 48, got 1$/],
  ["lj13", "mint.components=3", /must be < 1 because mint\.components is 3, got 1$/],
  ["dw4", "julep.learningRate=NaN", /must be a number > 0, got "NaN"$/],
  ["dw4", "julep.learningRate=1e999", /julep\.learningRate must be a number > 0, got Infinity$/],
];
for (const [name, override, pattern] of refusedOverrides) {
  Deno.test(`--set ${override} is refused`, () => {
    assert.match(refusal(() => loadConfig(name, [override])), pattern);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
}

const refusedFiles: [string, unknown, RegExp][] = [
  [
    "truncated",
    '{\n  "preset": "dw4",\n  "julep": {',
    /line 3, column 13: the text ends where a key/,
  ],
  ["truncated in a string", '{"preset": "dw', /line 1, column 12: a string is not closed/],
  ["empty", "", /line 1, column 1: the text ends where a value is expected/],
  ["not JSON", "julep: 3", /line 1, column 1: a value expected, found "julep"$/],
  ["trailing comma", '{"seed": 1,\n}', /line 2, column 1: a key expected, found "}"$/],
  ["missing comma", '{"seed": 1 "x": 2}', /line 1, column 12: "," or "}" expected, found a string/],
  [
    "text after the end",
    '{"preset": "dw4"} }',
    /column 19: the end of the text expected, found "}"/,
  ],
  ["leading zero", '{"seed": 01}', /column 10: a value expected, found "01"$/],
  ["NaN", '{"seed": NaN}', /column 10: a value expected, found "NaN"$/],
  ["an array", [], /must hold one JSON object/],
  ["unknown preset", { preset: "dw5" }, /preset "dw5" is unknown: it must be dw4, lj13, /],
  [
    "wrong type",
    { preset: "dw4", julep: { steps: "many" } },
    /julep\.steps must be .*, got "many"/,
  ],
  ["null section", { preset: "dw4", mint: null }, /mint must be an object, got null$/],
  ["unknown field", { preset: "dw4", julep: { stepz: 3 } }, /unknown field julep\.stepz$/],
  ["unknown section", { preset: "dw4", juleps: {} }, /unknown field juleps$/],
  ["no system", {}, /system is missing; it must be an object with "kind"/],
  ["half a system", { system: { kind: "double_well" } }, /system\.particles is missing/],
  ["a later layout", { preset: "dw4", version: 2 }, /version must be 1, .* got 2$/],
  ["a prototype", '{"preset":"dw4","__proto__":{"polluted":1}}', /unknown field __proto__$/],
];
for (const [what, content, pattern] of refusedFiles) {
  Deno.test(`a configuration file is refused: ${what}`, () => {
    const message = refusal(() => fromFile(content));
    assert.ok(message.startsWith(`${file}: `), message);
    assert.match(message, pattern);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
}

Deno.test("any prefix of a configuration file is refused as truncated, at its end", () => {
  const text = JSON.stringify(preset("dw4"));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: text.length - 1 }), (length) => {
      const message = refusal(() => fromFile(text.slice(0, length)));
      const column = Number(/column (\d+)/.exec(message)![1]);
      assert.match(message, /truncated|not closed|expected, found/);
      assert.ok(column <= length + 1 && column > length - 40, `${column} of ${length}: ${message}`);
    }),
    options,
  );
});

Deno.test("JSON that JSON.parse refuses is refused with a position, and no other", () => {
  const mark = fc.constantFrom(...'{}[],:"\\ \n019-+.eEtrufalsn\u0001é');
  fc.assert(
    fc.property(fc.array(mark, { maxLength: 12 }), (marks) => {
      const text = marks.join("");
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      if (valid) return;
      assert.match(refusal(() => fromFile(text)), /not valid JSON at line \d+, column \d+: /);
    }),
    { ...options, numRuns: 2000 },
  );
});

Deno.test("a name that is neither preset nor file says which presets exist", () => {
  assert.match(
    refusal(() => loadConfig("dw5")),
    /^unknown preset "dw5": the presets are dw4, lj13, lj55, lj13-eacf, aldp, aldp-vacuum; or give/,
  );
  assert.match(refusal(() => loadConfig("no/such.json")), /^cannot read no\/such\.json: no such/);
  assert.match(refusal(() => loadConfig(folder)), /it is a folder$/);
});

Deno.test("what Julep in internal coordinates does not use is refused, not ignored", () => {
  const refine = '{"rounds":1,"samples":200,"buffer":100,"defensive":0.2,"strength":100}';
  const settings = [`internal.refine=${refine}`];
  assert.equal(loadConfig("aldp", settings).internal!.refine!.rounds, 1);
  assert.match(
    refusal(() => loadConfig("aldp", settings, "internal-julep")),
    /internal\.refine.* must be null with internal\.kernel julep/,
  );
});

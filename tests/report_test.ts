import assert from "node:assert/strict";
import fc from "fast-check";
import { preset } from "../src/config/presets.ts";
import { RandomStream, Stream } from "../src/math/random.ts";
import { mintComponentSize, type MintModel } from "../src/mint/model.ts";
import { deviation } from "../src/report/figures_table.ts";
import {
  escapeHtml,
  fixed,
  integer,
  percent,
  percentWithError,
  seconds,
  withError,
} from "../src/report/format.ts";
import type { ReportInput } from "../src/report/input.ts";
import { renderPicture } from "../src/report/picture.ts";
import { freeEnergies, highestShown, ramachandranPlot } from "../src/report/plots/ramachandran.ts";
import { planeDensity, planeExtent, planeModes } from "../src/report/plane_modes.ts";
import { renderReport } from "../src/report/report.ts";
import { exactValues } from "../src/sampling/exact.ts";

const random = new RandomStream(8, Stream.test, 0);

function mixture(components: number, dimension: 2 | 3 = 2): MintModel {
  const particles = 4, m = particles - 1, size = mintComponentSize(particles, dimension);
  const parameters = new Float64Array(components * size);
  for (let k = 0; k < components; k++) {
    const at = k * size;
    parameters[at] = random.normal();
    for (let i = 0; i < m * dimension; i++) parameters[at + 1 + i] = random.normal();
    const radii = at + 1 + m * dimension;
    for (let i = 0; i < m; i++) {
      parameters[radii + i] = Math.log(3) + 0.3 * random.normal();
      parameters[radii + m + i] = Math.log(0.1);
      parameters[radii + 2 * m + i] = Math.log(80);
    }
  }
  return {
    family: "orbit_vmf",
    components,
    particles,
    dimension,
    symmetrise: true,
    identicalParticles: [[0, 1, 2, 3]],
    broadWeight: 0.05,
    broadScale: 2,
    parameters,
  };
}

const bare: ReportInput = {
  config: preset("dw4"),
  definition: "double_well: a formula",
  hash: "0123456789abcdef",
};

function complete(n = 3000): ReportInput {
  const positions = (spread: number) =>
    Float32Array.from({ length: 8 * n }, (_, i) => 3 * Math.sin(i % 8) + spread * random.normal());
  const normal = (mean: number, sd: number, count = n) =>
    Float64Array.from({ length: count }, () => mean + sd * random.normal());
  return {
    ...bare,
    madeWith: "a program",
    command: "train\nevaluate",
    mintCurve: Array.from({ length: 50 }, (_, iteration) => ({
      iteration,
      loss: 9 + random.normal(),
      ess: 0.5,
      temperingExponent: 1,
      logZ: 31,
    })),
    julepCurve: Array.from({ length: 900 }, (_, iteration) => ({
      iteration,
      loss: 1 / (iteration + 1),
      ess: 0.8,
      logZ: 31 + 0.1 * random.normal(),
    })),
    logStepSize: Float64Array.of(-1, -2, -3),
    mint: mixture(7),
    prior: { positions: positions(0.5), energies: normal(-18, 2) },
    samples: { positions: positions(0.3), energies: normal(-22, 2), logWeights: normal(31, 0.3) },
    reference: { positions: positions(0.3), energies: normal(-22, 2) },
    logWeightsFromReference: normal(31.1, 0.3, 500),
    figures: {
      samples: 100_000,
      steps: 100,
      ess: 0.892,
      essStdErr: 0.0011,
      essFromReference: 0.885,
      logZ: 31.0543,
      logZStdErr: 0.001,
      meanEnergy: -22.5366,
      meanEnergyStdErr: 0.0064,
      trainSeconds: 287,
    },
    control: { ess: 0.871 },
    mintAlone: { ess: 0.78, logZ: 31.05, logZStdErr: 0.01 },
    exact: exactValues(bare.config.system),
    identities: {
      virial: { mean: 6.03, standardError: 0.05, expected: 6 },
      laplacian: { gradientSquared: 130, laplacian: 131, difference: -1, standardError: 2 },
      virialSamples: 3000,
      samples: 1000,
    },
    warnings: ["Something is wrong."],
  };
}

const input = complete();

/** Everything a browser could fetch or run. */
function assertSelfContained(text: string): void {
  assert.doesNotMatch(text, /<(script|link|img|iframe|object|embed|use|image|foreignObject)\b/i);
  assert.doesNotMatch(text, /\b(src|href|srcset|action|data|poster)\s*=/i);
  assert.doesNotMatch(text, /url\((?!#)|@import/i);
  assert.doesNotMatch(text, /\son\w+\s*=/i);
  assert.doesNotMatch(text.replaceAll('xmlns="http://www.w3.org/2000/svg"', ""), /https?:/i);
}

/** Every element is closed by its own name (void elements of HTML excepted). */
function assertBalanced(text: string): void {
  const open: string[] = [];
  for (const [, close, name, self] of text.matchAll(/<(\/?)([a-zA-Z][\w-]*)[^>]*?(\/?)>/g)) {
    if (close) assert.equal(open.pop(), name);
    else if (!self && !/^(meta|br)$/.test(name)) open.push(name);
  }
  assert.deepEqual(open, []);
}

const svgs = (text: string) => text.match(/<svg[\s\S]*?<\/svg>/g) ?? [];

Deno.test("the full report: one file, nothing loaded, every chart named, below 1 MB", () => {
  const html = renderReport(complete(30_000));
  assertSelfContained(html);
  assertBalanced(html);
  assert.ok(html.length < 1e6);
  assert.ok(html.startsWith("<!doctype html>"));
  assert.doesNotMatch(html, /NaN|undefined|\[object/);
  const charts = svgs(html);
  // 4 of the samples, 2 of the prior, 4 of each training.
  assert.equal(charts.length, 14);
  const ids = charts.flatMap((svg) => [...svg.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id));
  assert.equal(new Set(ids).size, ids.length);
  for (const svg of charts) {
    const [, title, description] = svg.match(/aria-labelledby="(\S+) (\S+)"/)!;
    assert.match(svg, new RegExp(`<title id="${title}">[^<]+</title>`));
    assert.match(svg, new RegExp(`<desc id="${description}">[^<]+</desc>`));
    assert.match(svg, /role="img"/);
  }
});

Deno.test("figures, their distance from exact values, warnings and the command are in words", () => {
  const html = renderReport(complete());
  for (
    const text of [
      "89.2 ± 0.1 %",
      "31.0543 ± 0.0010",
      "+0.8 SE",
      "31.053526594",
      "−22.541510",
      "from 87.1 % to 89.2 %",
      "6.030 ± 0.050",
      "100\u202f000",
      "4 min 47 s",
      "Something is wrong.",
      "train\nevaluate",
      "0123456789abcdef",
      "learningRateFactor",
      "averaged over all labellings",
    ]
  ) assert.ok(html.includes(text), `the report lacks "${text}"`);
});

Deno.test("equal input gives equal text", () => {
  assert.equal(renderReport(input), renderReport(input));
});

Deno.test("only the configuration: a valid page without charts", () => {
  const html = renderReport(bare);
  assertSelfContained(html);
  assertBalanced(html);
  assert.equal(svgs(html).length, 0);
  assert.doesNotMatch(html, /NaN|undefined|Results|warning was raised/);
  assert.match(renderReport({ ...bare, warnings: [] }), /No warning was raised/);
});

Deno.test("each part may be missing on its own", () => {
  for (const part of Object.keys(input) as (keyof ReportInput)[]) {
    if (part in bare) continue;
    const html = renderReport({ ...input, [part]: undefined });
    assertBalanced(html);
    assert.doesNotMatch(html, /NaN|undefined/, `without ${part}`);
  }
});

Deno.test("NaN, infinite, empty and constant data leave no NaN and do not throw", () => {
  const bad = (n: number) => Float64Array.from({ length: n }, (_, i) => i % 2 ? NaN : Infinity);
  const same = (n: number, value: number) => new Float64Array(n).fill(value);
  const curve = (value: number) =>
    Array.from({ length: 40 }, (_, iteration) => ({
      iteration,
      loss: value,
      ess: value,
      temperingExponent: value,
      logZ: value,
    }));
  const sets: Partial<ReportInput>[] = [
    { samples: { logWeights: bad(300), energies: bad(300) }, prior: { energies: bad(10) } },
    { samples: { logWeights: same(300, -Infinity), energies: same(300, -1) } },
    { samples: { logWeights: same(300, 5), energies: same(300, -1), positions: same(2400, 0) } },
    { samples: { logWeights: new Float64Array(0), energies: new Float64Array(0) } },
    { samples: { positions: bad(80) }, reference: { energies: same(3, NaN) } },
    { logWeightsFromReference: bad(20) },
    { mintCurve: curve(NaN), julepCurve: curve(Infinity) },
    { mintCurve: curve(3), julepCurve: curve(0).map((p, i) => i % 3 ? p : { ...p, loss: NaN }) },
    { mintCurve: [], julepCurve: curve(1).slice(0, 1), logStepSize: Float64Array.of(NaN, 0) },
    { figures: { ess: NaN, logZ: -Infinity, logZStdErr: NaN, meanEnergy: Infinity } },
    { mint: { ...mixture(2), parameters: same(2 * mintComponentSize(4, 2), NaN) } },
  ];
  for (const set of sets) {
    const html = renderReport({ ...bare, ...set });
    assertBalanced(html);
    assert.doesNotMatch(html, /NaN|undefined|Infinity/, JSON.stringify(Object.keys(set)));
    assertBalanced(renderPicture({ ...bare, ...set }));
  }
});

Deno.test("text from outside is escaped wherever it appears", () => {
  const evil = `<script>alert("x")</script><img src=x onerror='y'>&amp;`;
  const html = renderReport({
    ...input,
    config: { ...input.config, preset: evil },
    definition: evil,
    hash: evil,
    command: evil,
    madeWith: evil,
    warnings: [evil],
    exact: { ...input.exact!, source: evil },
  });
  assertBalanced(html);
  assert.doesNotMatch(html, /<script|<img/);
  assert.ok(html.split("&lt;script&gt;").length - 1 >= 8);
  assert.doesNotMatch(
    renderPicture({ ...input, config: { ...input.config, preset: evil } }),
    /<img/,
  );
  assert.equal(escapeHtml("a\u0000b\u001bc\nd"), "abc\nd");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.doesNotMatch(escapeHtml(text), /[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
  }));
});

Deno.test("the picture is one balanced SVG with as many panels as there are data", () => {
  const all = renderPicture(input);
  assertSelfContained(all);
  assertBalanced(all);
  assert.equal(all.match(/class="title"/g)?.length, 3);
  assert.equal(renderPicture({ ...input, mint: undefined }).match(/class="title"/g)?.length, 2);
  assert.match(all, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 1100 /);
  assertBalanced(renderPicture(bare));
});

Deno.test("priors without a picture in the plane are described in words", () => {
  const broad = renderReport({ ...bare, mint: mixture(0) });
  assert.match(broad, /The prior is a broad Gaussian/);
  assert.equal(svgs(broad).length, 0);
  assert.equal(svgs(renderReport({ ...bare, mint: mixture(3, 3) })).length, 0);
  const labelled = renderReport({ ...bare, mint: { ...mixture(3), symmetrise: false } });
  assert.match(labelled, /<strong>not averaged over the labellings/);
  const estimated = renderReport({
    ...bare,
    mint: {
      ...mixture(1, 3),
      family: "pvmf",
      normalisers: {
        logZ: Float64Array.of(100, 90),
        error: Float64Array.of(0.004, 0.03),
        ess: Float64Array.of(0.9, 0.25),
        laplace: Float64Array.of(100.5, NaN),
        slopes: new Float64Array(),
      },
    },
  });
  assert.match(estimated, /of the family pvmf/);
  assert.match(estimated, /at most 0\.030 and an ESS of at least 25\.?0? %.*does not exist/);
  const scales = renderReport({
    ...bare,
    mint: {
      ...mixture(2, 3),
      family: "orbit_gaussian",
      gaussian: { mean: "zero", covariance: "scale" },
    },
  });
  assert.match(scales, /invariant under relabelling/);
});

Deno.test("the density in the plane integrates to the number of particles around the anchor", () => {
  const modes = planeModes(mixture(5));
  const extent = 2 * planeExtent(modes), cells = 200;
  const sum = planeDensity(modes, extent, cells).reduce((a, b) => a + b, 0);
  const integral = sum * (2 * extent / cells) ** 2;
  assert.ok(Math.abs(integral - 3) < 1e-3, `${integral}`);
});

Deno.test("a component's picture does not depend on its rotation, reflection or labels", () => {
  const model = mixture(1);
  const moved = { ...model, parameters: model.parameters.slice() };
  const [c, s] = [Math.cos(1.1), Math.sin(1.1)], order = [2, 0, 1];
  order.forEach((from, to) => {
    const [x, y] = [model.parameters[1 + 2 * from], -model.parameters[2 + 2 * from]];
    moved.parameters[1 + 2 * to] = 5 * (c * x - s * y); // not normalised: length is without meaning
    moved.parameters[2 + 2 * to] = 5 * (s * x + c * y);
    for (const field of [7, 10, 13]) moved.parameters[field + to] = model.parameters[field + from];
  });
  const [a, b] = [model, moved].map((m) => planeDensity(planeModes(m), 6, 30));
  a.forEach((density, i) => assert.ok(Math.abs(density - b[i]) < 1e-9));
  assert.ok(a.some((density) => density > 0.01));
});

Deno.test("numbers for people", () => {
  assert.equal(withError(31.05341, 0.00123), "31.0534 ± 0.0012");
  assert.equal(withError(-22.5, 0.5), "−22.50 ± 0.50");
  assert.equal(withError(123.4, 56), "123 ± 56");
  assert.equal(withError(1.23456, NaN), "1.235");
  assert.equal(withError(undefined, undefined), "–");
  assert.equal(fixed(NaN, 2) + fixed(-Infinity, 2) + fixed(Infinity, 2), "–−∞∞");
  assert.equal(percent(0.8837), "88.4 %");
  assert.equal(percent(0.000123), "0.012 %");
  assert.equal(percentWithError(0.892, 0.0031), "89.2 ± 0.3 %");
  assert.equal(percentWithError(1e-5, 1e-5), "0.001 %");
  assert.equal(integer(1234567), "1\u202f234\u202f567");
  assert.deepEqual([3.21, 42, 61, 7265].map(seconds), [
    "3.2 s",
    "42 s",
    "1 min 01 s",
    "2 h 01 min",
  ]);
  assert.equal(deviation(1.2, 0.1, { value: 1, uncertainty: 0 }), "+2.0 SE");
  assert.equal(deviation(1, 0.3, { value: 2, uncertainty: 0.4 }), "−2.0 SE");
  assert.equal(deviation(1, NaN, { value: 2, uncertainty: 0 }), "");
});

Deno.test("Ramachandran plots: one path a colour, cells where they belong, one scale for all", () => {
  // 4 × 4 cells: φ fastest, ψ upwards; p = 1/2, 1/4 beside it, 1/4 in the opposite corner.
  const histogram = new Float64Array(16);
  histogram[0] = 0.5;
  histogram[1] = histogram[15] = 0.25;
  assert.deepEqual([...freeEnergies(histogram).filter(Number.isFinite)], [0, Math.LN2, Math.LN2]);
  const panels = [{ name: "reference", histogram }, {
    name: "Mint",
    histogram: histogram.toReversed(),
  }];
  const svg = ramachandranPlot({ title: "A<1>", bins: 4, panels })!;
  assert.match(svg, /d="M0 0h1v1h-1z"/);
  assert.match(svg, /d="M1 0h1v1h-1zM3 3h1v1h-1z"/); // both of one colour, below log 2 of 1 kT
  assert.equal(svg.match(/<path fill="#\w+" d="M/g)!.length, 4); // two colours in two panels
  assert.match(svg, /A&lt;1&gt;/);
  assert.match(svg, /−180°.*ψ.*φ.*F \/ kT/s);
  assertSelfContained(svg);
  assert.equal(highestShown({ title: "", bins: 4, panels }), 1);
  // A cell of e^-30 among 200 does not set the scale, and is marked as beyond it.
  const many = Float64Array.from({ length: 256 }, (_, b) => b < 200 ? Math.exp(-b % 4) : 0);
  many[199] = Math.exp(-30);
  const wide = { title: "", bins: 16, panels: [{ name: "", histogram: many }] };
  assert.equal(highestShown(wide), 3);
  assert.match(ramachandranPlot(wide)!, />≥ 3</);
  assert.doesNotMatch(svg, /≥/);
  assert.equal(ramachandranPlot({ title: "x", bins: 4, panels: [] }), null);
  const empty = [{ name: "y", histogram: new Float64Array(16) }];
  assert.equal(ramachandranPlot({ title: "x", bins: 4, panels: empty }), null);
});

Deno.test("the section on a molecule: basins, divergences with their floor, handedness", () => {
  const histogram = Float64Array.from({ length: 4096 }, (_, b) => (b * 7919) % 4096);
  const basin = {
    positivePhi: 0.1,
    positivePhiStdErr: 0.01,
    freeEnergyDifference: 2.197,
    freeEnergyDifferenceStdErr: 0.05,
  };
  const floor = { mean: 0.1031, deviation: 0.002 };
  const section = {
    ...bare,
    figures: {
      trainEvaluations: 155809,
      trainStageSeconds: { Minima: 2.5, Mint: 0.0003 },
      molecule: {
        chirality: {
          mode: "fold" as const,
          stereocentres: ["CA 9"],
          mirrored: 0.49,
          mirroredStdErr: 0.01,
          otherDiastereomers: 0,
        },
        ramachandran: {
          "ALA 2": {
            ...basin,
            phi: [5, 7, 9, 15],
            psi: [7, 9, 15, 17],
            bins: 64,
            effectiveSamples: 19400,
            reference: {
              ...basin,
              samples: 10000,
              kl: 0.1123,
              klFloor: floor,
              klOfHalves: floor,
              klPrior: 0.2,
              klPriorWeighted: 0.15,
            },
          },
        },
      },
    },
    ramachandran: [{
      title: "ALA 2",
      bins: 64,
      panels: [1, 2, 3, 4].map((k) => ({ name: `panel ${k}`, histogram })),
    }],
  };
  const html = renderReport(section);
  assert.match(html, /The molecule.*CA 9.*Ramachandran plot of ALA 2.*2\.197 ± 0\.050/s);
  assert.match(html, /0\.1123.*0\.1031 ± 0\.0020/s);
  assert.match(html, /155.809/);
  assert.match(html, /Minima/);
  // All 4096 cells of a panel of noise, the worst there is.
  assert.ok(html.length < 400_000, `${html.length}`);
  assertSelfContained(html);
  assert.doesNotMatch(renderReport(bare), /The molecule/);
  // The front picture shows prior and samples side by side.
  const [{ panels }] = section.ramachandran;
  const shown = panels.map((panel, k) => ({
    ...panel,
    name: ["reference", "Mint, as drawn", "Mint, weighted", "MintJulep, weighted"][k],
  }));
  const picture = renderPicture({
    ...bare,
    ramachandran: [{ ...section.ramachandran[0], panels: shown }],
  });
  assert.equal(picture.match(/<title /g)!.length, 2);
  assert.match(picture, /1 {2}Mint: the prior.*2 {2}Carried to the target/s);
  const ids = [...picture.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length);
});

import assert from "node:assert/strict";
import { displayProgress, duration, type Screen } from "../../src/cli/progress.ts";
import { figure, oneLine, table } from "../../src/cli/output.ts";

/** A screen that remembers what was written, with a clock set by hand. */
class FakeScreen implements Screen {
  text = "";
  time = 0;
  constructor(readonly terminal: boolean, readonly width = 200) {}
  write(text: string): void {
    this.text += text;
  }
  columns(): number {
    return this.width;
  }
  now(): number {
    return this.time;
  }
}

const CLEAR = "\r\x1b[K";

Deno.test("a log gets a line every few seconds and one at the end of a stage", () => {
  const screen = new FakeScreen(false);
  const progress = displayProgress(screen);
  progress.stage("Mint", 100);
  for (let i = 1; i <= 100; i++) {
    screen.time = i * 100;
    progress.update(i, { loss: 1 / i, mode: "a" });
  }
  progress.end();
  assert.deepEqual(screen.text.split("\n"), [
    "Mint 50/100  10/s  loss 0.02  mode a  5 s left",
    "Mint 100/100  10/s  loss 0.01  mode a  0 s left",
    "Mint 100  loss 0.01  mode a  in 10 s",
    "",
  ]);
});

Deno.test("a terminal has one live line, within its width, and keeps the last", () => {
  const screen = new FakeScreen(true, 30);
  const progress = displayProgress(screen);
  progress.stage("Julep", 10);
  progress.update(1, { loss: 0.123456789, ess: 0.5, logZ: 31.05 });
  assert.equal(screen.text, `${CLEAR}Julep 1/10  loss 0.1235  ess `);
  progress.update(2, { loss: 0.1 }); // too soon to be drawn
  assert.ok(!screen.text.includes("2/10"));
  screen.time = 200;
  screen.text = "";
  progress.note("a file\nwritten");
  assert.ok(screen.text.startsWith(`${CLEAR}a file written\n${CLEAR}Julep 2/10`), screen.text);
  screen.text = "";
  progress.end();
  assert.equal(screen.text, `${CLEAR}Julep 2/10  loss 0.1  in 0 s\n`);
});

Deno.test("the rate of a resumed stage counts only what was done now", () => {
  const screen = new FakeScreen(false);
  const progress = displayProgress(screen);
  progress.stage("Julep", 300);
  screen.time = 1000;
  progress.update(201, {});
  screen.time = 11000;
  progress.update(221, {});
  assert.equal(screen.text, "Julep 221/300  2/s  40 s left\n");
});

Deno.test("a new stage ends the one before; an update outside a stage says nothing", () => {
  const screen = new FakeScreen(false);
  const progress = displayProgress(screen);
  progress.update(1, {});
  progress.end();
  assert.equal(screen.text, "");
  progress.stage("a", 2);
  progress.update(2, {});
  progress.stage("b", 1);
  assert.equal(screen.text, "a 2  in 0 s\n");
});

Deno.test("duration() reads like a clock", () => {
  assert.deepEqual(
    [0, 59.4, 60, 185, 3599, 7800, -1].map(duration),
    ["0 s", "59 s", "1 min 00 s", "3 min 05 s", "59 min 59 s", "2 h 10 min", "0 s"],
  );
});

Deno.test("table() aligns names, flattens, and rounds figures to six digits", () => {
  assert.equal(
    table({ a: 1 / 3, long: { b: 12345678, c: [0.1, 2] }, none: undefined, s: "x" }),
    "a       0.333333\nlong.b  12345678\nlong.c  0.1, 2\ns       x\n",
  );
  assert.equal(figure(NaN), "unknown");
  assert.equal(figure(1e-9 / 3), "3.33333e-10");
});

Deno.test("oneLine() leaves no control character", () => {
  assert.equal(oneLine(" a\r\nb\t\x1b[31mc\u2028d "), "a b [31mc d");
});

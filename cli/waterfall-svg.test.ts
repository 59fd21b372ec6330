import test from "ava";
import { waterfallSvg } from "./waterfall-svg.ts";

const steps = [
  { name: "shim start", startMs: 0, endMs: 50 },
  { name: "guest: kernel", startMs: 50, endMs: 200 },
];

test("one bar per step, in proportion; the guest's in another colour", (t) => {
  const svg = waterfallSvg("pod", steps);
  t.true(svg.includes('<rect class="host" x="200.0" y="60" width="172.5" height="16" rx="2"/>'));
  t.true(svg.includes('<rect class="guest" x="372.5" y="84" width="517.5" height="16" rx="2"/>'));
  t.true(svg.includes(">pod: 200 ms<"));
});

test("ticks are round numbers, not more than eleven", (t) => {
  for (const endMs of [0.5, 7, 99, 100, 637, 12_345]) {
    const svg = waterfallSvg("pod", [{ name: "all", startMs: 0, endMs }]);
    const ticks = [...svg.matchAll(/>([\d.]+) ms<\/text>\n|middle" x="[\d.]+" y="44">([\d.]+) ms/g)];
    t.true(ticks.length >= 2 && ticks.length <= 12, `${endMs} ms has ${ticks.length}`);
  }
  t.true(waterfallSvg("pod", steps).includes(">120 ms<"));
});

test("names cannot break out of the picture", (t) => {
  const svg = waterfallSvg('a<b&"c"', [{ name: "</svg><script>", startMs: 0, endMs: 1 }]);
  t.false(svg.includes("<script>"));
  t.true(svg.includes("a&#60;b&#38;&#34;c&#34;"));
});

test("no step, or one without any time", (t) => {
  t.regex(waterfallSvg("pod", []), /^<svg .*<\/svg>\n$/s);
  t.false(waterfallSvg("pod", [{ name: "a", startMs: 0, endMs: 0 }]).includes("NaN"));
});

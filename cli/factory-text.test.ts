import test from "ava";
import type { CacheStatus } from "../shim/factory/cache-status.ts";
import { statusText } from "./factory-text.ts";

const base = { directory: "/run/tapir-factory", wanted: "a".repeat(32), misfortune: undefined };
const template = {
  damage: undefined,
  allocatedBytes: 80 << 20,
  hits: 3,
  buildMs: 8000,
  qemuVersion: "7.2.22",
};
const OFF: CacheStatus = { state: "off", socket: "/run/tapir/cache.sock", target: 0 };

test("templates with key, state and what made it so, size, age and hits", (t) => {
  const text = statusText({
    ...base,
    templates: [
      { ...template, key: "a".repeat(32), state: "current", differs: [], ageSeconds: 90 },
      { ...template, key: "b".repeat(32), state: "stale", differs: ["kernel", "qemu"], ageSeconds: 9000 },
      {
        ...template,
        key: "c".repeat(32),
        state: "damaged",
        differs: [],
        damage: "its state is short",
        ageSeconds: 0,
      },
    ],
    cache: OFF,
  });
  t.regex(text, /^\/run\/tapir-factory\nTEMPLATE /);
  t.regex(text, /^aaaaaaaaaaaa +current +80 MiB +90 s +3 +7\.2\.22$/m);
  t.regex(text, /^bbbbbbbbbbbb +stale: kernel, qemu +80 MiB +3 h /m);
  t.regex(text, /^cccccccccccc +damaged: its state is short +80 MiB /m);
  t.regex(text, /^VM cache: off, factory\.cache_size is 0\n$/m);
});

test("no template, and why", (t) => {
  const misfortune = { reason: "no space", at: 0 };
  const text = statusText({ ...base, misfortune, templates: [], cache: OFF });
  t.regex(text, /no template for pods of this configuration.*\nnot long ago: no space\n/);
});

const cacheLines = (cache: Partial<CacheStatus>): string[] =>
  statusText({ ...base, templates: [], cache: { ...OFF, target: 2, ...cache } })
    .split("\n\n")
    .at(-1)
    ?.trimEnd()
    .split("\n") ?? [];

test("the VM cache: nobody serves, somebody is silent", (t) => {
  t.deepEqual(cacheLines({ state: "absent" }), [
    "VM cache: nobody serves on /run/tapir/cache.sock: systemctl start tapir-factory",
  ]);
  t.deepEqual(cacheLines({ state: "silent", reason: "2000 ms" }), [
    "VM cache: what listens on /run/tapir/cache.sock does not answer: 2000 ms",
  ]);
});

test("the VM cache: what a running server has, and what is wrong with it", (t) => {
  const server = { pid: 7, uptimeSeconds: 300, target: 2, ready: 2, misfits: 0, served: 5 };
  t.deepEqual(cacheLines({ state: "running", server }), [
    "VM cache: 2 of 2 clones ready, 5 taken; server 7, up for 5 min",
  ]);
  const [, misfits, trouble] = cacheLines({
    state: "running",
    server: { ...server, ready: 0, misfits: 2, trouble: "memory is short" },
  });
  t.regex(misfits ?? "", /^ {2}2 clones fit no pod of this configuration: .*systemctl restart/);
  t.is(trouble, "  no clone is made: memory is short");
  const [, other] = cacheLines({ state: "running", server: { ...server, target: 4 } });
  t.regex(other ?? "", /^ {2}factory\.cache_size is 2: /);
});

import test from "ava";
import { requireKind, type StartKind } from "./came-as.ts";

const steps = (...names: readonly string[]) => names.map((name) => ({ name, startMs: 0, endMs: 1 }));

const starts: readonly [StartKind, readonly string[]][] = [
  ["booted", ["QEMU start", "guest boot", "configure"]],
  ["warm", ["QEMU start", "memory copy", "load state", "configure"]],
  ["hot", ["load state", "hot-plug"]],
  ["cache", ["cache", "hot-plug", "configure"]],
];

for (const [kind, names] of starts) {
  test(`a start that is ${kind} is that and no other`, (t) => {
    t.notThrows(() => requireKind(kind, steps(...names)));
    for (const [other] of starts) {
      if (other !== kind)
        t.throws(() => requireKind(other, steps(...names)), { message: /did not start as/ });
    }
  });
}

test("one that was restored, and booted in the end", (t) => {
  const message = 'the pod did not start as one that is warm: its timeline has a step "guest boot"';
  t.throws(() => requireKind("warm", steps("load state", "guest boot")), { message });
});

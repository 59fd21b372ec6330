import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { openLedger, readLedger } from "./ledger.ts";
import { scopeOf } from "./ledger-scope.ts";

test("a scope gives back its own, last first, and leaves the rest", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "tapir-scope-"));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const ledger = openLedger(join(root, "state"));
  const scope = scopeOf(ledger);
  const released: string[] = [];
  const make = (through: typeof ledger, name: string) =>
    through.acquire("test.file", { kind: "file", path: join(root, name) }, ({ onRelease }) => {
      writeFileSync(join(root, name), "");
      onRelease(async () => void released.push(name));
    });
  await make(ledger, "before");
  await make(scope.ledger, "first");
  await make(scope.ledger, "second");
  await make(ledger, "after");
  await scope.release();
  t.deepEqual(released, ["second", "first"]);
  t.deepEqual(
    ["before", "first", "second", "after"].map((name) => existsSync(join(root, name))),
    [true, false, false, true],
  );
  t.is(readLedger(ledger.directory).length, 2);
  await scope.release();
  await ledger.unwind();
  t.deepEqual(released, ["second", "first", "after", "before"]);
});

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { addressFile, exitFile, shimIdentityFile } from "./bundle-files.ts";

test("what is written is read; what is missing, empty, torn or of another shape is nothing", (t) => {
  const bundle = mkdtempSync(join(tmpdir(), "bundle-"));
  t.teardown(() => rmSync(bundle, { recursive: true }));
  t.is(addressFile.read(bundle), undefined);
  addressFile.write(bundle, "unix:///s");
  t.is(addressFile.read(bundle), "unix:///s");
  writeFileSync(join(bundle, "address"), "");
  t.is(addressFile.read(bundle), undefined);

  const identity = { pid: 7, startTime: "123" };
  shimIdentityFile.write(bundle, identity);
  t.deepEqual(shimIdentityFile.read(bundle), identity);
  for (const text of ['{"pid":7', '{"pid":"7","startTime":"1"}', "null", "[]"]) {
    writeFileSync(join(bundle, "shim.identity"), text);
    t.is(shimIdentityFile.read(bundle), undefined, text);
  }
  exitFile.write(bundle, { pid: 1, status: 0, exitedAtMs: 5 });
  t.deepEqual(exitFile.read(bundle), { pid: 1, status: 0, exitedAtMs: 5 });
  t.deepEqual(readdirSync(bundle).sort(), ["address", "init.exit", "shim.identity"]);
});

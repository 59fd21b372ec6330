import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { NOBODY, renderFiles, writeFiles } from "./files.ts";

test("a pod's files", (t) => {
  const files = renderFiles({
    hostname: "web-0",
    addresses: ["10.0.0.5", "fd00::5"],
    dns: { servers: ["10.0.0.10", "fd00::a"], searches: ["svc.local", "local"], options: ["ndots:5"] },
    machineId: "0123",
  });
  t.deepEqual(files, {
    hostname: "web-0\n",
    hosts:
      "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.5\tweb-0\nfd00::5\tweb-0\n",
    "resolv.conf": "nameserver 10.0.0.10\nnameserver fd00::a\nsearch svc.local local\noptions ndots:5\n",
    "machine-id": "0123\n",
  });
});

test("a guest that is nobody's has all files, without names", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "tapir-etc-"));
  try {
    writeFiles(NOBODY, join(directory, "etc"));
    t.is(readFileSync(join(directory, "etc/machine-id"), "utf8"), "");
    t.is(readFileSync(join(directory, "etc/resolv.conf"), "utf8"), "");
    t.is(readFileSync(join(directory, "etc/hostname"), "utf8"), "localhost\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { parseResolvConf, readResolvConf } from "./dns.ts";

const none = { servers: [], searches: [], options: [] };

test("what a kubelet writes", (t) => {
  const text =
    "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n";
  t.deepEqual(parseResolvConf(text), {
    servers: ["10.96.0.10", "fd00::a"],
    searches: ["default.svc.cluster.local", "svc.cluster.local"],
    options: ["ndots:5"],
  });
});

test("comments, blanks, domain, the last search, unknown words", (t) => {
  const text =
    "# x\n; y\n\n  domain a.b ignored\nsearch c\tc.d # e\nsortlist 1.2.3.4\nnameserver\nnameserver 1.1.1.1 2.2.2.2\n";
  t.deepEqual(parseResolvConf(text), { servers: ["1.1.1.1"], searches: ["c", "c.d"], options: [] });
});

test("the file is found by the mount; the last one covers the others", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "dns-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const source = join(directory, "resolv.conf");
  writeFileSync(source, "nameserver 9.9.9.9\n");
  const destination = "/etc/resolv.conf";
  t.deepEqual(readResolvConf([{ destination: "/proc", source: "proc" }]), none);
  t.deepEqual(readResolvConf([{ destination, source: join(directory, "missing") }]), none);
  const mounts = [
    { destination, source: join(directory, "missing") },
    { destination, source },
  ];
  t.deepEqual(readResolvConf(mounts).servers, ["9.9.9.9"]);
  t.throws(() => readResolvConf([{ destination, source: directory }]), {
    message: /cannot read DNS settings/,
  });
});

import test from "ava";
import { closeOver, type DebianPackage, parsePackages } from "./apt.ts";

const STANZAS = `Package: crun
Version: 1:1.8-1
Architecture: amd64
Depends: libc6 (>= 2.34), libsystemd0 | libelogind0, libyajl2:any
Pre-Depends: dpkg (>= 1.17)
Description: runs
 containers: Package: not-a-field
Filename: pool/main/c/crun/crun_1.8-1_amd64.deb
SHA256: aa

Package: crun
Version: 0.1
Filename: pool/old.deb
SHA256: bb

Package: broken
Version: 1
`;

test("a stanza becomes a record: first alternative, no versions, no epoch in the file name", (t) => {
  t.deepEqual(parsePackages(STANZAS).get("crun"), {
    name: "crun",
    version: "1:1.8-1",
    sha256: "aa",
    file: "crun_1.8-1_amd64.deb",
    depends: ["dpkg", "libc6", "libsystemd0", "libyajl2"],
  });
});

test("stanzas without hash or file are no packages; nothing gives nothing", (t) => {
  t.deepEqual([...parsePackages(STANZAS).keys()], ["crun"]);
  t.is(parsePackages("").size, 0);
});

const graph: Record<string, readonly string[]> = { a: ["b", "c"], b: ["c"], c: ["a"], d: [] };

async function show(names: readonly string[]): Promise<Map<string, DebianPackage>> {
  return new Map(
    names
      .filter((name) => name in graph)
      .map((name) => [name, { name, version: "1", sha256: "", file: "", depends: graph[name] ?? [] }]),
  );
}

test("the closure holds each package once, sorted, and ends on circles", async (t) => {
  const found = await closeOver(["d", "a"], show);
  t.deepEqual(
    found.map(({ name }) => name),
    ["a", "b", "c", "d"],
  );
});

test("the closure follows only what it is told to", async (t) => {
  const found = await closeOver(["a"], show, ({ depends }) => depends.filter((name) => name === "b"));
  t.deepEqual(
    found.map(({ name }) => name),
    ["a", "b"],
  );
});

test("a package that apt does not know is named together with the way out", async (t) => {
  const error = await t.throwsAsync(closeOver(["a", "nowhere"], show));
  t.regex(error?.message ?? "", /^cannot find Debian package nowhere: .*; run apt-get update$/);
});

// Requires root. Mounts in folders of its own.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { codeOf, errnoOf } from "../../sys/error.ts";
import { readMounts } from "../../sys/inventory/mountinfo.ts";
import { type Ledger, openLedger, replayLedger } from "../../sys/ledger.ts";
import { mount, unmount } from "../../sys/mount.ts";
import { Code } from "../../sys/status.ts";
import type { SharedSource } from "./mount-plan.ts";
import { openShareFolder, type ServerView, type ShareFolder } from "./share-folder.ts";
import { readSource } from "./sources.ts";

interface Place {
  readonly place: string;
  readonly ledger: Ledger;
  readonly source: SharedSource;
}

function makePlace(t: ExecutionContext): Place {
  const place = mkdtempSync(join(tmpdir(), "tapir-share-folder-"));
  const folder = join(place, "precious");
  mkdirSync(folder);
  writeFileSync(join(folder, "file"), "of the host");
  t.teardown(() => {
    // Before anything is removed: what is still mounted would be removed on the host.
    if (mountsBelow(place).length > 0) throw new Error(`still mounted: ${mountsBelow(place).join()}`);
    if (readFileSync(join(folder, "file"), "utf8") !== "of the host") throw new Error("a source was changed");
    rmSync(place, { recursive: true });
  });
  const source = { source: folder, recursive: true, readOnly: "no", propagation: "private" } as const;
  return { place, ledger: openLedger(join(place, "state")), source };
}

/** Sees the folder as a server of files does: from a mount namespace of its own. */
async function startServer(t: ExecutionContext, { directory: root }: ShareFolder): Promise<ServerView> {
  const script = "echo ready; exec sleep 1000";
  const server = spawn("unshare", ["--mount", "--propagation=slave", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => server.kill());
  await once(server.stdout, "data");
  return { pid: server.pid ?? 0, root };
}

/** What the server sees at a path of the share. */
const seen = ({ pid, root }: ServerView, path: string): string => join(`/proc/${pid}/root${root}`, path);

const mountsBelow = (place: string): string[] =>
  readMounts().flatMap(({ target }) => (target.startsWith(place) ? [target] : []));

test("what is bound is seen in the share; release undoes it, and nothing of the source", async (t) => {
  const { ledger, source } = makePlace(t);
  const share = await openShareFolder(ledger);
  const server = await startServer(t, share);
  const container = await share.open("c1", server);
  t.is(await container.bind("data", source), "c1/data");
  const single = { ...source, source: join(source.source, "file") };
  t.is(await container.bind("one", single), "c1/one");
  t.is(readFileSync(seen(server, "c1/data/file"), "utf8"), "of the host");
  t.is(readFileSync(seen(server, "c1/one"), "utf8"), "of the host");
  await container.release();
  await container.release();
  t.deepEqual(readdirSync(share.directory), []);
  await ledger.unwind();
});

test("the host neither sees nor feels what is bound: what it mounts below goes when it wants", async (t) => {
  const { ledger, source, place } = makePlace(t);
  const below = join(source.source, "below");
  mkdirSync(below);
  mount({ source: "tmpfs", target: below, type: "tmpfs" });
  writeFileSync(join(below, "deep"), "");
  const share = await openShareFolder(ledger);
  const server = await startServer(t, share);
  const container = await share.open("c1", server);
  const before = [process.cwd(), mountsBelow(place)];
  await container.bind("data", source);
  t.deepEqual([process.cwd(), mountsBelow(place)], before);
  t.true(existsSync(seen(server, "c1/data/below/deep")));
  unmount(below);
  rmdirSync(below);
  t.deepEqual(readdirSync(seen(server, "c1/data")), ["file"]);
  await ledger.unwind();
});

test("without its server nothing is bound, and all that was is gone", async (t) => {
  const { ledger, source } = makePlace(t);
  const share = await openShareFolder(ledger);
  const container = await share.open("c1", { pid: 2 ** 30, root: "/" });
  const refused = await t.throwsAsync(container.bind("data", source), { message: /mount namespace of/ });
  t.is(codeOf(refused), Code.NOT_FOUND);
  await container.release();
  t.deepEqual(readdirSync(join(ledger.directory, "points")), []);
  await ledger.unwind();
});

test("the pod's end, and the replay after a crash, leave the sources alone", async (t) => {
  for (const end of ["unwind", "replay"] as const) {
    const { place, ledger, source } = makePlace(t);
    const share = await openShareFolder(ledger);
    const container = await share.open("c1", await startServer(t, share));
    await container.bind("data", source);
    await container.bind("again", source);
    if (end === "unwind") await ledger.unwind();
    else t.deepEqual((await replayLedger(ledger.directory)).failures, []);
    t.false(existsSync(ledger.directory));
    t.deepEqual(mountsBelow(place), []);
  }
});

test("the share's own folder cannot be written by way of the share, and runs nothing", async (t) => {
  const { ledger, source } = makePlace(t);
  const share = await openShareFolder(ledger);
  const server = await startServer(t, share);
  const container = await share.open("c1", server);
  await container.bind("data", source);
  const plant = (): void => writeFileSync(seen(server, "c1/rootfs"), "");
  t.is(errnoOf(t.throws(plant)), "EROFS");
  writeFileSync(join(source.source, "tool"), "#!/bin/sh\n", { mode: 0o755 });
  t.is(errnoOf(t.throws(() => execFileSync(seen(server, "c1/data/tool")))), "EACCES");
  rmSync(join(source.source, "tool"));
  await ledger.unwind();
});

test("a source that vanished, a name that is taken, an id that is a path", async (t) => {
  const { ledger, source } = makePlace(t);
  const share = await openShareFolder(ledger);
  const server = await startServer(t, share);
  const container = await share.open("c1", server);
  const gone = await t.throwsAsync(container.bind("data", { ...source, source: "/no/such" }));
  t.is(codeOf(gone), Code.NOT_FOUND);
  await container.bind("data", source);
  await t.throwsAsync(container.bind("data", source), { message: /it is there already/ });
  t.is(readFileSync(seen(server, "c1/data/file"), "utf8"), "of the host");
  t.is(codeOf(await t.throwsAsync(share.open("c1", server))), Code.ALREADY_EXISTS);
  t.is(readFileSync(seen(server, "c1/data/file"), "utf8"), "of the host");
  for (const id of ["../c1", "..", "a/b", ""]) {
    t.is(codeOf(await t.throwsAsync(share.open(id, server))), Code.INVALID_ARGUMENT);
  }
  await ledger.unwind();
});

test("a source that is swapped for a link, between the look at it and its mount, is not shared", async (t) => {
  const { place, ledger, source } = makePlace(t);
  const share = await openShareFolder(ledger);
  const container = await share.open("c1", await startServer(t, share));
  const volume = join(place, "volume");
  mkdirSync(volume);
  const { identity } = await readSource(volume);
  const judged = { ...source, source: volume, identity };
  for (const elsewhere of ["/proc", source.source]) {
    renameSync(volume, `${volume}-aside`);
    symlinkSync(elsewhere, volume);
    const refused = await t.throwsAsync(container.bind("data", judged), { message: /replaced/ });
    t.is(codeOf(refused), Code.ABORTED);
    rmSync(volume);
    renameSync(`${volume}-aside`, volume);
  }
  t.is(await container.bind("data", judged), "c1/data");
  await ledger.unwind();
});

test("an overlay with more options than a page", async (t) => {
  const { place, ledger } = makePlace(t);
  const layers = Array.from({ length: 90 }, (_, index) =>
    join(place, `snapshots-with-a-long-name/${index}/fs`),
  );
  for (const [index, layer] of layers.entries()) {
    mkdirSync(layer, { recursive: true });
    writeFileSync(join(layer, "which"), String(index));
  }
  for (const folder of ["upper", "work"]) mkdirSync(join(place, folder));
  const options = [
    `lowerdir=${layers.join(":")}`,
    `upperdir=${join(place, "upper")}`,
    `workdir=${join(place, "work")}`,
  ];
  t.true(options.join().length > 4096);
  const before = process.cwd();
  const share = await openShareFolder(ledger);
  const server = await startServer(t, share);
  const container = await share.open("c1", server);
  await container.mount("rootfs", [{ type: "overlay", source: "overlay", target: "", options }]);
  t.is(readFileSync(seen(server, "c1/rootfs/which"), "utf8"), "0");
  writeFileSync(seen(server, "c1/rootfs/new"), "");
  t.true(existsSync(join(place, "upper/new")));
  t.is(process.cwd(), before);
  await ledger.unwind();
});

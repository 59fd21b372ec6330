// Requires root: namespaces, mounts and cgroups are made and removed.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { diffInventory, type Inventory, takeInventory } from "./inventory.ts";
import { identify } from "./process.ts";

const deadline = () => deadlineIn(10_000, "take the inventory");
const directory = mkdtempSync(join(tmpdir(), "inv-"));
const mark = basename(directory);
test.after.always(() => rmSync(directory, { recursive: true, force: true }));

const ip = (...args: string[]) => execFileSync("ip", args);

async function endOfChild(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** The lines that `make` adds, and after `remove` none. */
async function seen(make: () => void | Promise<void>, remove: () => void | Promise<void>): Promise<string[]> {
  const take = (): Promise<Inventory> => takeInventory({ mark, roots: [directory] }, deadline());
  const before = await take();
  let during: string[];
  try {
    await make();
    during = diffInventory(before, await take());
  } finally {
    await remove();
  }
  const after = diffInventory(before, await take());
  return after.length === 0 ? during : [`after: ${after.join()}`];
}

test.serial("a process is seen by its command line and by its environment", async (t) => {
  for (const [argument, value] of [
    [mark, ""],
    ["x", mark],
  ] as const) {
    let child: ChildProcess | undefined;
    const lines = await seen(
      () => {
        child = spawn("sleep", ["60"], { argv0: `sleep-${argument}`, env: { ...process.env, MARK: value } });
      },
      async () => {
        if (child !== undefined) await endOfChild(child);
      },
    );
    t.is(lines.length, 1);
    t.regex(
      lines[0] ?? "",
      new RegExp(`^processes: left over: ${child?.pid}@\\d+ \\(sleep-${argument} 60\\)$`),
    );
  }
});

test.serial("a process that carries nothing itself is seen by its parent", async (t) => {
  const script = "env -i sleep 60 & echo $!; wait";
  const parent = spawn("sh", ["-c", script], { env: { ...process.env, MARK: mark } });
  const [said] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(said);
  t.teardown(() => process.kill(pid, "SIGKILL"));
  const { processes } = await takeInventory({ mark }, deadline());
  const key = Object.keys(processes).find((one) => one.startsWith(`${pid}@`)) ?? "";
  t.regex(processes[key] ?? "", /sleep 60$/);
  await endOfChild(parent);
});

test.serial("a long command line is seen as a whole, and shown in part", async (t) => {
  const before = await takeInventory({ mark }, deadline());
  const child = spawn("sleep", ["60"], { argv0: `${"long/".repeat(200)}${mark}` });
  await using _ = { [Symbol.asyncDispose]: () => endOfChild(child) };
  const after = await takeInventory({ mark }, deadline());
  t.regex(Object.values(after.processes).join(), new RegExp(`${mark} 60$`));
  const [line = ""] = diffInventory(before, after);
  t.regex(line, /left over: .*long/);
  t.true(line.length < 400);
});

test.serial("a netns is seen with its links, its qdiscs and the sockets made in it", async (t) => {
  const lines = await seen(
    () => {
      ip("netns", "add", mark);
      ip("-n", mark, "link", "add", "v0", "mtu", "1400", "type", "veth", "peer", "name", "v1");
      execFileSync("tc", ["-n", mark, "qdisc", "add", "dev", "v0", "ingress"]);
    },
    () => void ip("netns", "delete", mark),
  );
  const text = lines.join("\n");
  t.regex(text, new RegExp(`netns: left over: /run/netns/${mark} \\(net:\\[\\d+\\]\\)`));
  t.regex(
    text,
    new RegExp(`links: left over: /run/netns/${mark}: v0 #\\d+ \\(veth, [0-9a-f:]{17}, mtu 1400\\)`),
  );
  t.regex(text, /links: left over: .*: v1 #/);
  t.regex(text, /qdiscs: left over: .*: v0 #\d+ ingress ffff0000 of fffffff1/);
  t.regex(text, /mounts: left over: /);
});

test.serial("a mount, and what is on a tmpfs", async (t) => {
  const target = join(directory, "with blank");
  const lines = await seen(
    () => {
      mkdirSync(target);
      execFileSync("mount", ["-t", "tmpfs", "none", target]);
      writeFileSync(join(target, "file"), Buffer.alloc(8192));
    },
    () => {
      execFileSync("umount", [target]);
      rmSync(target, { recursive: true });
    },
  );
  t.true(lines.includes(`mounts: left over: ${target} (tmpfs none)`));
  t.true(lines.includes(`tmpfs: left over: ${target} (8192 bytes)`));
  t.true(lines.includes(`files: left over: ${join(target, "file")} (file)`));
});

test.serial("a listening socket, once, whoever is connected to it", async (t) => {
  const path = join(directory, "a.sock");
  const server = createServer();
  const lines = await seen(
    () => new Promise<void>((resolve) => server.listen(path, resolve)),
    () => new Promise<void>((resolve) => void server.close(() => resolve())),
  );
  t.deepEqual(lines, [`sockets: left over: ${path}`, `files: left over: ${path} (socket)`]);
});

test.serial("descriptors count by what they are", async (t) => {
  const self = identify(process.pid);
  if (self === undefined) return t.fail();
  const take = () => takeInventory({ mark, descriptorsOf: [self] }, deadline());
  const before = await take();
  const { open } = await import("node:fs/promises");
  const file = await open(join(directory, "f"), "w");
  const during = diffInventory(before, await take());
  await file.close();
  t.deepEqual(during, [`descriptors: left over: ${self.pid}@${self.startTime} ${join(directory, "f")} (1)`]);
  t.deepEqual(diffInventory(before, await take()), []);
});

test("the whole machine: nothing is needed, and this process is on it", async (t) => {
  const all = await takeInventory({}, deadline());
  const self = identify(process.pid);
  t.true(`${self?.pid}@${self?.startTime}` in all.processes);
  t.true(Object.keys(all.links).some((key) => key.startsWith("this machine's: lo #1")));
  t.deepEqual(all.processes["2@0"], undefined);
});

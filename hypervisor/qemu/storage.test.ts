// Requires virtiofsd.
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type Deadline, deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { type Ledger, openLedger, readLedger } from "../../sys/ledger.ts";
import { Code } from "../../sys/status.ts";
import { hourglass } from "../../test/fakes/hourglass.ts";
import { type FakeCommand, type FakeQmp, type FakeReply, fakeQmp } from "../../test/fakes/qmp.ts";
import { connectQmp } from "../qmp/client.ts";
import type { ShareSpec, VmStorage } from "../storage.ts";
import { createPorts } from "./ports.ts";
import { createStorage } from "./storage.ts";
import { createTopology } from "./topology.ts";

const soon = (): Deadline => deadlineIn(60_000, "test");

/** What a QEMU holds: by the command that removes it. */
type Books = Record<"closefd" | "chardev-remove" | "remove-fd" | "blockdev-del" | "device_del", Set<string>>;

const ADDED = {
  getfd: ["closefd", "fdname"],
  "chardev-add": ["chardev-remove", "id"],
  "add-fd": ["remove-fd", "fdset-id"],
  "blockdev-add": ["blockdev-del", "node-name"],
  device_add: ["device_del", "id"],
} as const satisfies Record<string, readonly [keyof Books, string]>;

function answer({ execute, arguments: args }: FakeCommand, qmp: FakeQmp, books: Books): FakeReply {
  const added = ADDED[execute as keyof typeof ADDED];
  if (added !== undefined) {
    const [removal, key] = added;
    books[removal].add(String(args[key]));
    // The chardev takes the descriptor out of the table.
    if (execute === "chardev-add") books.closefd.clear();
    return { return: {} };
  }
  const held = books[execute as keyof Books];
  const name = String(args.id ?? args["node-name"] ?? args["fdset-id"] ?? args.fdname);
  if (!held.delete(name)) return { error: ["GenericError", `'${name}' not found`] };
  if (execute === "device_del") qmp.emit("DEVICE_DELETED", { device: name, path: name });
  return { return: {} };
}

interface Setup {
  readonly storage: VmStorage;
  readonly ledger: Ledger;
  readonly share: ShareSpec;
  readonly file: string;
  readonly fake: FakeQmp;
  /** Commands that QEMU refuses. */
  readonly refuse: Set<string>;
  /** Commands whose next answer does not come. */
  readonly silent: Set<string>;
  held(): string[];
  names(): string[];
}

async function setUp(t: ExecutionContext, sharedMemory = true): Promise<Setup> {
  const place = mkdtempSync(join(tmpdir(), "tapir-vm-storage-"));
  mkdirSync(join(place, "folder"));
  writeFileSync(join(place, "disk"), Buffer.alloc(4096));
  const ledger = openLedger(join(place, "state"));
  const books: Books = {
    closefd: new Set(),
    "chardev-remove": new Set(),
    "remove-fd": new Set(),
    "blockdev-del": new Set(),
    device_del: new Set(),
  };
  const refuse = new Set<string>();
  const silent = new Set<string>();
  const fake = fakeQmp((command, self) => {
    // It does what it is told all the same.
    const reply = replyTo(command, self);
    return silent.delete(command.execute) ? undefined : reply;
  });
  const replyTo: NonNullable<Parameters<typeof fakeQmp>[0]> = (command, self) =>
    refuse.has(command.execute)
      ? { error: ["GenericError", "Failed to read msg header"] }
      : answer(command, self, books);
  const qmp = await connectQmp(fake.transport, async () => "QEMU was killed", soon());
  t.teardown(async () => {
    fake.hangUp();
    await ledger.unwind();
    rmSync(place, { recursive: true });
  });
  const ports = createPorts(createTopology(1));
  return {
    storage: createStorage({
      vm: "vm1",
      qmp,
      ports,
      directory: ledger.directory,
      sharedMemory,
      cgroups: undefined,
    }),
    ...{ ledger, fake, refuse, silent, file: join(place, "disk") },
    share: { id: "shared", tag: "tag", directory: join(place, "folder"), server: "", cache: "auto" },
    held: () => Object.values(books).flatMap((names) => [...names]),
    names: () => fake.commands.map(({ execute }) => execute),
  };
}

test("a share is a socket, a chardev and a device; detach ends its server", async (t) => {
  const { storage, share, ledger, fake, names, held } = await setUp(t);
  const attached = await storage.attachShare(share, ledger, soon());
  t.deepEqual(names(), ["getfd", "chardev-add", "device_add"]);
  t.like(fake.commands[2]?.arguments, { driver: "vhost-user-fs-pci", tag: "tag", bus: "rp0", addr: "0x0" });
  t.is(codeOf(await t.throwsAsync(storage.attachShare(share, ledger, soon()))), Code.ALREADY_EXISTS);
  await attached.detach(soon());
  t.regex(await attached.ended, /^virtiofsd/);
  t.deepEqual(held(), []);
  t.deepEqual(readLedger(ledger.directory), []);
  await (await storage.attachShare(share, ledger, soon())).detach(soon());
});

for (const command of ["getfd", "chardev-add", "device_add"]) {
  test(`a share whose ${command} is refused leaves nothing, its server neither`, async (t) => {
    const { storage, share, ledger, refuse, held } = await setUp(t);
    refuse.add(command);
    await t.throwsAsync(storage.attachShare(share, ledger, soon()), { message: /Failed to read msg header/ });
    t.deepEqual(held(), []);
    t.deepEqual(readLedger(ledger.directory), []);
    refuse.clear();
    await (await storage.attachShare(share, ledger, soon())).detach(soon());
  });
}

test("a share that QEMU plugs after nobody waited any more is taken out before the next try", async (t) => {
  const { storage, share, ledger, silent, names, held } = await setUp(t);
  silent.add("device_add");
  const { deadline, runOut } = hourglass("plug");
  const attaching = storage.attachShare(share, ledger, deadline);
  while (!names().includes("device_add")) await new Promise(setImmediate);
  runOut();
  const error = await t.throwsAsync(attaching);
  t.is(codeOf(error), Code.DEADLINE_EXCEEDED);
  const again = await storage.attachShare(share, ledger, soon());
  t.true(names().indexOf("device_del") < names().lastIndexOf("device_add"));
  await again.detach(soon());
  t.deepEqual(held(), []);
});

test("a server that gives up says why, not QEMU", async (t) => {
  const { storage, share, ledger, refuse } = await setUp(t);
  refuse.add("device_add");
  const broken = { ...share, directory: "/no/such/folder" };
  const error = await t.throwsAsync(storage.attachShare(broken, ledger, soon()));
  t.regex(error.message, /^cannot serve share shared: virtiofsd exited with code 1: .*no\/such\/folder/s);
});

test("private memory, and a tag that is too long, are refused before anything is started", async (t) => {
  const cow = await setUp(t, false);
  const error = await t.throwsAsync(cow.storage.attachShare(cow.share, cow.ledger, soon()));
  t.regex(error.message, /memory is private to QEMU.*set factory.memory = "copy"/);
  t.deepEqual(cow.names(), []);
  const { storage, share, ledger, names } = await setUp(t);
  const long = { ...share, tag: "x".repeat(37) };
  t.is(codeOf(await t.throwsAsync(storage.attachShare(long, ledger, soon()))), Code.INVALID_ARGUMENT);
  t.deepEqual(names(), []);
});

test("a disk is a descriptor set, a node and a device, 50 times", async (t) => {
  const { storage, file, fake, names, held } = await setUp(t);
  const fd = openSync(file, "r+");
  for (let round = 0; round < 50; round++) {
    await storage.attachDisk({ id: "d1", serial: "s-1", fd, readOnly: false }, soon());
    await storage.detachDisk("d1", soon());
    t.deepEqual(held(), []);
  }
  t.deepEqual(names().slice(-6), [
    "add-fd",
    "blockdev-add",
    "device_add",
    "device_del",
    "blockdev-del",
    "remove-fd",
  ]);
  const set = fake.commands.at(-6)?.arguments["fdset-id"];
  t.like(fake.commands.at(-5)?.arguments, {
    "read-only": false,
    file: { driver: "file", filename: `/dev/fdset/${set}`, locking: "auto" },
  });
  closeSync(fd);
});

for (const command of ["add-fd", "blockdev-add", "device_add"]) {
  test(`a disk whose ${command} is refused leaves nothing`, async (t) => {
    const { storage, file, refuse, held } = await setUp(t);
    refuse.add(command);
    const fd = openSync(file, "r");
    const disk = { id: "d1", serial: "s-1", fd, readOnly: true };
    const error = await t.throwsAsync(storage.attachDisk(disk, soon()));
    t.regex(error.message, /^cannot plug disk d1 of VM vm1/);
    t.deepEqual(held(), []);
    refuse.clear();
    await storage.attachDisk(disk, soon());
    await storage.detachDisk("d1", soon());
    t.deepEqual(held(), []);
    closeSync(fd);
  });
}

test("what is no disk, and a serial that the guest cannot have, are refused before QEMU is asked", async (t) => {
  const { storage, file, names } = await setUp(t);
  const [fd, folder, nothing] = [openSync(file, "r"), openSync("/", "r"), openSync("/dev/null", "r")];
  for (const wrong of [
    { id: "d1", serial: "x".repeat(21), fd, readOnly: true },
    { id: "d1", serial: "a,b", fd, readOnly: true },
    { id: "d 1", serial: "s", fd, readOnly: true },
    { id: "d1", serial: "s", fd: folder, readOnly: true },
    { id: "d1", serial: "s", fd: nothing, readOnly: true },
  ]) {
    t.is(codeOf(await t.throwsAsync(storage.attachDisk(wrong, soon()))), Code.INVALID_ARGUMENT);
  }
  t.deepEqual(names(), []);
  for (const open of [fd, folder, nothing]) closeSync(open);
});

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { readDescriptors } from "./descriptors.ts";
import { check, libc } from "./libc.ts";

test("descriptors are told apart: files, disks in files, devices, memory, pipes", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "descriptors-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const ext4 = Buffer.alloc(2048);
  ext4.writeUInt16LE(0xef53, 0x438);
  const erofs = Buffer.alloc(2048);
  erofs.writeUInt32LE(0xe0f5e1e2, 0x400);
  const files = { text: Buffer.from("secret"), ext4, erofs, xfs: Buffer.from("XFSB") };
  const opened = Object.entries(files).map(([name, content]) => {
    writeFileSync(join(directory, name), content);
    return openSync(join(directory, name), "r");
  });
  const others = [
    openSync("/dev/null", "r"),
    check(libc.memfd_create("guest", 1), "create", "a file"),
    check(libc.eventfd(0, 0x8_0000), "create", "an event"),
  ];
  t.teardown(() => {
    for (const fd of [...opened, ...others]) closeSync(fd);
  });
  const found = readDescriptors(process.pid);
  const kinds = found.map(({ kind }) => kind);
  for (const kind of [
    ...[
      `file ${directory}/text`,
      `disk ${directory}/ext4`,
      `disk ${directory}/erofs`,
      `disk ${directory}/xfs`,
    ],
    ...["device /dev/null", "memory", "eventfd", "socket"],
  ])
    t.true(kinds.includes(kind), `${kind} in ${kinds.join(", ")}`);
  t.true(found.find(({ target }) => target === `${directory}/text`)?.inRoot);
  t.false(found.find(({ kind }) => kind === "memory")?.inRoot);
});

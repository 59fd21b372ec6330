import test from "ava";
import {
  CreateContainerRequest,
  PortForwardRequest,
  SignalProcessRequest,
  Storage,
} from "../../proto/gen/tapir/agent/v1/container.ts";
import {
  refuseCreateContainer,
  refuseId,
  refusePortForward,
  refuseProcess,
  refuseSignal,
  refuseStorage,
  refuseStoragePath,
} from "./refuse.ts";

test("ids are one pattern: no way out of a folder, no option of a program", (t) => {
  for (const id of ["a", "A-1_b.c", "0", "x".repeat(128)]) t.notThrows(() => refuseId("container id", id));
  for (const id of ["", ".", "..", "-x", "a/b", "a b", "a\n", "a:b", "é", "x".repeat(129), "_a"])
    t.throws(() => refuseId("container id", id), { message: /container id/ }, id);
  t.throws(() => refuseProcess({ containerId: "a", execId: "../b" }));
  t.notThrows(() => refuseProcess({ containerId: "a", execId: "" }));
});

test("a path in a storage is relative and leads nowhere else", (t) => {
  for (const path of ["", "a", "a/b.c", "..a", "a..b", ".hidden"])
    t.notThrows(() => refuseStoragePath({ storageId: "s", path }), path);
  for (const path of ["/", "/a", "a/", "..", "a/../b", "./a", "a//b", "a\0b", "x".repeat(4097)])
    t.throws(
      () => refuseStoragePath({ storageId: "s", path }),
      { message: /storage path/ },
      path.slice(0, 9),
    );
});

test("a storage is exactly one thing, and its words are words", (t) => {
  const storage = (changes: Partial<Storage>): Storage => ({ ...Storage.create({ id: "s" }), ...changes });
  const block = { serial: "disk1", fileSystem: "ext4", options: ["ro", "discard"] };
  const path = { storageId: "s", path: "" };
  t.throws(() => refuseStorage(undefined));
  t.throws(() => refuseStorage(storage({})), { message: /exactly one/ });
  t.throws(() => refuseStorage(storage({ blockDevice: block, virtioFs: { tag: "t", readOnly: false } })));
  t.notThrows(() => refuseStorage(storage({ blockDevice: block })));
  for (const changes of [
    { serial: "" },
    { serial: "x".repeat(21) },
    { fileSystem: "../ext4" },
    { options: ["a,b"] },
    { options: ["a b"] },
  ])
    t.throws(
      () => refuseStorage(storage({ blockDevice: { ...block, ...changes } })),
      undefined,
      JSON.stringify(changes),
    );
  t.throws(() => refuseStorage(storage({ virtioFs: { tag: "x".repeat(37), readOnly: false } })));
  t.throws(() => refuseStorage(storage({ tmpfs: { sizeBytes: 0n, mode: 0o10000, uid: 0, gid: 0 } })));
  const overlay = { lower: [path], upper: undefined, memoryBytes: 0n };
  t.notThrows(() => refuseStorage(storage({ overlay })));
  t.throws(() => refuseStorage(storage({ overlay: { ...overlay, lower: [] } })));
  t.throws(() => refuseStorage(storage({ overlay: { ...overlay, lower: [{ ...path, path: "a:b" }] } })));
  t.throws(() =>
    refuseStorage(storage({ overlay: { ...overlay, upper: { ...path, path: "a,upperdir=x" } } })),
  );
});

test("a container has a rootfs and each mount one source", (t) => {
  const request = (changes: object): CreateContainerRequest =>
    CreateContainerRequest.create({ containerId: "c", rootfs: { storageId: "s" }, ...changes });
  t.notThrows(() => refuseCreateContainer(request({})));
  t.throws(() => refuseCreateContainer({ ...request({}), rootfs: undefined }), { message: /rootfs/ });
  t.throws(() => refuseCreateContainer(request({ mountSources: [{ index: 1 }] })), {
    message: /exactly one/,
  });
  const skip = { index: 1, skip: true };
  t.notThrows(() => refuseCreateContainer(request({ mountSources: [skip] })));
  t.throws(() => refuseCreateContainer(request({ mountSources: [skip, skip] })), { message: /twice/ });
  const file = { content: Buffer.alloc((1 << 20) + 1), mode: 0, uid: 0, gid: 0 };
  t.throws(() => refuseCreateContainer(request({ mountSources: [{ index: 1, file }] })), {
    message: /file size/,
  });
  t.throws(() => refuseCreateContainer(request({ pidNamespaceOf: ".." })));
  t.throws(() => refuseCreateContainer(request({ deviceSources: [{ path: "/dev/x", serial: " " }] })));
});

test("signals are the kernel's, ports are TCP's", (t) => {
  const signal = (changes: object): void =>
    refuseSignal(SignalProcessRequest.create({ containerId: "c", ...changes }));
  for (const number of [1, 9, 34, 64]) t.notThrows(() => signal({ signal: number }));
  for (const number of [0, 65, 4_000_000_000]) t.throws(() => signal({ signal: number }));
  t.throws(() => signal({ signal: 9, all: true, execId: "e" }));
  const forward = (changes: object): void => refusePortForward(PortForwardRequest.create(changes));
  t.notThrows(() => forward({ port: 80 }));
  t.notThrows(() => forward({ port: 80, address: "fd00::1" }));
  t.throws(() => forward({ port: 0 }));
  t.throws(() => forward({ port: 65_536 }));
  t.throws(() => forward({ port: 80, address: "localhost" }));
});

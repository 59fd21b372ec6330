// Requires root and virtiofsd.
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { cgroupHierarchies, fillCpuset } from "../../sys/cgroup.ts";
import { deadlineIn } from "../../sys/deadline.ts";
import { codeOf } from "../../sys/error.ts";
import { type Ledger, openLedger, readLedger, replayLedger } from "../../sys/ledger.ts";
import { findByToken, killProcess } from "../../sys/process.ts";
import { Code } from "../../sys/status.ts";
import { undoCgroup } from "../../sys/undo/cgroup.ts";
import type { ShareSpec } from "../storage.ts";
import { virtiofsdArguments } from "./arguments.ts";
import { findVirtiofsd, flavourOf } from "./find.ts";
import { startVirtiofsd } from "./virtiofsd.ts";

interface Place {
  readonly share: ShareSpec;
  readonly ledger: Ledger;
  readonly directory: string;
}

function makePlace(t: { teardown(work: () => void): void }): Place {
  const directory = mkdtempSync(join(tmpdir(), "tapir-virtiofsd-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "shared"));
  const share = {
    id: "shared",
    tag: "shared",
    directory: join(directory, "shared"),
    server: process.env.TAPIR_TEST_VIRTIOFSD ?? "",
    cache: "auto",
  } as const;
  return { share, ledger: openLedger(join(directory, "state")), directory };
}

function tokenIn(ledger: Ledger): string {
  const entry = readLedger(ledger.directory).find(({ step }) => step === "hypervisor.virtiofsd")?.undo;
  return entry?.kind === "process" ? entry.token : "";
}

/** The server and the child it forks once it has a client or is ready for one. */
const processesOf = (ledger: Ledger): number[] => findByToken(tokenIn(ledger)).map(({ pid }) => pid);

test("the server runs confined: few capabilities, no new privileges, nothing of ours open; release ends it", async (t) => {
  const { share, ledger } = makePlace(t);
  const server = await startVirtiofsd(share, { directory: ledger.directory }, ledger);
  t.deepEqual(
    readdirSync(ledger.directory).filter((name) => name !== "ledger"),
    [],
  );
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  t.regex(status, /^NoNewPrivs:\t1$/m);
  const bounding = BigInt(`0x${/^CapBnd:\t(\w+)$/m.exec(status)?.[1]}`);
  const wide = bounding & ~0x8820_01dbn;
  t.is(wide, 0n);
  t.deepEqual(processesOf(ledger).includes(server.pid), true);
  closeSync(server.socketFd);
  await server.release();
  t.is(await server.ended.then((text) => text.slice(0, 9)), "virtiofsd");
  t.deepEqual(processesOf(ledger), []);
  await ledger.unwind();
});

test("the server and what it forked are in the cgroups that it was given", async (t) => {
  const { share, ledger } = makePlace(t);
  const folders = cgroupHierarchies().map(({ root }) => join(root, `tapir-virtiofsd-${process.pid}`));
  for (const folder of folders) {
    mkdirSync(folder);
    if (existsSync(join(folder, "cpuset.mems"))) fillCpuset(folder);
  }
  const server = await startVirtiofsd(share, { directory: ledger.directory, cgroups: folders }, ledger);
  const forked = (): number => findByToken(tokenIn(ledger)).length;
  // The one in C forks, once it has its namespaces.
  const { flavour } = findVirtiofsd(share.server);
  const soon = deadlineIn(60_000, "test");
  while (flavour === "c" && forked() < 2 && soon.remainingMs() > 0) await new Promise(setImmediate);
  await server.joinAll();
  const wanted = findByToken(tokenIn(ledger)).map(({ pid }) => String(pid));
  for (const folder of folders) {
    t.deepEqual(
      readFileSync(join(folder, "cgroup.procs"), "utf8").trim().split("\n").toSorted(),
      wanted.toSorted(),
    );
  }
  closeSync(server.socketFd);
  await ledger.unwind();
  for (const path of folders) await undoCgroup({ kind: "cgroup", path }, deadlineIn(60_000, "test"));
});

test("a hang-up ends the server", async (t) => {
  const { share, ledger } = makePlace(t);
  const server = await startVirtiofsd(share, { directory: ledger.directory }, ledger);
  closeSync(server.socketFd);
  t.regex(await server.ended, /^virtiofsd (exited|was killed)/);
  await ledger.unwind();
});

test("a folder that is not there is told by the server", async (t) => {
  const { share, ledger } = makePlace(t);
  const server = await startVirtiofsd(
    { ...share, directory: "/no/such/folder" },
    { directory: ledger.directory },
    ledger,
  );
  t.regex(await server.ended, /exited with code 1: .*no\/such\/folder/s);
  closeSync(server.socketFd);
  await ledger.unwind();
});

test("what a dead shim left running is ended by the replay", async (t) => {
  const { share, ledger } = makePlace(t);
  const server = await startVirtiofsd(share, { directory: ledger.directory }, ledger);
  const { failures } = await replayLedger(ledger.directory);
  t.deepEqual(failures, []);
  t.regex(await server.ended, /killed by SIGKILL/);
  closeSync(server.socketFd);
});

test("its child's death is its own", async (t) => {
  const { share, ledger } = makePlace(t);
  const server = await startVirtiofsd(share, { directory: ledger.directory }, ledger);
  const soon = deadlineIn(60_000, "test");
  for (;;) {
    const child = findByToken(tokenIn(ledger)).find(({ pid }) => pid !== server.pid);
    if (child !== undefined) {
      await killProcess(child, soon);
      break;
    }
    // Not every virtiofsd forks.
    if (soon.remainingMs() === 0) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  closeSync(server.socketFd);
  t.regex(await server.ended, /^virtiofsd/);
  await ledger.unwind();
});

test("programs are told apart by their words", (t) => {
  t.is(flavourOf(Buffer.from("..vhost-user..announce_submounts..")), "c");
  t.is(flavourOf(Buffer.from("..vhost-user..announce-submounts..announce_submounts")), "rust");
  t.is(flavourOf(Buffer.from("..announce-submounts..")), undefined);
  t.is(flavourOf(Buffer.from("..vhost-user..")), undefined);
  t.regex(findVirtiofsd("").path, /^\/.*virtiofsd$/);
});

test("a program that is not there, or another one, is refused with the way out", (t) => {
  const { directory } = makePlace(t);
  const other = join(directory, "virtiofsd");
  const missing = t.throws(() => findVirtiofsd(other));
  t.is(codeOf(missing), Code.NOT_FOUND);
  t.regex(missing.message, /^cannot find virtiofsd: there is no program at .*; install it /);
  writeFileSync(other, "#!/bin/sh\n");
  chmodSync(other, 0o755);
  t.is(codeOf(t.throws(() => findVirtiofsd(other))), Code.FAILED_PRECONDITION);
});

test("arguments of both programs: always confined", (t) => {
  const settings = { directory: "/run/a,b", cache: "none", listeningFd: 3, maxOpenFiles: 1000 } as const;
  const c = virtiofsdArguments("c", settings);
  t.is(c.at(-1), "source=/run/a\\,b,cache=none,sandbox=namespace,announce_submounts,xattr,log_level=warn");
  t.deepEqual(c.slice(0, 3), ["--fd=3", "--thread-pool-size=0", "--rlimit-nofile=1000"]);
  const rust = virtiofsdArguments("rust", settings);
  for (const wanted of ["--shared-dir=/run/a,b", "--cache=never", "--sandbox=namespace", "--seccomp=kill"]) {
    t.true(rust.includes(wanted), wanted);
  }
});

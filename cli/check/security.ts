import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadConfiguration } from "../../shim/config/load.ts";
import type { Configuration } from "../../shim/config/schema.ts";
import { type Confinement, readConfinement } from "../../sys/confinement.ts";
import { readLedger } from "../../sys/ledger.ts";
import { findByToken, PROCESS_TOKEN } from "../../sys/process.ts";
import { findSandbox } from "../sandboxes.ts";
import { table } from "../table.ts";
import { counts, isMeant } from "./descriptors.ts";
import { type Wanted, wantedOf } from "./wanted.ts";

/** One thing that has to be so, and what is. */
export interface Finding {
  readonly subject: string;
  readonly property: string;
  readonly value: string;
  readonly right: boolean;
}

/** `tapir check security`: reads what the pod's processes may do and see. Exit code 1 when something is not as promised. */
export function checkSecurity(prefix: string, options: { readonly json?: boolean }): void {
  const { directory } = findSandbox(prefix);
  const findings = findingsOf(directory, loadConfiguration().configuration);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify(findings, undefined, 2)}\n`
      : table(
          ["", "PROCESS OR FILE", "PROPERTY", "VALUE"],
          findings.map(({ subject, property, value, right }) => [
            right ? "ok" : "WRONG",
            subject,
            property,
            value,
          ]),
        ),
  );
  if (findings.some(({ right }) => !right)) process.exitCode = 1;
}

/** Of the sandbox whose state lies in `directory`. */
export function findingsOf(directory: string, configuration: Configuration): Finding[] {
  const processes = processesOf(directory);
  const wanted = wantedOf(configuration, directory);
  return [
    ...processes.vmm.flatMap((pid) =>
      ofQemu(readConfinement(pid), { ...wanted, seesPodNetwork: hasPodNetwork(directory, pid) }),
    ),
    ...processes.servers.flatMap((pid) => ofVirtiofsd(readConfinement(pid), wanted)),
    ...ofFiles(directory),
  ];
}

function processesOf(directory: string): Record<"vmm" | "servers", number[]> {
  const entries = readLedger(directory);
  const pids = (...steps: string[]): number[] =>
    entries
      .filter(({ step }) => steps.includes(step))
      .flatMap(({ undo }) => (undo.kind === "process" ? findByToken(undo.token) : []))
      .map(({ pid }) => pid);
  return {
    vmm: pids("hypervisor.spawn", "hypervisor.adopt"),
    servers: pids("hypervisor.virtiofsd"),
  };
}

/** Whether the network of the pod lies in the namespace of this process: so it is for a container in no pod, without a namespace. */
function hasPodNetwork(directory: string, pid: number): boolean {
  return readLedger(directory).some(
    ({ undo }) => undo.kind === "link" && undo.netns === `/proc/${pid}/ns/net`,
  );
}

type Rule = (name: string, value: unknown, right: boolean) => Finding;

function rulesFor({ program, pid }: Confinement): Rule {
  return (property, value, right) => ({
    subject: `${program} ${pid}`,
    property,
    value: String(value),
    right,
  });
}

function ofQemu(process: Confinement, wanted: Wanted): Finding[] {
  const rule = rulesFor(process);
  return [
    rule("user", process.user, process.user !== 0),
    rule("group", process.group, process.group === process.user),
    rule("supplementary groups", list(process.groups), isWithin(process.groups, wanted.groups)),
    rule("capabilities", list(process.capabilities), process.capabilities.length === 0),
    rule("threads with filtered system calls", process.seccomp, process.seccomp === "all"),
    rule("open files at most", process.openFiles, process.openFiles <= wanted.openFiles),
    rule("threads at most", process.processes, process.processes <= wanted.threads),
    ...ofBoth(process, rule, ["mnt", "net", "ipc"], wanted),
    rule("sees in /", list(process.root), isWithin(process.root, wanted.seen)),
    rule("sees in /dev", list(process.devices), isWithin(process.devices, wanted.devices)),
  ];
}

/** What it needs to act on files as the guest's users. */
const FILE_CAPABILITIES = [
  "chown",
  "dac_override",
  "fowner",
  "fsetid",
  "setgid",
  "setuid",
  "mknod",
  "setfcap",
];

/** As the server is told (hypervisor/virtiofsd): bounds what a guest can make it hold. */
const MOST_OPEN_FILES = 500_000;

/** The C one is two processes: one that waits, without any capability, and one that serves, in a PID namespace. */
function ofVirtiofsd(process: Confinement, wanted: Wanted): Finding[] {
  const rule = rulesFor(process);
  const { capabilities, seccomp } = process;
  const waits = capabilities.length === 0;
  return [
    rule(
      "capabilities",
      list(capabilities),
      capabilities.every((name) => FILE_CAPABILITIES.includes(name)),
    ),
    // A thread for memory that is freed later has none: it hears nothing of the guest.
    rule(
      "threads with filtered system calls",
      waits ? `${seccomp} (only waits)` : seccomp,
      waits || seccomp !== "none",
    ),
    rule("supplementary groups", list(process.groups), process.groups.length === 0),
    rule("open files at most", process.openFiles, process.openFiles <= MOST_OPEN_FILES),
    ...ofBoth(process, rule, waits ? ["mnt", "net"] : ["mnt", "net", "pid"], wanted),
  ];
}

function ofBoth(process: Confinement, rule: Rule, namespaces: readonly string[], wanted: Wanted): Finding[] {
  const { environment, descriptors, interfaces } = process;
  const strange = descriptors.filter((one) => !isMeant(one, wanted.templates));
  const joined = wanted.cgroups.filter((folder) => hasProcess(folder, process.pid));
  return [
    rule("no new privileges", process.noNewPrivileges, process.noNewPrivileges),
    rule("own namespaces", list(process.ownNamespaces), isWithin(namespaces, process.ownNamespaces)),
    rule(
      "network interfaces",
      wanted.seesPodNetwork ? `${list(interfaces)} (the container's own)` : list(interfaces),
      interfaces.length === 0 || wanted.seesPodNetwork,
    ),
    rule("no core dumps", process.noCoreDumps, process.noCoreDumps),
    rule(
      "cgroups of the pod",
      `${joined.length} of ${wanted.cgroups.length}`,
      joined.length === wanted.cgroups.length,
    ),
    rule(
      "environment",
      list(environment.map((variable) => variable.split("=")[0] ?? "")),
      environment.length === 1 && environment[0]?.startsWith(`${PROCESS_TOKEN}=`) === true,
    ),
    rule(
      "descriptors",
      strange.length === 0 ? counts(descriptors) : `not meant: ${list(strange.map(({ kind }) => kind))}`,
      strange.length === 0,
    ),
  ];
}

function hasProcess(folder: string, pid: number): boolean {
  const file = join(folder, "cgroup.procs");
  return existsSync(file) && readFileSync(file, "utf8").split("\n").includes(String(pid));
}

/** Folders 0700, files and sockets 0600; what lies in the share belongs to the guest. */
function ofFiles(directory: string): Finding[] {
  const paths = readdirSync(directory).filter((name) => name !== "shared" && name !== "points");
  return [".", ...paths].map((name) => {
    const { mode, uid } = statSync(join(directory, name));
    const value = `${(mode & 0o777).toString(8).padStart(4, "0")} of user ${uid}`;
    return { subject: name, property: "mode", value, right: (mode & 0o077) === 0 && uid === 0 };
  });
}

const list = (values: readonly unknown[]): string => (values.length === 0 ? "none" : values.join(" "));

function isWithin<T>(some: readonly T[], all: readonly T[]): boolean {
  return some.every((one) => all.includes(one));
}

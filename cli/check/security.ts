import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Confinement, readConfinement } from "../../sys/confinement.ts";
import { readLedger } from "../../sys/ledger.ts";
import { findByToken } from "../../sys/process.ts";
import { findSandbox } from "../sandboxes.ts";
import { table } from "../table.ts";

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
  const findings = findingsOf(directory);
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
export function findingsOf(directory: string): Finding[] {
  const processes = processesOf(directory);
  return [
    ...processes.vmm.flatMap((pid) => ofQemu(readConfinement(pid))),
    ...processes.servers.flatMap((pid) => ofVirtiofsd(readConfinement(pid))),
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

type Rule = (name: string, value: unknown, right: boolean) => Finding;

function rulesFor({ program, pid }: Confinement): Rule {
  return (property, value, right) => ({
    subject: `${program} ${pid}`,
    property,
    value: String(value),
    right,
  });
}

function ofQemu(process: Confinement): Finding[] {
  const rule = rulesFor(process);
  return [
    rule("user", process.user, process.user !== 0),
    rule("group", process.group, process.group === process.user),
    rule("capabilities", list(process.capabilities), process.capabilities.length === 0),
    rule("threads with filtered system calls", process.seccomp, process.seccomp === "all"),
    ...ofBoth(process, rule, ["mnt", "net", "ipc"]),
    rule(
      "sees in /",
      process.root.join(" "),
      !process.root.some((name) => ["root", "home", "run"].includes(name)),
    ),
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

/** The C one is two processes: one that waits, without any capability, and one that serves, in a PID namespace. */
function ofVirtiofsd(process: Confinement): Finding[] {
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
    ...ofBoth(process, rule, waits ? ["mnt", "net"] : ["mnt", "net", "pid"]),
  ];
}

function ofBoth(process: Confinement, rule: Rule, namespaces: readonly string[]): Finding[] {
  return [
    rule("no new privileges", process.noNewPrivileges, process.noNewPrivileges),
    rule(
      "own namespaces",
      list(process.ownNamespaces),
      namespaces.every((name) => process.ownNamespaces.includes(name)),
    ),
    rule("network interfaces", list(process.interfaces), process.interfaces.length === 0),
    rule("no core dumps", process.noCoreDumps, process.noCoreDumps),
  ];
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

const list = (values: readonly string[]): string => (values.length === 0 ? "none" : values.join(" "));

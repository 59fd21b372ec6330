import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../sys/error.ts";
import type { ProcessIdentity } from "../sys/identity.ts";
import { replaceFile } from "../sys/replace-file.ts";

/**
 * What a shim leaves in its bundle for whoever comes after it: containerd after a restart, and `delete` after the
 * shim's death, which knows nothing else. The files go with the bundle.
 */

/** The address containerd reconnects to. */
export const addressFile = textFile("address");
/** The serve process, as other shims write it; people look for it. */
export const shimPidFile = textFile("shim.pid");
/** The pid of the sandbox container: the VM's. */
export const taskPidFile = textFile("init.pid");
/** State directory of the sandbox, where its ledger lies. Written before the ledger is opened. */
export const stateDirectoryFile = textFile("state-directory");

/** The serve process, not to be confused with a later one of the same pid. */
export const shimIdentityFile = jsonFile<ProcessIdentity>("shim.identity", (value) => {
  const { pid, startTime } = value;
  return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
});

/** How the sandbox container ended. */
export interface ExitRecord {
  readonly pid: number;
  readonly status: number;
  /** Milliseconds since the epoch. */
  readonly exitedAtMs: number;
}
export const exitFile = jsonFile<ExitRecord>("init.exit", (value) => {
  const { pid, status, exitedAtMs } = value;
  return typeof pid === "number" && typeof status === "number" && typeof exitedAtMs === "number"
    ? { pid, status, exitedAtMs }
    : undefined;
});

interface BundleFile<T> {
  /** Atomic: a reader sees all of it or none. */
  write(bundle: string, value: T): void;
  /** undefined when it is not there, empty, or not what was written. */
  read(bundle: string): T | undefined;
}

function textFile(name: string): BundleFile<string> {
  return {
    write(bundle, text) {
      replaceFile(join(bundle, name), text, 0o600);
    },
    read(bundle) {
      try {
        return readFileSync(join(bundle, name), "utf8").trim() || undefined;
      } catch (error) {
        if (errnoOf(error) === "ENOENT") return undefined;
        throw error;
      }
    },
  };
}

function jsonFile<T>(name: string, check: (value: Record<string, unknown>) => T | undefined): BundleFile<T> {
  const file = textFile(name);
  return {
    write: (bundle, value) => file.write(bundle, JSON.stringify(value)),
    read(bundle) {
      try {
        const value: unknown = JSON.parse(file.read(bundle) ?? "null");
        return typeof value === "object" && value !== null ? check({ ...value }) : undefined;
      } catch (error) {
        if (error instanceof SyntaxError) return undefined;
        throw error;
      }
    },
  };
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { type ContainerLimits, limitsOf } from "./container-limits.ts";

/** The parts of an OCI runtime spec that Tapir reads; all else may be there and is left alone. */
export interface OciSpec {
  readonly hostname: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaces: readonly OciNamespace[];
  readonly mounts: readonly OciMount[];
  /** Absolute, or relative to the bundle; "" when there is none. */
  readonly rootPath: string;
  readonly devices: readonly OciDevice[];
  readonly deviceRules: readonly OciDeviceRule[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly limits: ContainerLimits;
  /** "/parent/name", or "slice:prefix:name" for systemd; "" when there is none. */
  readonly cgroupsPath: string;
  readonly hooks: Readonly<Record<OciHookKind, readonly OciHook[]>>;
}

/** Those that run in the runtime's namespaces and before or after the container: the others are not read. */
export type OciHookKind = "prestart" | "createRuntime" | "poststop";

/** A program of the host's. */
export interface OciHook {
  readonly path: string;
  /** Its name first; empty: the path. */
  readonly args: readonly string[];
  /** "NAME=value" */
  readonly env: readonly string[];
  /** Seconds; 0: none of its own. */
  readonly timeout: number;
}

export interface OciNamespace {
  readonly type: string;
  /** "" = a new one is to be made. */
  readonly path: string;
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** User ids are to be seen as other ones. */
  readonly idMapped: boolean;
}

export interface OciDevice {
  /** In the container. */
  readonly path: string;
  /** "b", "c", "u", "p" */
  readonly type: string;
  readonly major: number;
  readonly minor: number;
}

/** A line of the device cgroup. */
export interface OciDeviceRule {
  readonly allow: boolean;
  /** "a" or "" = all kinds. */
  readonly type: string;
  /** -1 = any. */
  readonly major: number;
  readonly minor: number;
  /** Letters of "rwm"; "" = all. */
  readonly access: string;
}

/** A spec is tens of kilobytes; what is far over that is no spec. */
const MAX_BYTES = 10 << 20;

/** Reads `config.json` of a bundle. Throws NOT_FOUND without one, INVALID_ARGUMENT for one that is no OCI spec. */
export function readOciSpec(bundle: string): OciSpec {
  const file = join(bundle, "config.json");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw wrapError(errnoOf(error) === "ENOENT" ? "there is no such file" : error, {
      code: errnoOf(error) === "ENOENT" ? Code.NOT_FOUND : Code.INVALID_ARGUMENT,
      operation: "read",
      object: file,
      hint: "a bundle is a directory with an OCI config.json; containerd makes it",
    });
  }
  if (text.length > MAX_BYTES)
    throw broken(file, `${text.length} characters are over the limit of ${MAX_BYTES}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw broken(file, error);
  }
  return readSpec(file, json);
}

function readSpec(file: string, json: unknown): OciSpec {
  const spec = objectAt(file, "the spec", json);
  const linux = optionalAt(file, "linux", spec.linux);
  const root = optionalAt(file, "root", spec.root);
  const resources = optionalAt(file, "linux.resources", linux.resources);
  return {
    hostname: textAt(file, "hostname", spec.hostname),
    annotations: textsAt(file, "annotations", spec.annotations),
    namespaces: listAt(file, "linux.namespaces", linux.namespaces).map((one, index) => {
      const path = `linux.namespaces[${index}]`;
      const namespace = objectAt(file, path, one);
      return {
        type: textAt(file, `${path}.type`, namespace.type),
        path: textAt(file, `${path}.path`, namespace.path),
      };
    }),
    mounts: listAt(file, "mounts", spec.mounts).map((one, index) => {
      const path = `mounts[${index}]`;
      const mount = objectAt(file, path, one);
      return {
        destination: textAt(file, `${path}.destination`, mount.destination),
        type: textAt(file, `${path}.type`, mount.type),
        source: textAt(file, `${path}.source`, mount.source),
        options: listAt(file, `${path}.options`, mount.options).map((option, place) =>
          textAt(file, `${path}.options[${place}]`, option),
        ),
        idMapped: [mount.uidMappings, mount.gidMappings].some((map) => Array.isArray(map) && map.length > 0),
      };
    }),
    rootPath: textAt(file, "root.path", root.path),
    devices: listAt(file, "linux.devices", linux.devices).map((one, index) =>
      readDevice(file, `linux.devices[${index}]`, one),
    ),
    deviceRules: listAt(file, "linux.resources.devices", resources.devices).map((one, index) =>
      readDeviceRule(file, `linux.resources.devices[${index}]`, one),
    ),
    sysctls: textsAt(file, "linux.sysctl", linux.sysctl),
    limits: limitsOf(resources),
    cgroupsPath: textAt(file, "linux.cgroupsPath", linux.cgroupsPath),
    hooks: readHooks(file, optionalAt(file, "hooks", spec.hooks)),
  };
}

function readHooks(file: string, hooks: Record<string, unknown>): OciSpec["hooks"] {
  const of = (kind: OciHookKind): OciHook[] =>
    listAt(file, `hooks.${kind}`, hooks[kind]).map((one, index) => {
      const path = `hooks.${kind}[${index}]`;
      const hook = objectAt(file, path, one);
      const words = (name: "args" | "env"): string[] =>
        listAt(file, `${path}.${name}`, hook[name]).map((word) => textAt(file, `${path}.${name}`, word));
      const timeout = numberAt(file, `${path}.timeout`, hook.timeout, 0);
      return {
        path: textAt(file, `${path}.path`, hook.path),
        args: words("args"),
        env: words("env"),
        timeout,
      };
    });
  return { prestart: of("prestart"), createRuntime: of("createRuntime"), poststop: of("poststop") };
}

function readDevice(file: string, path: string, one: unknown): OciDevice {
  const device = objectAt(file, path, one);
  return {
    path: textAt(file, `${path}.path`, device.path),
    type: textAt(file, `${path}.type`, device.type),
    major: numberAt(file, `${path}.major`, device.major, 0),
    minor: numberAt(file, `${path}.minor`, device.minor, 0),
  };
}

function readDeviceRule(file: string, path: string, one: unknown): OciDeviceRule {
  const rule = objectAt(file, path, one);
  return {
    allow: rule.allow === true,
    type: textAt(file, `${path}.type`, rule.type),
    major: numberAt(file, `${path}.major`, rule.major, -1),
    minor: numberAt(file, `${path}.minor`, rule.minor, -1),
    access: textAt(file, `${path}.access`, rule.access),
  };
}

function textsAt(file: string, path: string, value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(optionalAt(file, path, value)).map(([key, text]) => [
      key,
      textAt(file, `${path}["${key}"]`, text),
    ]),
  );
}

/** An absent object is an empty one, as in Go's JSON. */
function optionalAt(file: string, path: string, value: unknown): Record<string, unknown> {
  return value === undefined || value === null ? {} : objectAt(file, path, value);
}

function objectAt(file: string, path: string, value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw broken(file, `${path} is not an object`);
}

/** An absent list is an empty one, as in Go's JSON. */
function listAt(file: string, path: string, value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw broken(file, `${path} is not a list`);
}

/** An absent text is an empty one, as in Go's JSON. */
function textAt(file: string, path: string, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  throw broken(file, `${path} is not a string`);
}

function numberAt(file: string, path: string, value: unknown, absent: number): number {
  if (value === undefined || value === null) return absent;
  if (Number.isSafeInteger(value)) return value as number;
  throw broken(file, `${path} is not an integer`);
}

function broken(file: string, cause: unknown): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "parse",
    object: file,
    cause,
    hint: "it must be an OCI runtime spec in JSON",
  });
}

import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { parseExact } from "./json.ts";
import type { OciProcess, OciResources, OciSpec } from "./oci.ts";

/** More than any pod has; a bound for what is done for each of them. */
const LIMIT = { mounts: 1024, devices: 4096, words: 65_536, pageSizes: 64 } as const;

/** Parses an OCI specification and checks the shape of everything the agent looks at. Throws INVALID_ARGUMENT. */
export function parseSpec(bytes: Buffer): OciSpec {
  const spec = parseObject(bytes, "container spec");
  checkProcess(spec.process, "process");
  object(spec.root, "root", true);
  object(spec.annotations, "annotations", true);
  text(spec.domainname, "domainname", true);
  const linux = object(spec.linux, "linux");
  for (const [at, mount] of list(spec.mounts, "mounts", LIMIT.mounts).entries())
    checkMount(mount, `mounts[${at}]`);
  for (const [at, one] of list(linux.namespaces, "linux.namespaces", 16).entries()) {
    const { type, path } = object(one, `linux.namespaces[${at}]`);
    text(type, `linux.namespaces[${at}].type`);
    text(path, `linux.namespaces[${at}].path`, true);
  }
  for (const [at, one] of list(linux.devices, "linux.devices", LIMIT.devices).entries()) {
    const { type, path } = object(one, `linux.devices[${at}]`);
    refuseUnless(
      typeof type === "string" && /^[bcup]$/.test(type),
      `linux.devices[${at}].type`,
      "b, c, u or p",
    );
    absolute(path, `linux.devices[${at}].path`);
  }
  for (const [name, value] of Object.entries(object(linux.sysctl, "linux.sysctl", true)))
    text(value, `linux.sysctl[${JSON.stringify(name.slice(0, 64))}]`);
  checkResources(linux.resources, "linux.resources");
  object(linux.seccomp, "linux.seccomp", true);
  text(linux.mountLabel, "linux.mountLabel", true);
  return spec as OciSpec;
}

/** `process` of a specification, for one more process in a container. */
export function parseProcess(bytes: Buffer): OciProcess {
  const process = parseObject(bytes, "process");
  checkProcess(process, "process");
  return process as OciProcess;
}

/** `linux.resources` of a specification. */
export function parseResources(bytes: Buffer): OciResources {
  const resources = parseObject(bytes, "resources");
  checkResources(resources, "resources");
  return resources as OciResources;
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(bytes: Buffer, what: string): Fields {
  let value: unknown;
  try {
    value = parseExact(bytes.toString("utf8"));
  } catch {
    throw refusal(what, "it is not JSON");
  }
  return object(value, what);
}

function checkProcess(value: unknown, what: string): void {
  const { args, env, cwd, consoleSize } = object(value, what);
  const words = list(args, `${what}.args`, LIMIT.words);
  refuseUnless(words.length > 0, `${what}.args`, "at least the program");
  for (const word of words) text(word, `${what}.args`);
  for (const word of list(env, `${what}.env`, LIMIT.words)) text(word, `${what}.env`);
  absolute(cwd, `${what}.cwd`);
  const { height = 0, width = 0 } = object(consoleSize, `${what}.consoleSize`, true);
  refuseUnless(isSmall(height) && isSmall(width), `${what}.consoleSize`, "0 to 65535");
}

function checkMount(value: unknown, what: string): void {
  const { destination, type, source, options } = object(value, what);
  absolute(destination, `${what}.destination`);
  text(type, `${what}.type`, true);
  text(source, `${what}.source`, true);
  for (const option of list(options, `${what}.options`, 256)) text(option, `${what}.options`);
}

function checkResources(value: unknown, what: string): void {
  const resources = object(value, what, true);
  for (const part of ["memory", "cpu", "unified"]) object(resources[part], `${what}.${part}`, true);
  for (const [at, rule] of list(resources.devices, `${what}.devices`, LIMIT.devices).entries()) {
    const { allow } = object(rule, `${what}.devices[${at}]`);
    refuseUnless(typeof allow === "boolean", `${what}.devices[${at}].allow`, "true or false");
  }
  for (const [at, one] of list(
    resources.hugepageLimits,
    `${what}.hugepageLimits`,
    LIMIT.pageSizes,
  ).entries()) {
    const { pageSize } = object(one, `${what}.hugepageLimits[${at}]`);
    text(pageSize, `${what}.hugepageLimits[${at}].pageSize`);
  }
}

/** A part that may be missing is then empty; Go writes null for what is empty. */
function object(value: unknown, what: string, optional = false): Fields {
  if (optional && (value === undefined || value === null)) return {};
  const right = typeof value === "object" && value !== null && !Array.isArray(value);
  refuseUnless(right, what, "an object");
  return value as Fields;
}

function list(value: unknown, what: string, limit: number): readonly unknown[] {
  if (value === undefined || value === null) return [];
  refuseUnless(Array.isArray(value) && value.length <= limit, what, `a list of at most ${limit}`);
  return value as readonly unknown[];
}

function text(value: unknown, what: string, optional = false): void {
  if (optional && value === undefined) return;
  refuseUnless(typeof value === "string" && !value.includes("\0"), what, "a text");
}

function absolute(value: unknown, what: string): void {
  const right = typeof value === "string" && value.startsWith("/") && !value.includes("\0");
  refuseUnless(right && !value.split("/").includes(".."), what, 'an absolute path without ".."');
}

function isSmall(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 0xffff;
}

function refuseUnless(right: boolean, what: string, wanted: string): void {
  if (!right) throw refusal(what, `it must be ${wanted}`);
}

function refusal(object: string, cause: string): TapirError {
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "accept", object, cause });
}

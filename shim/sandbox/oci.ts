import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

/** The parts of an OCI runtime spec that Tapir reads; all else may be there and is left alone. */
export interface OciSpec {
  readonly hostname: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaces: readonly OciNamespace[];
  readonly mounts: readonly OciMount[];
}

export interface OciNamespace {
  readonly type: string;
  /** "" = a new one is to be made. */
  readonly path: string;
}

export interface OciMount {
  readonly destination: string;
  readonly source: string;
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
  const linux = spec.linux === undefined ? {} : objectAt(file, "linux", spec.linux);
  return {
    hostname: textAt(file, "hostname", spec.hostname),
    annotations: Object.fromEntries(
      Object.entries(spec.annotations == null ? {} : objectAt(file, "annotations", spec.annotations)).map(
        ([key, value]) => [key, textAt(file, `annotations["${key}"]`, value)],
      ),
    ),
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
        source: textAt(file, `${path}.source`, mount.source),
      };
    }),
  };
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

function broken(file: string, cause: unknown): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "parse",
    object: file,
    cause,
    hint: "it must be an OCI runtime spec in JSON",
  });
}

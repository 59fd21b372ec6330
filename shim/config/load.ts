import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import type { Value } from "./key.ts";
import { parseConfiguration } from "./parse.ts";
import { assemble, type Configuration } from "./schema.ts";

/** A complete configuration and where each value came from. */
export interface LoadedConfiguration {
  readonly configuration: Configuration;
  /** The files read, in the order in which they were merged; none: built-in defaults only. */
  readonly files: readonly string[];
  /** Every value that is not a built-in default, by key path. */
  readonly values: ReadonlyMap<string, Value>;
  /** File or annotation that set a value, by key path. */
  readonly origins: ReadonlyMap<string, string>;
}

export interface ConfigurationSource {
  /** ConfigPath of the runtime options in the Create request; "" counts as not given. */
  readonly optionsPath?: string;
  /** Where TAPIR_CONFIG is looked up. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The operator's and the package's file. */
  readonly searchPath?: readonly [operator: string, packaged: string];
}

const defaultSearchPath = [
  "/etc/tapir/configuration.toml",
  "/usr/share/defaults/tapir/configuration.toml",
] as const;

const maximumBytes = 1024 * 1024;

/**
 * Loads the configuration: the file of the runtime options, else of TAPIR_CONFIG, else the operator's, else the
 * package's, else built-in defaults; then the drop-ins `config.d/*.toml` beside it in the order of their names.
 * The operator's drop-ins also change a package's file and the built-in defaults. A list is replaced, never extended.
 * Throws INVALID_ARGUMENT for what is wrong in a file, NOT_FOUND for a file that was named and is not there.
 */
export function loadConfiguration(source: ConfigurationSource = {}): LoadedConfiguration {
  const values = new Map<string, Value>();
  const origins = new Map<string, string>();
  const files: string[] = [];
  for (const { file, text } of texts(source)) {
    files.push(file);
    for (const [path, value] of parseConfiguration(text, file)) {
      values.set(path, value);
      origins.set(path, file);
    }
  }
  return { configuration: assemble(values), files, values, origins };
}

interface ConfigurationText {
  readonly file: string;
  readonly text: string;
}

function texts(source: ConfigurationSource): ConfigurationText[] {
  const named = namedFile(source);
  if (named !== undefined) {
    const text = readText(named.file);
    if (text === undefined) throw missing(named.file, named.by);
    return [{ file: named.file, text }, ...dropIns(dirname(named.file))];
  }
  const [operator, packaged] = source.searchPath ?? defaultSearchPath;
  const operatorText = readText(operator);
  if (operatorText !== undefined)
    return [{ file: operator, text: operatorText }, ...dropIns(dirname(operator))];
  const packagedText = readText(packaged);
  const below =
    packagedText === undefined ? [] : [{ file: packaged, text: packagedText }, ...dropIns(dirname(packaged))];
  return [...below, ...dropIns(dirname(operator))];
}

function namedFile(source: ConfigurationSource): { file: string; by: string } | undefined {
  const environment = source.environment ?? process.env;
  const candidates = [
    { file: source.optionsPath ?? "", by: "ConfigPath of the runtime options" },
    { file: environment.TAPIR_CONFIG ?? "", by: "environment variable TAPIR_CONFIG" },
  ];
  const named = candidates.find(({ file }) => file !== "");
  if (named !== undefined && !isAbsolute(named.file)) {
    throw new TapirError({
      code: Code.INVALID_ARGUMENT,
      operation: "use",
      object: `configuration "${named.file}"`,
      cause: `the ${named.by} is not an absolute path`,
    });
  }
  return named;
}

function dropIns(directory: string): ConfigurationText[] {
  const place = join(directory, "config.d");
  return dropInNames(place).flatMap((name) => {
    const file = join(place, name);
    const text = readText(file);
    // Gone since the directory was listed: as if it had never been there.
    return text === undefined ? [] : [{ file, text }];
  });
}

function dropInNames(place: string): string[] {
  try {
    return readdirSync(place)
      .filter((name) => name.endsWith(".toml") && !name.startsWith("."))
      .sort();
  } catch (thrown) {
    if (errnoOf(thrown) === "ENOENT") return [];
    throw wrapError(thrown, { operation: "list", object: `configuration directory ${place}` });
  }
}

/** The text of a file, undefined when there is none. Never blocks on a fifo, never reads without a limit. */
function readText(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (thrown) {
    if (errnoOf(thrown) === "ENOENT") return undefined;
    throw wrapError(thrown, { operation: "read", object: `configuration ${file}` });
  }
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw unreadable(file, "it is not a regular file");
    if (status.size > maximumBytes) throw unreadable(file, `it is larger than ${maximumBytes} bytes`);
    return decode(readFileSync(fd), file);
  } finally {
    closeSync(fd);
  }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw unreadable(file, "it is not UTF-8 text");
  }
}

function unreadable(file: string, cause: string): TapirError {
  return new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "read",
    object: `configuration ${file}`,
    cause,
  });
}

function missing(file: string, by: string): TapirError {
  return new TapirError({
    code: Code.NOT_FOUND,
    operation: "read",
    object: `configuration ${file}`,
    cause: `the file that the ${by} names does not exist`,
    errno: "ENOENT",
  });
}

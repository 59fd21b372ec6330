import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";

/** What the shim binary was called to do. */
export type Command = "start" | "delete" | "warm" | "version" | "info";

/** One call of the binary, as containerd's flags say it. Absent texts are empty. */
export interface Invocation {
  readonly command: Command;
  /** Container id. */
  readonly id: string;
  readonly namespace: string;
  /** containerd's gRPC socket. */
  readonly address: string;
  /** Only `delete` names it; the working directory is the bundle otherwise. */
  readonly bundle: string;
  readonly debug: boolean;
}

const TEXT_FLAGS = ["namespace", "address", "publish-binary", "id", "bundle"] as const;
const SWITCHES = ["debug", "v", "info"] as const;
type TextFlag = (typeof TEXT_FLAGS)[number];
type Switch = (typeof SWITCHES)[number];

/**
 * Parses flags in Go's manner (package flag): `-id x`, `--id=x`, `-debug`, up to the first word that is no flag,
 * which is the command. Throws INVALID_ARGUMENT, one sentence.
 */
export function parseArguments(argv: readonly string[]): Invocation {
  const texts: Partial<Record<TextFlag, string>> = {};
  const switches = new Set<Switch>();
  let index = 0;
  for (; index < argv.length; index++) {
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argv[index] ?? "");
    const name = match?.[1];
    if (name === undefined) break;
    let value = match?.[2];
    if (isSwitch(name)) {
      if (value === undefined || ["1", "t", "true"].includes(value.toLowerCase())) switches.add(name);
    } else if (isTextFlag(name)) {
      value ??= argv[++index];
      if (value === undefined) throw refusal(`flag -${name}`, "it needs a value");
      texts[name] = value;
    } else {
      throw refusal(`flag -${name}`, "it is not known");
    }
  }
  return {
    command: commandOf(argv[index], switches),
    id: texts.id ?? "",
    namespace: texts.namespace ?? "",
    address: texts.address ?? "",
    bundle: texts.bundle ?? "",
    debug: switches.has("debug"),
  };
}

function commandOf(word: string | undefined, switches: ReadonlySet<Switch>): Command {
  if (switches.has("v")) return "version";
  if (switches.has("info")) return "info";
  if (word === "start" || word === "delete" || word === "warm") return word;
  const hint = "containerd calls start or delete";
  if (word === undefined) throw refusal("the command", "none is given", hint);
  throw refusal(`command ${JSON.stringify(word)}`, "it is not known", hint);
}

function refusal(object: string, cause: string, hint?: string): TapirError {
  const details = { code: Code.INVALID_ARGUMENT, operation: "use", object, cause };
  return new TapirError(hint === undefined ? details : { ...details, hint });
}

function isTextFlag(name: string): name is TextFlag {
  return TEXT_FLAGS.some((flag) => flag === name);
}

function isSwitch(name: string): name is Switch {
  return SWITCHES.some((flag) => flag === name);
}

/** Throws unless namespace and id are words that may become parts of a path (containerd's identifiers package). */
export function requireIdentity(invocation: Invocation): void {
  for (const name of ["namespace", "id"] as const) {
    const value = invocation[name];
    if (value === "") throw refusal(`flag -${name}`, "it is missing");
    if (!isIdentifier(value))
      throw refusal(`flag -${name}`, `${JSON.stringify(value)} is no containerd identifier`);
  }
}

/** Letters and digits, with single ".", "_" and "-" between them, up to 76 characters. */
export function isIdentifier(value: string): boolean {
  return value.length <= 76 && /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/.test(value);
}

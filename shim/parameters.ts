import { fstatSync, readFileSync } from "node:fs";
import { Socket } from "node:net";
import { TapirError } from "../sys/error.ts";
import { Code } from "../sys/status.ts";
import type { Invocation } from "./bootstrap.ts";

/** How the caller of `start` reads the answer. */
export type AnswerForm =
  /** containerd 1.6: the address. */
  | "text"
  /** containerd 1.7 to 2.2. */
  | "json"
  /** containerd 2.3 and later. */
  | "protobuf";

/** What `start` needs to know, whichever way it was told. */
export interface StartParameters {
  readonly id: string;
  readonly namespace: string;
  /** containerd's gRPC socket: tells apart the containerds of a machine. */
  readonly address: string;
  /** Where events go; "" = nowhere (CRI-O). */
  readonly ttrpcAddress: string;
  readonly debug: boolean;
  /** "" = the usual one. */
  readonly socketDirectory: string;
  readonly answer: AnswerForm;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Joins flags, environment and what stands on stdin. Up to containerd 2.2 stdin is empty or holds the runtime options,
 * which come again with Create; from 2.3 on it holds everything and flags may be missing.
 */
export async function readParameters(
  invocation: Invocation,
  environment: Environment,
  stdin: Uint8Array,
): Promise<StartParameters> {
  const byFlags: StartParameters = {
    id: invocation.id,
    namespace: invocation.namespace || (environment.NAMESPACE ?? ""),
    address: invocation.address || (environment.GRPC_ADDRESS ?? ""),
    ttrpcAddress: environment.TTRPC_ADDRESS ?? "",
    debug: invocation.debug,
    socketDirectory: environment.TAPIR_SOCKET_DIR ?? "",
    answer: Number(environment.MAX_SHIM_VERSION) >= 2 ? "json" : "text",
  };
  if (stdin.length === 0) return byFlags;
  const params = await decodeBootstrap(stdin);
  // Runtime options have their type's name in the id's place.
  if (params === undefined || params.instanceId === "" || params.namespace === "") return byFlags;
  if (byFlags.id !== "" && params.instanceId !== byFlags.id) return byFlags;
  return {
    id: params.instanceId,
    namespace: params.namespace,
    address: params.containerdGrpcAddress || byFlags.address,
    ttrpcAddress: params.containerdTtrpcAddress || byFlags.ttrpcAddress,
    debug: params.logLevel < 0 || byFlags.debug,
    socketDirectory: params.socketDir || byFlags.socketDirectory,
    answer: "protobuf",
  };
}

async function decodeBootstrap(stdin: Uint8Array) {
  const { BootstrapParams } = await import("../proto/gen/containerd/runtime/bootstrap.ts");
  try {
    return BootstrapParams.decode(stdin);
  } catch {
    return undefined;
  }
}

/** The answer of `start` on stdout. */
export async function encodeAnswer(form: AnswerForm, address: string): Promise<string | Uint8Array> {
  // 2, not 3: version 3 would promise streaming I/O and the sandbox API. The messages are the same.
  const result = { version: 2, address, protocol: "ttrpc" };
  if (form === "text") return address;
  if (form === "json") return JSON.stringify(result);
  const { BootstrapResult } = await import("../proto/gen/containerd/runtime/bootstrap.ts");
  return BootstrapResult.encode({ ...result, metadata: {} }).finish();
}

/** containerd's own limit. */
const MAX_STDIN_BYTES = 10 << 20;
/** A pipe that somebody holds open without writing must not hold up the pod. */
const STDIN_TIMEOUT_MS = 1000;

/** All of stdin, if something is to be expected there: /dev/null, a terminal or a closed one give nothing at once. */
export async function readStdin(fd = 0, timeoutMs = STDIN_TIMEOUT_MS): Promise<Uint8Array> {
  const kind = kindOf(fd);
  if (kind === "nothing") return new Uint8Array(0);
  if (kind === "file") return readFileSync(fd);
  const chunks: Uint8Array[] = [];
  let total = 0;
  // Not fs.read: a thread that waits for a pipe keeps the process from ending.
  const stream = new Socket({ fd, readable: true, writable: false });
  const timer = setTimeout(() => stream.destroy(), timeoutMs);
  await new Promise<void>((resolve) => {
    stream.on("data", (chunk: Uint8Array) => {
      total += chunk.length;
      chunks.push(chunk);
      if (total > MAX_STDIN_BYTES) stream.destroy();
    });
    // What cannot be read counts as absent: the flags say enough.
    stream.on("error", () => undefined);
    stream.on("close", () => resolve());
    stream.on("end", () => stream.destroy());
  });
  clearTimeout(timer);
  if (total > MAX_STDIN_BYTES) {
    const cause = `they are over ${MAX_STDIN_BYTES} bytes`;
    const object = "parameters on stdin";
    throw new TapirError({ code: Code.INVALID_ARGUMENT, operation: "read", object, cause });
  }
  return Buffer.concat(chunks);
}

function kindOf(fd: number): "stream" | "file" | "nothing" {
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return "file";
    return stat.isFIFO() || stat.isSocket() ? "stream" : "nothing";
  } catch {
    return "nothing";
  }
}

import type { Socket } from "node:net";
import { TapirError } from "../sys/error.ts";
import { identify } from "../sys/identity.ts";
import { Code } from "../sys/status.ts";
import { adjustOomScore, answer } from "./answer.ts";
import { type Invocation, requireIdentity } from "./bootstrap.ts";
import { addressFile, shimIdentityFile, shimPidFile } from "./bundle-files.ts";
import { encodeAnswer, readParameters, readStdin } from "./parameters.ts";
import { podGroup } from "./sandbox/group.ts";
import { readOciSpec } from "./sandbox/oci.ts";
import type { Serving } from "./serve.ts";
import { answers, listenUnlessServed, SOCKET_DIRECTORY, socketPath } from "./socket.ts";

/**
 * `start`, run in the bundle: prints the address of the shim that serves this container. The first one of a pod is that
 * shim: it answers as soon as it listens, lets the launcher end, and stays.
 */
export async function start(invocation: Invocation): Promise<void> {
  const bundle = process.cwd();
  const parameters = await readParameters(invocation, process.env, await readStdin());
  requireIdentity({ ...invocation, ...parameters });
  const { id, namespace, address: containerd } = parameters;
  const group = podGroup(id, readOciSpec(bundle).annotations);
  const path = socketPath(
    parameters.socketDirectory || SOCKET_DIRECTORY,
    containerd,
    namespace,
    group.sandboxId,
  );
  const server = group.kind === "container" ? undefined : await listenUnlessServed(path);
  if (group.kind === "container" && !(await answers(path))) {
    throw new TapirError({
      code: Code.FAILED_PRECONDITION,
      operation: "start",
      object: `container ${id}`,
      cause: `the shim of its sandbox ${group.sandboxId} is not running`,
      hint: "remove the pod",
    });
  }
  const address = `unix://${path}`;
  addressFile.write(bundle, address);
  const text = await encodeAnswer(parameters.answer, address);
  if (server !== undefined) return stay({ ...parameters, bundle, socket: path, server }, text);
  answer(text);
  process.exit(0);
}

/** containerd may connect from the answer on; the code that serves it is loaded meanwhile. */
async function stay(serving: Serving, text: string | Uint8Array): Promise<void> {
  const { server, bundle } = serving;
  const early: Socket[] = [];
  const keep = (connection: Socket): void => void early.push(connection);
  server.on("connection", keep);
  noteShim(bundle);
  answer(text);
  const { serve } = await import("./serve.ts");
  const accept = serve(serving);
  server.off("connection", keep);
  server.on("connection", accept);
  early.forEach(accept);
}

function noteShim(bundle: string): void {
  const identity = identify(process.pid);
  if (identity === undefined) {
    const object = "this process in /proc";
    throw new TapirError({ code: Code.FAILED_PRECONDITION, operation: "find", object, hint: "mount it" });
  }
  shimPidFile.write(bundle, String(identity.pid));
  shimIdentityFile.write(bundle, identity);
  adjustOomScore();
}

import { rmSync } from "node:fs";
import { TapirError } from "./error.ts";
import { receiveDescriptors } from "./fdpass.ts";
import { check, libc } from "./libc.ts";
import { Code } from "./status.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
/** sun_path of unix(7), with its terminating zero. */
const PATH_BYTES = 108;

/** A socket to which a program connects to hand over one descriptor: the OCI runtimes' `--console-socket`. */
export interface ConsoleSocket extends Disposable {
  readonly path: string;
  /** The descriptor that was sent; for after the program ended, so nothing waits. Close-on-exec, the caller's. */
  receive(): number;
}

export function listenForConsole(path: string): ConsoleSocket {
  const name = Buffer.from(path);
  if (name.length >= PATH_BYTES)
    throw refusal(Code.INVALID_ARGUMENT, "listen on", path, `its path is over ${PATH_BYTES - 1} bytes`);
  const listener = check(
    libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
    "create",
    `socket ${path}`,
  );
  const address = Buffer.alloc(2 + name.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  try {
    check(libc.bind(listener, address, address.length), "bind", `socket ${path}`);
    check(libc.listen(listener, 1), "listen on", `socket ${path}`);
  } catch (error) {
    libc.close(listener);
    throw error;
  }
  return {
    path,
    receive() {
      const connection = check(libc.accept4(listener, null, null, SOCK_CLOEXEC), "accept from", path);
      try {
        const { descriptors } = receiveDescriptors(connection, 64, 1);
        const [descriptor] = descriptors;
        if (descriptor === undefined)
          throw refusal(Code.FAILED_PRECONDITION, "receive from", path, "no descriptor came");
        return descriptor;
      } finally {
        libc.close(connection);
      }
    },
    [Symbol.dispose]() {
      libc.close(listener);
      rmSync(path, { force: true });
    },
  };
}

function refusal(code: Code, operation: string, path: string, cause: string): TapirError {
  return new TapirError({ code, operation, object: `socket ${path}`, cause });
}

import { closeSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Deadline } from "../../../sys/deadline.ts";
import { errnoOf, TapirError } from "../../../sys/error.ts";
import { closeAll, receiveDescriptors } from "../../../sys/fdpass.ts";
import type { Ledger } from "../../../sys/ledger.ts";
import { becomesReadable } from "../../../sys/readable.ts";
import { Code } from "../../../sys/status.ts";
import { connectUnix, peerOf } from "../../../sys/unix-socket.ts";
import type { VmPlan } from "../../hypervisor.ts";
import { adoptVm } from "../../qemu/adopt-vm.ts";
import type { QemuVm, VmDescriptors } from "../../qemu/vm.ts";
import type { MemoryMode, RestoredVm } from "../restore.ts";
import { resumeGuest } from "../resume-guest.ts";
import { cacheKey, freeRootPorts } from "./key.ts";
import { hungUp } from "./line-reader.ts";
import {
  decodeOffer,
  encodeLine,
  expectLine,
  MAX_LINE_BYTES,
  type OfferedClone,
  splitLine,
  TAKEN,
  YOURS,
} from "./message.ts";

export interface TakeRequest {
  readonly socket: string;
  readonly plan: VmPlan;
  readonly memory: MemoryMode;
}

/** The server answers in a few milliseconds, or is busy with something else and not worth waiting for. */
const TAKE_MS = 1000;
const DESCRIPTORS = 3;

/**
 * Takes a VM over from the cache server and lets its guest run; it has no NIC. Undefined when the server has none that fits.
 * Errors: there is no server, or the hand-over failed; nothing is left of it then.
 */
export async function takeClone(
  { socket, plan, memory }: TakeRequest,
  ledger: Ledger,
  deadline: Deadline,
): Promise<RestoredVm | undefined> {
  const limit = deadline.within(TAKE_MS, `take VM ${plan.name} from the cache`);
  const connection = connectUnix(socket);
  try {
    const { uid } = peerOf(connection);
    if (uid !== process.geteuid?.()) throw strangeServer(socket, uid);
    send(connection, encodeLine({ take: cacheKey(plan, memory) }));
    const offer = await receiveOffer(connection, limit);
    if (offer === undefined) return undefined;
    const { clone, descriptors } = offer;
    // First of all, so that it goes last: the server's ledger of the clone is in it.
    const directory = await ledger
      .acquire("cache.clone", { kind: "directory", path: clone.directory }, () => undefined)
      .catch((error: unknown) => {
        closeAll(Object.values(descriptors));
        throw error;
      });
    try {
      const vm = await adopt({ plan, memory, clone, descriptors, connection }, ledger, limit);
      return await resume(vm, clone, deadline);
    } finally {
      await directory.release();
    }
  } finally {
    closeSync(connection);
  }
}

interface Adoption {
  readonly plan: VmPlan;
  readonly memory: MemoryMode;
  readonly clone: OfferedClone;
  readonly descriptors: VmDescriptors;
  readonly connection: number;
}

function adopt(
  { plan, memory, clone, descriptors, connection }: Adoption,
  ledger: Ledger,
  deadline: Deadline,
): Promise<QemuVm> {
  const { pid, startTime, token, qemuVersion } = clone;
  const spec = { ...plan, rootPorts: freeRootPorts(plan), nics: [] };
  const sharedMemory = memory === "copy";
  const ceded = { identity: { pid, startTime }, token, qemuVersion, sharedMemory, descriptors };
  const claim = async (agentSocket: string): Promise<void> => {
    send(connection, encodeLine(TAKEN));
    // Without this word the server's next start would kill what it still knows.
    expectLine((await receiveLine(connection, 0, deadline)).line, YOURS);
    renameSync(join(clone.directory, "agent.sock"), agentSocket);
  };
  return adoptVm(spec, ceded, claim, ledger, deadline);
}

async function resume(vm: QemuVm, clone: OfferedClone, deadline: Deadline): Promise<RestoredVm> {
  try {
    const clock = await resumeGuest(vm, BigInt(clone.monotonicNanoseconds), deadline);
    return { ...vm, restored: { hardwareMacs: new Map(), clock } };
  } catch (error) {
    await vm.stop(deadline).catch(() => undefined);
    throw error;
  }
}

/** A few bytes: a socket's buffer holds them. */
function send(connection: number, line: Buffer): void {
  try {
    writeSync(connection, line);
  } catch (error) {
    throw errnoOf(error) === "EPIPE" ? hungUp() : error;
  }
}

async function receiveOffer(
  connection: number,
  deadline: Deadline,
): Promise<{ clone: OfferedClone; descriptors: VmDescriptors } | undefined> {
  const { line, descriptors: fds } = await receiveLine(connection, DESCRIPTORS, deadline);
  try {
    const offer = decodeOffer(line);
    const [monitor, console, stderr, ...more] = fds;
    if ("none" in offer) {
      closeAll(fds);
      return undefined;
    }
    if (monitor === undefined || console === undefined || stderr === undefined || more.length > 0)
      throw hungUp();
    return { clone: offer.clone, descriptors: { monitor, console, stderr } };
  } catch (error) {
    closeAll(fds);
    throw error;
  }
}

/** One line and what descriptors come with it, which are the caller's. */
async function receiveLine(
  connection: number,
  count: number,
  deadline: Deadline,
): Promise<{ line: string; descriptors: number[] }> {
  let bytes: Buffer = Buffer.alloc(0);
  const descriptors: number[] = [];
  try {
    for (;;) {
      const split = splitLine(bytes);
      if (split !== undefined) return { line: split.line, descriptors };
      if (!(await becomesReadable(connection, deadline))) deadline.signal.throwIfAborted();
      const received = receiveDescriptors(connection, MAX_LINE_BYTES, count);
      descriptors.push(...received.descriptors);
      if (received.bytes.length === 0) throw hungUp();
      bytes = Buffer.concat([bytes, received.bytes]);
    }
  } catch (error) {
    closeAll(descriptors);
    throw error;
  }
}

function strangeServer(socket: string, uid: number): TapirError {
  return new TapirError({
    code: Code.PERMISSION_DENIED,
    operation: "take a VM from",
    object: socket,
    cause: `its server belongs to user ${uid}`,
    hint: "set factory.cache_socket to the socket of tapir factory serve",
  });
}

import type { Deadline } from "../../sys/deadline.ts";
import type { QmpClient } from "../qmp/client.ts";
import { shareDevice } from "./devices.ts";
import type { DeviceKind } from "./hotplug.ts";
import { closeNamed, type Plugging, plugInSteps } from "./plugging.ts";
import { releaseDevice, unlessGone } from "./release-device.ts";

/** A share whose server is at the other end of a connected socket. */
export interface VhostUserShare {
  /** QEMU id, unique within the VM: letters, digits, "-". */
  readonly id: string;
  /** By which the guest mounts it: 1 to 36 bytes. */
  readonly tag: string;
  readonly socketFd: number;
}

const MAX_TAG_BYTES = 36;

/** Shared folders: a chardev on the server's socket, and a vhost-user-fs device. */
export const shareKind: DeviceKind<VhostUserShare> = {
  name: "share",
  faultOf({ tag }) {
    const bytes = Buffer.byteLength(tag);
    return bytes >= 1 && bytes <= MAX_TAG_BYTES
      ? undefined
      : `its tag has ${bytes} bytes, not 1 to ${MAX_TAG_BYTES}`;
  },
  plug: plugShare,
  async unplug(qmp, id, deadline) {
    await releaseDevice(qmp, id, deadline);
    // Hangs up on the server, which ends it.
    await unlessGone(qmp.execute("chardev-remove", { id: chardevOf(id) }, deadline));
  },
};

/** `device_add` waits for the server: QEMU's monitor answers nobody meanwhile, the guest runs on. */
async function plugShare(
  qmp: QmpClient,
  { id, tag, socketFd }: VhostUserShare,
  port: string,
  deadline: Deadline,
): Promise<Plugging> {
  const fdname = `share-${id}`;
  const chardev = chardevOf(id);
  const addr = { type: "fd", data: { str: fdname } } as const;
  const steps = async (): Promise<void> => {
    await qmp.execute("getfd", { fdname }, deadline, [socketFd]);
    const backend = { type: "socket", data: { addr, server: false } } as const;
    await qmp.execute("chardev-add", { id: chardev, backend }, deadline);
    await qmp.execute("device_add", shareDevice({ id, chardev, tag, port }), deadline);
  };
  return plugInSteps(id, [fdname], steps, async (limit) => {
    // What did not come so far is not there to be removed.
    await qmp.execute("chardev-remove", { id: chardev }, limit).catch(() => undefined);
    await closeNamed(qmp, [fdname], limit);
  });
}

function chardevOf(share: string): string {
  return `${share}-chardev`;
}

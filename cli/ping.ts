import { pingFromGuest } from "./management-client.ts";
import { findSandbox } from "./sandboxes.ts";

/** How long the guest waits for an answer, in milliseconds. */
const WAIT_MS = 10_000;

/** `tapir ping`: does the pod reach this address? */
export async function pingFromPod(prefix: string, address: string): Promise<void> {
  const milliseconds = await pingFromGuest(findSandbox(prefix).directory, address, WAIT_MS);
  process.stdout.write(`${address} answered in ${milliseconds.toFixed(1)} ms\n`);
}

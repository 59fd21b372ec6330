import { check, libc } from "../../sys/libc.ts";

export function setHostname(hostname: string): void {
  check(libc.sethostname(hostname, Buffer.byteLength(hostname)), "set hostname", hostname);
}

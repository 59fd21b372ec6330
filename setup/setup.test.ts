// Requires root: most refusals come after the question for it.
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "ava";

const SCRIPT = join(import.meta.dirname, "setup.sh");

function refusal(
  command: string,
  args: readonly string[],
  env = process.env,
): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { env, timeout: 20_000 }, (error, _stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stderr });
    });
  });
}

test("without root it says so, and does nothing", async (t) => {
  const { code, stderr } = await refusal("setpriv", ["--reuid=65534", "--clear-groups", "sh", SCRIPT]);
  t.is(code, 1);
  t.regex(stderr, /^setup: not root; .* as root \(sudo\)\.\n$/);
});

test("without /dev/net/tun it names the module and the container's way", async (t) => {
  const { code, stderr } = await refusal("unshare", [
    "-m",
    "sh",
    "-c",
    `mount -t tmpfs none /dev/net && sh ${SCRIPT}`,
  ]);
  t.is(code, 1);
  t.regex(stderr, /^setup: \/dev\/net\/tun is not there; .*modprobe tun.*--device \/dev\/net\/tun\)\.\n$/);
});

test("without apt it names the system it knows", async (t) => {
  const { code, stderr } = await refusal("unshare", [
    "-m",
    "sh",
    "-c",
    `mount -t tmpfs none /etc && sh ${SCRIPT}`,
  ]);
  t.is(code, 1);
  t.regex(stderr, /^setup: no apt-get here; .*Debian 12 machine.*\n$/);
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { identify, readProc } from "./identity.ts";
import { adoptOrphans, childrenOfSelf, reap } from "./orphans.ts";
import { waitForExit } from "./process.ts";

const reaper = adoptOrphans();
test.after.always(() => reaper[Symbol.dispose]());

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error("it never happened");
}

/** Starts a shell that leaves `count` orphans behind, each ending by itself. */
async function leaveOrphans(count: number): Promise<number | null> {
  const shell = spawn("sh", ["-c", `for i in $(seq ${count}); do (sleep 0.1 &); done; exit 7`]);
  const [code] = (await once(shell, "exit")) as [number | null];
  return code;
}

test.serial("orphans are reaped, Node's own children keep their exit code", async (t) => {
  const codes = await Promise.all(Array.from({ length: 5 }, () => leaveOrphans(4)));
  t.deepEqual(codes, [7, 7, 7, 7, 7]);
  await until(() => childrenOfSelf().length === 0);
  t.deepEqual(childrenOfSelf(), []);
});

test.serial("a child that lives is left alone", async (t) => {
  const child = spawn("sleep", ["60"]);
  t.deepEqual(reap(), []);
  child.kill();
  const [, signal] = (await once(child, "exit")) as [number | null, string];
  t.is(signal, "SIGTERM");
});

test.serial("an ended child of Node's is never taken", async (t) => {
  const child = spawn("true");
  // The event loop stands still meanwhile: libuv cannot have reaped it before.
  const end = Date.now() + 300;
  while (Date.now() < end);
  t.deepEqual(reap(), []);
  const [code] = (await once(child, "exit")) as [number];
  t.is(code, 0);
});

test.serial("a program that is not there is an error of its starter, as ever", async (t) => {
  const [error] = (await once(spawn("/no/such/program"), "error")) as [NodeJS.ErrnoException];
  t.is(error.code, "ENOENT");
});

test.serial("pids that are no children are passed over", (t) => {
  t.deepEqual(
    reap(() => [1, 2 ** 22 - 1]),
    [],
  );
});

test.serial(
  "an orphan comes to this process and is reaped; Node still learns how its own children end",
  async (t) => {
    // The shell starts a process in the background and leaves: an orphan that prints its pid.
    const shell = spawn("sh", ["-c", "exec 3<&0; cat <&3 > /dev/null & echo $!; exit 7"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    let output = "";
    shell.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    const [code] = await once(shell, "exit");
    t.is(code, 7);
    const orphan = Number(output.trim());
    t.regex(readProc(`/proc/${orphan}/status`) ?? "", new RegExp(`^PPid:\\t${process.pid}$`, "m"));
    const identity = identify(orphan);
    shell.stdin.end();
    if (identity !== undefined) await waitForExit(identity, deadlineIn(60_000, "wait for the orphan"));
    // The signal's handler runs in this turn or a next one.
    while (readProc(`/proc/${orphan}/stat`) !== undefined) await new Promise(setImmediate);
    const results = await Promise.all(
      [0, 1, 2, 3].map((exit) =>
        once(spawn("sh", ["-c", `exit ${exit}`]), "exit").then(([status]) => status),
      ),
    );
    t.deepEqual(results, [0, 1, 2, 3]);
  },
);

test.serial(
  "a program that is not there, and whose starter does not listen, is as loud as ever",
  async (t) => {
    const script = `
    import { spawn } from "node:child_process";
    import { adoptOrphans } from ${JSON.stringify(join(import.meta.dirname, "orphans.ts"))};
    adoptOrphans();
    spawn("/no/such/program");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const [code] = (await once(child, "close")) as [number | null];
    t.is(code, 1);
    t.regex(said, /ENOENT/);
  },
);

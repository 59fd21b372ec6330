import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";
import { deadlineIn } from "./deadline.ts";
import { identify, readProc } from "./identity.ts";
import { adoptOrphans } from "./orphans.ts";
import { waitForExit } from "./process.ts";

test("an orphan comes to this process and is reaped; Node still learns how its own children end", async (t) => {
  adoptOrphans();
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
    [0, 1, 2, 3].map((exit) => once(spawn("sh", ["-c", `exit ${exit}`]), "exit").then(([status]) => status)),
  );
  t.deepEqual(results, [0, 1, 2, 3]);
});

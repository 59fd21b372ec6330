import test from "ava";
import { commandFailure } from "./command-failure.ts";

test("what crun 1.8 says about commands, and what a shell would answer", (t) => {
  const messages: [string, number][] = [
    ["executable file `nope` not found in $PATH: No such file or directory", 127],
    ["open executable: Permission denied", 126],
    ["open executable: Operation not permitted", 126],
    ["exec container process `/garbage`: Exec format error", 126],
    ["exec container process (missing dynamic library?) `/script`: No such file or directory", 127],
    ["exec: Exec format error", 126],
    ["chdir `/nodir`: No such file or directory", 127],
    ["chdir `/root`: Permission denied", 126],
  ];
  for (const [reason, exitStatus] of messages) t.deepEqual(commandFailure(reason), { exitStatus, reason });
});

test("everything else is no matter of the command", (t) => {
  for (const message of [
    "",
    "the container `c1` is not running",
    "mount `x` to `y`: No such file or directory",
  ])
    t.is(commandFailure(message), undefined, message);
});

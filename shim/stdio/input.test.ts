import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { Code } from "../../sys/status.ts";
import { openFifoInput } from "./input.ts";

function place(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "input-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** How many descriptors of this process lead below `directory`. */
function openBelow(directory: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      // That of the list itself is closed by now.
      return false;
    }
  }).length;
}

test("a fifo is read while clients come and go, to the end that was allowed", async (t) => {
  const directory = place(t);
  const path = join(directory, "stdin");
  execFileSync("mkfifo", [path]);
  const input = openFifoInput(path);
  const text: string[] = [];
  const reading = (async () => {
    for await (const chunk of input.chunks()) text.push(chunk.toString());
  })();
  for (const word of ["one", "two"]) execFileSync("sh", ["-c", `printf ${word} > ${path}`]);
  const last = openSync(path, "w");
  writeSync(last, "three");
  input.allowEnd();
  closeSync(last);
  await reading;
  input.close();
  t.is(text.join(""), "onetwothree");
});

test("what is no fifo is refused by name, and nothing of it stays open", (t) => {
  const directory = place(t);
  const file = join(directory, "file");
  writeFileSync(file, "content");
  const refusal = { code: Code.INVALID_ARGUMENT, message: /^cannot open .*: it is no fifo/ };
  for (const path of [file, directory]) t.throws(() => openFifoInput(path), refusal, path);
  t.throws(() => openFifoInput("/dev/null"), refusal);
  t.throws(() => openFifoInput(join(directory, "none")), { message: /cannot open .*none: / });
  t.is(openBelow(directory), 0);
});

import test from "ava";
import { TaskDefinition } from "../../proto/gen/containerd/task/task.ts";
import { codeOf } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { handlersOf } from "./handlers.ts";

const { methods } = TaskDefinition;
const call = { method: "", signal: new AbortController().signal, timeoutMs: undefined, metadata: [] };

test("every request is heard of once it is answered: its time, and why it failed", async (t) => {
  const heard: { method: string; failed: unknown }[] = [];
  const handlers = handlersOf(
    methods,
    {
      async start() {
        return { pid: 7 };
      },
      async kill() {
        throw new Error("busy");
      },
    },
    {
      onAnswered(method, milliseconds, error) {
        t.true(milliseconds >= 0 && milliseconds < 10_000);
        heard.push({ method, failed: error instanceof Error ? error.message : error });
      },
    },
  );
  const answer = await handlers.Start?.(new Uint8Array(0), call);
  t.is(methods.start.responseType.decode(answer ?? new Uint8Array(0)).pid, 7);
  await t.throwsAsync(async () => handlers.Kill?.(new Uint8Array(0), call), { message: "busy" });
  const undecodable = await t.throwsAsync(async () => handlers.Start?.(Buffer.from("0aff", "hex"), call));
  t.is(codeOf(undecodable), Code.INVALID_ARGUMENT);
  await t.throwsAsync(async () => handlers.Wait?.(new Uint8Array(0), call));
  t.deepEqual(
    heard.map(({ method }) => method),
    ["Start", "Kill", "Start", "Wait"],
  );
  t.deepEqual(heard.slice(0, 2), [
    { method: "Start", failed: undefined },
    { method: "Kill", failed: "busy" },
  ]);
  t.regex(String(heard[2]?.failed), /cannot decode Start request/);
});

// Requires root, containerd, runc, CNI plugins, what the set-up puts below build/, and Go for critest itself.
import { parseArgs } from "node:util";
import { setUpCritest } from "../../setup/critest.ts";
import { reasonOf } from "../../sys/error.ts";
import { removeTemplate } from "../harness/template.ts";
import { type CritestOptions, DEFAULTS, HANDLERS, runCritest } from "./critest.ts";

const USAGE = `node test/critest/run.ts [runc] [tapir] [--procs N] [--focus REGEX] [--minutes N]
Runs critest with the handlers named (both without one) and compares; a handler that is not named is compared with
its last run. N minutes are for all of it.
`;

function readOptions(): CritestOptions {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { procs: { type: "string" }, focus: { type: "string" }, minutes: { type: "string" } },
  });
  const unknown = positionals.find((name) => !HANDLERS.includes(name));
  const processes = Number(values.procs ?? DEFAULTS.processes);
  const minutes = Number(values.minutes ?? DEFAULTS.minutes);
  if (unknown !== undefined || !(processes >= 1) || !(minutes > 0)) throw new Error(USAGE);
  const handlers = HANDLERS.filter((name) => positionals.length === 0 || positionals.includes(name));
  return { handlers, processes, focus: values.focus, minutes };
}

try {
  const options = readOptions();
  await setUpCritest();
  const { failed } = await runCritest(options);
  process.exitCode = failed > 0 ? 1 : 0;
} catch (error) {
  process.stderr.write(`critest: ${reasonOf(error)}\n`);
  process.exitCode = 1;
} finally {
  removeTemplate();
}

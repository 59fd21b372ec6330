import type { CniConflist } from "../harness/node-files.ts";

const NAME = "faults";

/** The last plugin of the list: it adds nothing. Its commands are steps like the shim's, `cni.ADD` and `cni.DEL`. */
export const withFaults = (conflist: CniConflist): CniConflist => ({
  ...conflist,
  plugins: [...conflist.plugins, { type: NAME }],
});

/** As `sys/failpoint.ts` does, it asks at the meeting what is to happen. */
export const faultsPlugin = (meeting: string): Readonly<Record<string, string>> => ({
  [NAME]: `#!${process.execPath}
const { readFileSync } = require("node:fs");
const { createConnection } = require("node:net");
const { cniVersion, prevResult } = JSON.parse(readFileSync(0, "utf8"));
const command = process.env.CNI_COMMAND;
const say = (object) => process.stdout.write(JSON.stringify({ cniVersion, ...object }));
if (command === "VERSION") say({ supportedVersions: ["0.4.0"] });
else {
  let answer = "";
  const socket = createConnection(${JSON.stringify(meeting)}, () => socket.write(process.pid + " cni." + command + "\\n"));
  socket.on("data", (chunk) => { answer += chunk; });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    process.exitCode = answer.trim() === "error" ? 1 : 0;
    if (process.exitCode === 1) say({ code: 100, msg: "told to fail" });
    else if (command === "ADD") say(prevResult);
  });
}
`,
});

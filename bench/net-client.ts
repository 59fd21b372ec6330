import { createInterface } from "node:readline";
import { carryOut } from "./net-work.ts";

/** Makes the traffic of bench:net in the network namespace it is started in: orders on stdin, answers on stdout. */
for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(await carryOut(line));
process.exit();

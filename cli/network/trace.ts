import type { HopTraffic, TracedPath, TraceVerdict } from "../../proto/gen/tapir/management/v1/management.ts";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { methods } from "../management-client.ts";
import { table } from "../table.ts";
import { asked, type Output } from "./commands.ts";

const LONGEST_SECONDS = 10;

/** `tapir network trace`: exit code 1 when packets stop somewhere. */
export async function showTrace(pod: string, output: Output & { readonly seconds: string }): Promise<void> {
  const windowMilliseconds = secondsOf(output.seconds) * 1000;
  const request = { windowMilliseconds };
  const { paths } = await asked(pod, (call) => call(methods.traceNetwork, request, windowMilliseconds));
  const text = output.json === true ? jsonOf(paths) : paths.map(pathText).join("\n");
  process.stdout.write(text === "" ? "the guest has no NIC\n" : text);
  if (paths.some(({ toGuest, fromGuest }) => toGuest?.stopsAt || fromGuest?.stopsAt)) process.exitCode = 1;
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds > 0 && seconds <= LONGEST_SECONDS) return seconds;
  throw new TapirError({
    code: Code.INVALID_ARGUMENT,
    operation: "count for",
    object: `${text} seconds`,
    cause: `it is no number above 0 and up to ${LONGEST_SECONDS}`,
  });
}

function jsonOf(paths: readonly TracedPath[]): string {
  const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? Number(value) : value);
  return `${JSON.stringify(paths, plain, 2)}\n`;
}

/** The path of one NIC as a table, and what there is to say about it. Pure. */
export function pathText({ link, hops, toGuest, fromGuest }: TracedPath): string {
  const rows = hops.map(({ hop, object, toGuest: inward, fromGuest: outward }) => [
    hop,
    object,
    ...cells(inward),
    ...cells(outward),
    [...new Set([inward?.fault, outward?.fault])].filter(Boolean).join("; "),
  ]);
  const heads = ["HOP", "WHAT", "TO GUEST", "NOW", "DROPPED", "FROM GUEST", "NOW", "DROPPED", "WRONG"];
  const verdicts = [verdictText("to the guest", toGuest), verdictText("from the guest", fromGuest)];
  return `${table(heads, rows)}${verdicts.map((line) => `${link}: ${line}\n`).join("")}`;
}

function cells(traffic: HopTraffic | undefined): string[] {
  const { packets, packetsInWindow, droppedInWindow } = traffic ?? {};
  const plus = packetsInWindow === undefined ? "-" : `+${packetsInWindow}`;
  return [packets, plus, droppedInWindow].map((value) => String(value ?? "-"));
}

function verdictText(direction: string, verdict: TraceVerdict | undefined): string {
  if (verdict?.stopsAt) return `packets ${direction} stop at the ${verdict.stopsAt}: ${verdict.reason}`;
  return verdict?.idle === true ? `no packet ${direction} came by` : `packets ${direction} pass every hop`;
}

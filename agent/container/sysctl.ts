import { writeFileSync } from "node:fs";
import { errnoOf, TapirError, wrapError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";

const HOME = "/proc/sys";
const NAME = /^[a-z0-9_-]+([./][A-Za-z0-9_:@-]+)+$/;
/**
 * What a pod may set: its network, IPC and names, as with any runtime, and the memory, file and process settings that
 * only its own kernel makes its own. Not what starts programs, stops the guest or weakens it.
 */
const ALLOWED =
  /^(net\.|vm\.|fs\.(mqueue\.|inotify\.|file-max$|nr_open$|aio-max-nr$|pipe-)|kernel\.(shm|msg|sem$|sched_|pid_max$|threads-max$|domainname$|hostname$|keys\.|perf_event_|numa_balancing$|yama\.))/;

/** Writes kernel settings of the guest, as sysctl(8) names them. Throws INVALID_ARGUMENT for one it may not set. */
export function setSysctls(settings: Readonly<Record<string, string>>): void {
  const paths = Object.keys(settings).map(sysctlPath);
  for (const [at, value] of Object.values(settings).entries()) {
    const path = paths[at] ?? "";
    try {
      writeFileSync(path, value);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw wrapError(error, { operation: "set", object: path });
      throw refusal(path.slice(HOME.length + 1), "the guest's kernel has no such setting");
    }
  }
}

/** "net.ipv4.conf.eth0/1.forwarding": a slash stands for a dot in a name, and the other way round when it comes first. */
export function sysctlPath(name: string): string {
  if (!NAME.test(name)) throw refusal(name, "it is no name of a setting");
  const slashFirst = /^[^.]*\//.test(name);
  const dotted = slashFirst ? swap(name) : name;
  if (!ALLOWED.test(dotted)) throw refusal(name, "it is not the pod's to set");
  return `${HOME}/${swap(dotted)}`;
}

function swap(name: string): string {
  return name.replace(/[./]/g, (one) => (one === "." ? "/" : "."));
}

function refusal(name: string, cause: string): TapirError {
  const object = `kernel setting ${JSON.stringify(name.slice(0, 128))}`;
  return new TapirError({ code: Code.INVALID_ARGUMENT, operation: "set", object, cause });
}

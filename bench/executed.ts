/** A process below the shim and the programs it executed, in order. */
export interface Executed {
  readonly pid: number;
  readonly programs: readonly string[];
}

/**
 * What `strace -f -e trace=execve,clone,clone3,fork,vfork -o FILE` saw below the process that executed `root` with
 * the last argument `start`: every process that executed something, the first one included. Pure.
 */
export function executedBelow(trace: string, root: string): Executed[] {
  const parents = new Map<number, number>();
  const executed = new Map<number, string[]>();
  const tried = new Map<number, string>();
  let origin: number | undefined;
  for (const line of trace.split("\n")) {
    const pid = Number(/^\d+/.exec(line)?.[0]);
    const program = /execve\("([^"]+)"/.exec(line)?.[1];
    if (program !== undefined) {
      tried.set(pid, program);
      if (program.endsWith(root) && /"start"\]/.test(line)) origin ??= pid;
    }
    if (/execve(\(| resumed).*= 0$/.test(line)) {
      executed.set(pid, [...(executed.get(pid) ?? []), tried.get(pid) ?? "?"]);
    }
    const child = /(?:clone3?|v?fork)(?:\(| resumed).*= (\d+)$/.exec(line)?.[1];
    if (child !== undefined) parents.set(Number(child), pid);
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === origin || isBelow(parents.get(pid)));
  return [...executed].flatMap(([pid, programs]) => (isBelow(pid) ? [{ pid, programs }] : []));
}

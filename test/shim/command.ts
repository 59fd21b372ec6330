import { spawn } from "node:child_process";

/** Runs a program of the shim to its end; stdout comes as bytes. Without input stdin is /dev/null, as containerd's. */
export async function command(request: {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: Uint8Array;
}): Promise<{ exitCode: number | null; stdout: Buffer; stderr: string }> {
  const { program, args, cwd, env = process.env, input } = request;
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const ended = Promise.withResolvers<number | null>();
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  child.on("error", ended.reject);
  // "close" also means that nobody holds the pipes: a server left behind must not.
  child.on("close", ended.resolve);
  child.stdin?.end(input);
  const exitCode = await ended.promise;
  return { exitCode, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

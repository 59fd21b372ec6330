import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Check, Problem } from "./problem.ts";

const committedFolder = "proto/gen";
/** Cleans the output folder, so it runs first. */
const firstTemplate = "buf.gen.yaml";

/** The committed TypeScript in proto/gen equals what buf generates from the .proto files. */
export const generatedCheck: Check = {
  name: "generated code",
  async run(root) {
    const temporary = mkdtempSync(join(tmpdir(), "tapir-generated-"));
    try {
      await generate(root, temporary);
      return { problems: differences(join(root, committedFolder), join(temporary, committedFolder)) };
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  },
};

/** Runs buf for every template; the output folder is `<output>/proto/gen`. */
export async function generate(root: string, output: string): Promise<void> {
  const more = readdirSync(root).filter((name) => /^buf\.gen\..+\.yaml$/.test(name));
  for (const template of [firstTemplate, ...more.sort()])
    await buf(root, ["generate", "--template", template, "--output", output]);
}

function buf(root: string, args: readonly string[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const bin = join(root, "node_modules/.bin");
  const child = spawn(join(bin, "buf"), args, {
    cwd: root,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  child.on("error", reject);
  child.on("close", (code) => {
    if (code === 0) resolve();
    else reject(new Error(`buf ${args.join(" ")} ended with ${code}: ${stderr.trim()}`));
  });
  return promise;
}

/** What differs between two folders, file by file. */
export function differences(committed: string, fresh: string): readonly Problem[] {
  const before = readFolder(committed);
  const after = readFolder(fresh);
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name): Problem[] => {
    if (before.get(name) === after.get(name)) return [];
    const fault = !after.has(name)
      ? "comes from no .proto file"
      : before.has(name)
        ? "is out of date"
        : "is missing";
    return [{ file: join(committedFolder, name), text: `${fault}; run \`npm run generate\`` }];
  });
}

function readFolder(folder: string): ReadonlyMap<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files.map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return [file.slice(folder.length + 1), readFileSync(file, "utf8")];
    }),
  );
}

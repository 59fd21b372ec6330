import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { bundleAgent } from "./bundle-agent.ts";

const importing = (what: string, from: string): string => `import ${what} from ${JSON.stringify(from)};`;

const SCRIPT = `
${importing("koffi", "koffi")}
${importing("{ RawNetlinkSocket }", "netlink")}
const libc = koffi.load("libc.so.6");
process.stdout.write(String(libc.func("int getpid()")() === process.pid && typeof RawNetlinkSocket === "function"));
`;

test("a bundle runs with nothing beside it but its native modules, and is the same each time", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tapir-bundle-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const entry = join(folder, "entry.ts");
  writeFileSync(entry, SCRIPT);
  const bundle = await bundleAgent(entry);
  t.deepEqual((await bundleAgent(entry)).script, bundle.script);
  const main = join(folder, "main.mjs");
  writeFileSync(main, bundle.script);
  for (const [name, path] of bundle.natives) copyFileSync(path, join(folder, name));
  t.is(execFileSync(process.execPath, [main], { cwd: "/", encoding: "utf8" }), "true");
});

test("a source that does not compile is told with file and line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tapir-bundle-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const entry = join(folder, "entry.ts");
  writeFileSync(entry, 'import "./nowhere.ts";\n');
  await t.throwsAsync(bundleAgent(entry), { message: /^cannot bundle .*entry\.ts: [\s\S]*nowhere\.ts/ });
});

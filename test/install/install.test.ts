// Requires what the set-up puts below build/.
// What `npm run install-node` puts on a node, below a directory that plays the node.
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { deadlineIn } from "../../sys/deadline.ts";
import { PROJECT } from "../harness/project.ts";
import { runOk } from "../harness/run.ts";

test("programs, guest, configuration and the unit of the VM cache; again: only what is ours is replaced", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "tapir-install-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  const install = (): Promise<string> =>
    runOk({
      command: process.execPath,
      args: [join(PROJECT, "setup/install.ts"), "--root", root],
      deadline: deadlineIn(100_000, "install"),
    });
  t.regex(await install(), /systemctl enable --now tapir-factory\.service/);
  const inRoot = (path: string): string => join(root, path);
  for (const file of ["vmlinuz", "initramfs.cpio", "root.erofs"]) {
    t.true(statSync(inRoot(`/usr/share/tapir/${file}`)).size > 0, file);
  }
  t.true(statSync(inRoot("/etc/tapir/configuration.toml")).isFile());

  const unit = readFileSync(inRoot("/usr/local/lib/systemd/system/tapir-factory.service"), "utf8");
  const programs = [...unit.matchAll(/^Exec\w+=(\S+)/gm)].map(([, program = ""]) => program);
  t.true(programs.length >= 2);
  for (const program of programs) {
    // The link is absolute: it leads to the file once the directory is a node's root.
    t.true(lstatSync(inRoot(program)).isSymbolicLink());
    t.true((statSync(inRoot(readlinkSync(inRoot(program)))).mode & 0o111) !== 0, program);
  }

  const configuration = inRoot("/etc/tapir/configuration.toml");
  writeFileSync(configuration, "# the operator's\n");
  await install();
  t.is(readFileSync(configuration, "utf8"), "# the operator's\n");
});

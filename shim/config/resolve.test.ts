import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { TapirError } from "../../sys/error.ts";
import { Code } from "../../sys/status.ts";
import { loadConfiguration } from "./load.ts";
import { checkFiles } from "./resolve.ts";
import { timeoutMs } from "./timeout.ts";

const root = mkdtempSync(join(tmpdir(), "tapir-resolve-"));
test.after.always(() => rmSync(root, { recursive: true, force: true }));

const names = ["path", "kernel", "initramfs", "image"] as const;
for (const name of names) writeFileSync(join(root, name), "x");
chmodSync(join(root, "path"), 0o755);

function check(changed: Partial<Record<(typeof names)[number], string>>): TapirError | undefined {
  const lines = names.map((name) => `${name} = "${changed[name] ?? join(root, name)}"`);
  const file = join(mkdtempSync(join(root, "c-")), "c.toml");
  writeFileSync(file, `[hypervisor.qemu]\n${lines.join("\n")}\n`);
  try {
    checkFiles(loadConfiguration({ optionsPath: file, environment: {} }));
    return undefined;
  } catch (thrown) {
    if (thrown instanceof TapirError) return thrown;
    throw thrown;
  }
}

test("nothing is said when all files are there", (t) => {
  t.is(check({}), undefined);
});

for (const name of names) {
  test(`a missing ${name} names key, file and where it was set`, (t) => {
    const error = check({ [name]: "/nonexistent/it" });
    t.is(error?.code, Code.NOT_FOUND);
    const expected = new RegExp(
      `hypervisor\\.qemu\\.${name} \\(.*c\\.toml\\) = "/nonexistent/it" does not exist; install`,
    );
    t.regex(error?.message ?? "", expected);
  });
}

test("all missing files are said at once", (t) => {
  const message = check({ kernel: "/nonexistent/k", image: "/nonexistent/i" })?.message ?? "";
  t.regex(message, /\/nonexistent\/k.*\/nonexistent\/i/);
});

test("a directory, a QEMU that is not executable", (t) => {
  t.regex(check({ kernel: root })?.message ?? "", /is not a regular file/);
  const error = check({ path: join(root, "kernel") });
  t.is(error?.code, Code.INVALID_ARGUMENT);
  t.regex(error?.message ?? "", /is not executable/);
});

test("timeouts are longer without KVM", (t) => {
  const { configuration } = loadConfiguration({
    environment: {},
    searchPath: ["/nonexistent/a", "/nonexistent/b"],
  });
  t.is(timeoutMs(configuration, 15, "kvm"), 15_000);
  t.is(timeoutMs(configuration, 15, "tcg"), 60_000);
});

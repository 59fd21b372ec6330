import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";

// The directory is read when the module is loaded.
const home = mkdtempSync(join(tmpdir(), "tapir-cache-"));
process.env.TAPIR_CACHE_DIR = home;
const { cached, link } = await import("./cache.ts");
test.after.always(() => rmSync(home, { recursive: true, force: true }));

test("an entry is made once", async (t) => {
  let makes = 0;
  const entry = {
    kind: "once",
    key: "1",
    async make(directory: string) {
      makes++;
      writeFileSync(join(directory, "file"), "x");
    },
  };
  t.true((await cached(entry)).made);
  const second = await cached(entry);
  t.false(second.made);
  t.is(readFileSync(join(second.directory, "file"), "utf8"), "x");
  t.is(makes, 1);
});

test("one that failed leaves nothing, and is tried again", async (t) => {
  const entry = (make: (directory: string) => Promise<void>) => ({ kind: "failing", key: "1", make });
  const failure = await t.throwsAsync(
    cached(
      entry(async (directory) => {
        writeFileSync(join(directory, "half"), "");
        throw new Error("no");
      }),
    ),
  );
  t.is(failure?.message, "no");
  t.deepEqual(readdirSync(join(home, "failing")), []);
  t.true((await cached(entry(async () => undefined))).made);
});

test("two that are made at the same time become one", async (t) => {
  const both = Promise.withResolvers<void>();
  let begun = 0;
  const make = async (directory: string): Promise<void> => {
    if (++begun === 2) both.resolve();
    await both.promise;
    writeFileSync(join(directory, "file"), "same");
  };
  const entry = { kind: "race", key: "1", make };
  const [first, second] = await Promise.all([cached(entry), cached(entry)]);
  t.is(first.directory, second.directory);
  t.deepEqual(readdirSync(join(home, "race")), ["1"]);
});

test("a link takes the place of whatever was there", (t) => {
  const path = join(home, "links/one");
  link("/nowhere", path);
  link(home, path);
  t.true(existsSync(path));
  t.deepEqual(readdirSync(join(home, "links")), ["one"]);
});

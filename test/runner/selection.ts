import { isTest } from "../../checks/source.ts";

/** What a run of `npm test` does. */
export interface Selection {
  readonly demo: boolean;
  readonly checks: boolean;
  readonly unit: readonly string[];
  readonly integration: readonly string[];
  readonly critest: boolean;
}

/** Tests of the test tools themselves: they need no containerd. */
const toolFolders = ["test/runner/", "test/fakes/", "test/harness/", "test/critest/", "test/fuzz/"];

const parts: ReadonlySet<string> = new Set(["demo", "checks", "unit", "integration", "critest"]);

const isIntegration = (path: string): boolean =>
  path.startsWith("test/") && !toolFolders.some((folder) => path.startsWith(folder));

/**
 * Picks from all files what the arguments name: nothing for all tests, `checks`, `unit`, `integration`, `critest`, `demo`
 * (the demo as a smoke test, only when it is named), or files and folders. Throws a sentence for an argument that names nothing.
 */
export function select(args: readonly string[], paths: readonly string[]): Selection {
  const tests = paths.filter(isTest);
  const unit = tests.filter((path) => !isIntegration(path));
  const integration = tests.filter(isIntegration);
  const words = args.length === 0 ? ["checks", "unit", "integration", "critest"] : args;
  const wanted = new Set<string>();
  for (const word of words) {
    const found = { demo: [], checks: [], unit, integration, critest: [] }[word] ?? below(word, tests);
    if (found.length === 0 && !parts.has(word)) {
      throw new Error(
        `no test is called "${word}"; use checks, unit, integration, critest, demo, a test file or a folder`,
      );
    }
    for (const path of found) wanted.add(path);
  }
  return {
    demo: words.includes("demo"),
    checks: words.includes("checks"),
    unit: unit.filter((path) => wanted.has(path)),
    integration: integration.filter((path) => wanted.has(path)),
    critest: words.includes("critest"),
  };
}

function below(word: string, tests: readonly string[]): readonly string[] {
  const path = word.replace(/^\.\//, "").replace(/\/$/, "");
  return tests.filter((file) => file === path || file.startsWith(`${path}/`));
}

import type { Check, Problem } from "./problem.ts";
import { isGenerated, isTest, readSources } from "./source.ts";

interface Rule {
  readonly pattern: RegExp;
  /** Folders or files where it is allowed. */
  readonly except: readonly string[];
  readonly text: string;
  /** Unit tests too, not only the product. */
  readonly inTests?: true;
}

const workshop = ["test", "bench", "demo", "guest", "setup", "checks"];

/** What may not be written outside the place that is made for it. */
const rules: readonly Rule[] = [
  {
    pattern: /"node:child_process"/,
    except: ["sys", "hypervisor/qemu/launch.ts", "shim/start.ts", "agent", ...workshop],
    text: "starts processes on its own; use sys/process.ts, which records them in the ledger",
  },
  {
    pattern: /\bprocess\.kill\(/,
    except: ["sys", ...workshop],
    text: "signals a bare pid; use sys/process.ts, which also compares the start time",
  },
  {
    pattern: /\b(?:rmSync|rmdirSync|rmdir|rm)\(/,
    // Templates belong to the node: they outlive every pod, and its ledger. The guest's files are in memory and go with it.
    except: ["sys", "cli", "hypervisor/factory", "agent", ...workshop],
    text: "removes by hand; acquire through the ledger, its entry removes",
  },
  {
    // Words for people and the kinds of undo entries are no calls.
    pattern: /(?<!\b(?:(?:operation|kind): |case ))"(?:u?mount2?|setns|unshare|socketpair|ioctl)"/,
    except: ["sys", ...workshop],
    text: "names a system call; add a function to sys",
  },
  {
    pattern: /\bsetInterval\(/,
    except: workshop,
    text: "polls; wait for the event",
  },
  {
    pattern: /\btest\.(?:only|skip|todo|failing)\b|\btest\.serial\.(?:only|skip|failing)\b/,
    except: ["checks"],
    text: "leaves a test out; make it run or remove it",
    inTests: true,
  },
  {
    pattern: /["'`]\/(?:home|root|work)\//,
    except: ["checks"],
    text: "names a directory of one machine; take it from configuration or from the file's own place",
    inTests: true,
  },
  {
    pattern: /@ts-(?:ignore|nocheck|expect-error)/,
    except: ["checks"],
    text: "silences the compiler; make the types right",
    inTests: true,
  },
  {
    pattern: /\bas any\b|:\s*any\b(?!thing)|<any>/,
    except: ["checks"],
    text: "uses any; name the type or use unknown",
  },
];

/** Raw calls stay in the rooms that are made for them. */
export const forbiddenCheck: Check = {
  name: "forbidden calls",
  async run(root) {
    const sources = readSources(root).filter(({ path }) => !isGenerated(path));
    return {
      problems: sources.flatMap(({ path, text }) => forbiddenIn(path, text)),
      note: `${rules.length} rules`,
    };
  },
};

/** The rules that one file breaks, with line numbers; comments and types do not count. */
export function forbiddenIn(path: string, text: string): readonly Problem[] {
  const lines = text.split("\n");
  return rules
    .filter((rule) => !rule.except.some((place) => path === place || path.startsWith(`${place}/`)))
    .filter((rule) => rule.inTests || !isTest(path))
    .flatMap((rule) =>
      lines.flatMap((line, index): Problem[] => {
        const code = line.replace(/^\s*(?:\/?\*|\/\/|import type\b).*|\s\/\/ .*$/, "");
        return rule.pattern.test(code) ? [{ file: `${path}:${index + 1}`, text: rule.text }] : [];
      }),
    );
}

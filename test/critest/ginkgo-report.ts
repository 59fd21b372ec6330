/** One spec of a run. */
export interface SpecResult {
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped";
  readonly seconds: number;
  /** Why it failed, or was skipped while it ran; else empty. */
  readonly message: string;
}

export interface SuiteResult {
  readonly specs: readonly SpecResult[];
  /** Why the suite ended before its time: "Suite Timeout Elapsed". Empty when it did not. */
  readonly broken: string;
}

/** The part of a spec in ginkgo 2's JSON report (types.SpecReport) that is read here. */
interface SpecReport {
  readonly ContainerHierarchyTexts: readonly string[] | null;
  readonly LeafNodeType: string;
  readonly LeafNodeText: string;
  readonly State: string;
  /** Nanoseconds. */
  readonly RunTime: number;
  readonly Failure?: { readonly Message?: string };
  /** Made when a part of the spec has taken longer than `--poll-progress-after`. */
  readonly ProgressReports?: readonly { readonly CurrentStepText?: string }[] | null;
}

interface SuiteReport {
  readonly SpecReports: readonly SpecReport[] | null;
  readonly SpecialSuiteFailureReasons: readonly string[] | null;
}

const BENCHMARK = /\bbenchmark\b/;

/**
 * Reads ginkgo's JSON report. Benchmarks, which the suite carries along and never runs, are left out. Whatever
 * neither passed nor was skipped failed: timed out, interrupted, panicked. So did the suite's own set-up, when it did; and
 * a spec that stood still on its way, for the suite does not look at how its pods are removed.
 */
export function readGinkgoReport(text: string): SuiteResult {
  const suites = JSON.parse(text) as SuiteReport[];
  const specs = suites
    .flatMap(({ SpecReports }) => SpecReports ?? [])
    .map(specResult)
    .filter(({ name, isSpec, state }) => (isSpec ? !BENCHMARK.test(name) : state === "failed"))
    .map(({ isSpec: _, ...result }) => result)
    .sort((left, right) => left.name.localeCompare(right.name));
  return { specs, broken: suites.flatMap((suite) => suite.SpecialSuiteFailureReasons ?? []).join(", ") };
}

function specResult(spec: SpecReport): SpecResult & { isSpec: boolean } {
  const isSpec = spec.LeafNodeType === "It";
  const texts = [...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText];
  const name = isSpec ? texts.join(" ") : spec.LeafNodeType;
  const skipped = spec.State === "skipped" || spec.State === "pending";
  const still = spec.ProgressReports?.[0];
  const passed = spec.State === "passed" && still === undefined;
  const stoodStill = still === undefined ? "" : `it stood still at: ${still.CurrentStepText ?? "?"}`;
  return {
    name,
    isSpec,
    state: passed ? "passed" : skipped ? "skipped" : "failed",
    seconds: spec.RunTime / 1e9,
    message: spec.Failure?.Message?.trim() || stoodStill,
  };
}

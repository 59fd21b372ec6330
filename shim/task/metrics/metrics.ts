import { existsSync } from "node:fs";
import { Metrics as MetricsV1 } from "../../../proto/gen/containerd/metrics/v1.ts";
import { Metrics as MetricsV2 } from "../../../proto/gen/containerd/metrics/v2.ts";
import type { Any } from "../../../proto/gen/google/protobuf/any.ts";
import type { StatsContainerResponse } from "../../../proto/gen/tapir/agent/v1/container.ts";
import { metricsV1 } from "./v1.ts";
import { metricsV2 } from "./v2.ts";

/**
 * The guest's counters in the form that containerd and its clients expect on this host: they look at the host's own
 * cgroups to decide which of the two they decode.
 */
export function packMetrics(
  stats: StatsContainerResponse,
  unified = existsSync("/sys/fs/cgroup/cgroup.controllers"),
): Any {
  const value = unified ? MetricsV2.encode(metricsV2(stats)) : MetricsV1.encode(metricsV1(stats));
  const typeUrl = `io.containerd.cgroups.${unified ? "v2" : "v1"}.Metrics`;
  return { typeUrl, value: Buffer.from(value.finish()) };
}

import test from "ava";
import { useNode } from "../harness/fixture.ts";
import { workloads } from "../harness/workload.ts";
import { lifeOfPod } from "./cycle.ts";
import { type Sample, takeSample } from "./sample.ts";
import { judge, renderTrends } from "./trend.ts";

/** `npm run test:soak` does a thousand. */
const LIVES = 12;

const node = useNode(test);

test("one life of a pod after the other leaves the node as it was", async (t) => {
  const work = workloads(node());
  for (const name of ["first", "second"]) await lifeOfPod(node(), work, name);
  const samples: Sample[] = [];
  for (let life = 0; life < LIVES; life += 1) {
    await lifeOfPod(node(), work, `life-${life}`);
    samples.push(takeSample(node()));
  }
  const trends = judge(samples);
  t.log(renderTrends(trends, LIVES));
  // Memory is not judged by so few.
  const counted = trends.filter(({ what }) => !what.endsWith("KiB") && !what.endsWith("containerd"));
  t.deepEqual(
    counted.filter(({ first, last }) => last > first),
    [],
  );
});

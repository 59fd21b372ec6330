import test from "ava";
import { useNode } from "../harness/fixture.ts";
import { workloads } from "../harness/workload.ts";
import { openElder } from "./elder.ts";
import { round } from "./round.ts";
import { type Figures, judge, renderTrends } from "./trend.ts";

/** `npm run test:soak` does a thousand. */
const ROUNDS = 8;

const node = useNode(test);

test("lives of pods, one after the other and beside one that lives on, leave the node as it was", async (t) => {
  const work = workloads(node());
  const elder = await openElder(node(), work);
  // What comes with the first ones stays.
  for (const name of ["first", "second"])
    t.deepEqual((await round(node(), work, elder, [name])).failures, []);
  const samples: Figures[] = [];
  for (let life = 0; life < ROUNDS; life += 1) {
    const { figures, failures } = await round(node(), work, elder, [`life-${life}`]);
    t.deepEqual(failures, []);
    if (figures !== undefined) samples.push(figures);
  }
  const trends = judge(samples);
  t.log(renderTrends(trends, ROUNDS));
  // Memory, and what a collector of garbage decides, is not judged by so few.
  const counted = trends.filter(({ what }) => !what.endsWith("KiB") && !what.endsWith("containerd"));
  // What each life leaves is many by now; on a busy machine one thing may just be late. At the end nothing may be left at all.
  t.deepEqual(
    counted.filter(({ first, last }) => last - first >= ROUNDS / 2),
    [],
  );
});

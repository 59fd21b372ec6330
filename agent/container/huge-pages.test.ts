import test from "ava";
import { pageSizeName } from "./huge-pages.ts";

test("sizes of huge pages as limits name them", (t) => {
  const folders = [
    "hugepages-64kB",
    "hugepages-2048kB",
    "hugepages-1048576kB",
    "hugepages-16777216kB",
    "other",
  ];
  t.deepEqual(folders.flatMap(pageSizeName), ["64KB", "2MB", "1GB", "16GB"]);
});

// Imported before a test file. What Node made of a module is kept for the next file that imports it; unlike with Node's own
// variable, what a test starts, a containerd with its shims, knows nothing of it.
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "../../build/compile-cache"));

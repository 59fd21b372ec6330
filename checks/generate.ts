import { writeConfiguration } from "./configuration.ts";
import { generate } from "./generated.ts";

// `npm run generate`: everything in the tree that is made from something else in the tree.
const root = `${import.meta.dirname}/..`;
await generate(root, root);
writeConfiguration(root);

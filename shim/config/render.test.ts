import test from "ava";
import { parseConfiguration } from "./parse.ts";
import { renderMarkdown } from "./render-markdown.ts";
import { renderToml } from "./render-toml.ts";
import { assemble, schemaKeys } from "./schema.ts";

test("the file as shipped changes nothing; with its comments removed it says the defaults", (t) => {
  t.is(parseConfiguration(renderToml(), "shipped").size, 0);
  const uncommented = renderToml().replace(/^#(?=\w+ = )/gm, "");
  const values = parseConfiguration(uncommented, "uncommented");
  t.is(values.size, schemaKeys.size);
  t.deepEqual(assemble(values), assemble(new Map()));
});

test("the page has a row for every key", (t) => {
  const page = renderMarkdown();
  for (const { name, section } of schemaKeys.values()) {
    t.true(page.includes(`| \`${name}\``));
    t.true(page.includes(`### [${section}]`));
  }
});

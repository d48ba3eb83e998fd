// Writes the modules that pages without a build step use as one file: `make demo` and examples/fastapi-app need no Node.
// With --check it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const paths = process.argv.slice(2).filter((argument) => argument !== "--check");
const targets = paths.length ? paths : ["../../demo/spa/okta-bff-client.js", "../../examples/fastapi-app/spa/okta-bff-client.js"];
const { outputFiles } = await build({
  stdin: { contents: 'export * from "./src/index.ts"; export * from "./src/streams.ts";', resolveDir: "." },
  bundle: true,
  format: "esm",
  target: "es2022",
  banner: { js: "// Generated from clients/js by `npm run demo`.\n" },
  write: false,
});
const { text } = outputFiles[0];
for (const target of targets) {
  if (!process.argv.includes("--check")) writeFileSync(target, text);
  else if (readFileSync(target, "utf8") !== text) throw new Error(`${target} is of another version: run \`npm run demo\``);
}

// Writes the modules that the demo uses as one file: `make demo` needs no Node. With --check it only compares.
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const [target = "../../demo/spa/okta-bff-client.js", check] = process.argv.slice(2);
const { outputFiles } = await build({
  stdin: { contents: 'export * from "./src/index.ts"; export * from "./src/streams.ts";', resolveDir: "." },
  bundle: true,
  format: "esm",
  target: "es2022",
  banner: { js: "// Generated from clients/js by `npm run demo`.\n" },
  write: false,
});
const { text } = outputFiles[0];
if (check !== "--check") writeFileSync(target, text);
else if (readFileSync(target, "utf8") !== text) throw new Error("the demo has another version: run `npm run demo`");

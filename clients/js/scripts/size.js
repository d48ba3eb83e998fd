// Fails if an entry is larger than its limit: bundled with all that it imports from this package, minified, gzipped.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const LIMITS = { // bytes
  index: 4000,
  streams: 750,
  query: 550,
  react: 1000,
  vue: 500,
  svelte: 128,
  angular: 1200,
};

let failed = false;
for (const [entry, limit] of Object.entries(LIMITS)) {
  const { outputFiles } = await build({
    entryPoints: [`src/${entry}.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    packages: "external",
    write: false,
  });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  failed ||= bytes > limit;
  console.log(`${entry}: ${bytes} bytes gzipped, at most ${limit}${bytes > limit ? ": TOO LARGE" : ""}`);
}
process.exitCode = failed ? 1 : 0;

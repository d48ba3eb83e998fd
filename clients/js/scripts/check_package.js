// Packs the package as it is published, and checks the tarball with publint and arethetypeswrong. Prints its path last.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";

const folder = resolve(process.argv[2] ?? "dist-package");
mkdirSync(folder, { recursive: true });
const packed = execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { encoding: "utf8" });
const [{ filename, files }] = JSON.parse(packed);
const tarball = resolve(folder, filename);

const expected = /^(package\.json|README\.md|LICENSE|src\/[\w-]+\.ts|dist\/[\w-]+\.(js|d\.ts)(\.map)?)$/;
const others = files.map(({ path }) => path).filter((path) => !expected.test(path));
if (others.length) throw new Error(`the package would contain ${others.join(", ")}`);

const run = (tool, ...args) => execFileSync(`node_modules/.bin/${tool}`, args, { stdio: "inherit" });
run("publint", "run", tarball, "--strict");
run("attw", tarball, "--profile", "esm-only", "--no-emoji");
console.log(tarball);

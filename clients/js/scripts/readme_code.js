// Writes each ts and tsx block of README.md to test/readme/, where `npm run typecheck` compiles it against the sources.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

rmSync("test/readme", { recursive: true, force: true });
mkdirSync("test/readme", { recursive: true });
const blocks = [...readFileSync("README.md", "utf8").matchAll(/^```(tsx?)\n(.*?)^```$/gms)];
if (blocks.length < 5) throw new Error("README.md has lost its code");
for (const [index, [, extension, code]] of blocks.entries()) writeFileSync(`test/readme/block${index}.${extension}`, code);

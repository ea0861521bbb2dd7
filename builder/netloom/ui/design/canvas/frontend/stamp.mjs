// Writes build/stamp.json: a hash of the sources, and a hash of each file of the build.
// tests/ui/test_canvas_build.py computes the same hashes without Node, and fails if they differ.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";

const hash = (content) => createHash("sha256").update(content).digest("hex");
const files = (folder) =>
  readdirSync(folder).flatMap((name) => {
    const path = posix.join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
const text = (path) => readFileSync(path, "utf8").replace(/\r\n/g, "\n");
const sources = [...files("src"), "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"].sort();
const build = "../build";
const outputs = files(build)
  .filter((path) => !path.endsWith("stamp.json"))
  .sort()
  .map((path) => [posix.relative(build, path), hash(readFileSync(path))]);
const stamp = {
  sources: hash(sources.map((path) => `${path}\0${hash(text(path))}`).join("\n")),
  outputs: Object.fromEntries(outputs),
};
writeFileSync(join(build, "stamp.json"), JSON.stringify(stamp, null, 1) + "\n");

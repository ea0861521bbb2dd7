import { describe, expect, it } from "vitest";

const TEXTS: Record<string, string> = import.meta.glob("../src/**/*.{ts,tsx}", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** The local modules that a module imports, including type imports. */
function imports(file: string): string[] {
  const named = [...(TEXTS[file] ?? "").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(
    (match) => match[1] ?? "",
  );
  const paths = named.map((name) => `..${new URL(name, new URL(file.slice(2), "file://")).pathname}`);
  return paths.flatMap((path) => [`${path}.ts`, `${path}.tsx`].filter((other) => other in TEXTS));
}

/** A cycle of modules, each of which imports the next one; empty if there is none. */
function findCycle(graph: Map<string, string[]>): string[] {
  const visited = new Set<string>();
  const follow = (file: string, path: string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (visited.has(file)) return [];
    for (const next of graph.get(file) ?? []) {
      const cycle = follow(next, [...path, file]);
      if (cycle.length) return cycle;
    }
    visited.add(file);
    return [];
  };
  return [...graph.keys()].map((file) => follow(file, [])).find((cycle) => cycle.length) ?? [];
}

describe("imports", () => {
  const files = Object.keys(TEXTS);
  const core = files.filter((file) => file.startsWith("../src/core/"));
  const graph = new Map(files.map((file) => [file, imports(file)]));
  it("are found", () => {
    expect(core.length).toBeGreaterThan(10);
    expect(graph.get("../src/index.tsx")).toContain("../src/views/Canvas.tsx");
    expect(
      findCycle(
        new Map([
          ["a", ["b"]],
          ["b", ["c"]],
          ["c", ["b"]],
        ]),
      ),
    ).toEqual(["b", "c", "b"]);
  });
  it("have no cycles, including type imports", () => {
    expect(findCycle(graph)).toEqual([]);
  });
  it("of the core are neither views nor frameworks", () => {
    expect(core.filter((file) => imports(file).some((other) => !core.includes(other)))).toEqual([]);
    expect(core.filter((file) => /from "(react|@xyflow)/.test(TEXTS[file] ?? ""))).toEqual([]);
  });
});

import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Not the library mode, which keeps the whitespace of ES modules. Hashed names keep browsers from using an old version.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../build",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: "src/index.tsx",
      preserveEntrySignatures: "exports-only",
      output: { entryFileNames: "index-[hash].js", chunkFileNames: "chunks/[name]-[hash].js" },
    },
  },
});

import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: Vitest reads the default export.
export default defineConfig({
  test: {
    root: new URL('../../', import.meta.url).pathname,
    include: ['test/e2e/*.e2e.ts'],
    testTimeout: 240_000,
    hookTimeout: 900_000,
    pool: 'forks',
    // One VS Code at a time: two would only make each other slow.
    fileParallelism: false,
  },
});

import { defineConfig } from 'vite';

// One script and one style, so that the first view is two requests; nothing inline, for a strict CSP.
export default defineConfig({
  build: { outDir: 'dist', assetsInlineLimit: 0, modulePreload: false, target: 'es2022', cssCodeSplit: false },
});

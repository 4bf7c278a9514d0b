// The chat widget: one script that runs on other people's pages, and the demo page beside it.
import { defineConfig } from 'vite';

export default defineConfig({
  publicDir: 'demo',
  build: {
    outDir: 'dist',
    // The console is built into a folder below; each build clears only its own.
    emptyOutDir: false,
    // Chrome 94, Firefox 93, Safari 16.4: private class members stay native, which keeps the script small.
    target: 'es2022',
    // Only keeps the minifier from emulating what the style sheet does not use (`light-dark()`).
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    lib: { entry: 'src/widget/index.ts', formats: ['iife'], name: 'PatchbayWidgetScript', fileName: () => 'widget.js' },
  },
});

// The agent console. The widget is built by vite.widget.config.ts, because it is one script without a page.
import { defineConfig } from 'vite';

/** Where `npm run dev` finds the API: the fake server, or a real Patchbay named by PATCHBAY_DEV_URL. */
const server = process.env['PATCHBAY_DEV_URL'] ?? 'http://127.0.0.1:8090';

export default defineConfig({
  base: '/console/',
  build: {
    outDir: 'dist/console',
    emptyOutDir: true,
    target: 'es2022',
    // Inlined assets would need `data:` in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(
      ['/api', '/channels', '/media', '/widget.js'].map((path) => [path, { target: server, ws: true }]),
    ),
  },
});

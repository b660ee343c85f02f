import { defineConfig } from 'vite';

export default defineConfig({
  // The page finds its files and the API beside itself, wherever a proxy puts it.
  base: './',
  build: {
    assetsDir: 'graphiql', // the page is /graphiql, its files are /graphiql/...
    chunkSizeWarningLimit: 8192, // in kB; the editor is large, and there is one page to load
    license: { fileName: 'graphiql/licenses.md' },
  },
});

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { defineConfig } from 'vite';

const ASSETS = 'graphiql';
const WORTH_BYTES = 1024; // below this a file fits into a packet or two as it is

/**
 * Puts a packed copy beside each file of the page. gzip, not Brotli: that is a sixth smaller and
 * takes 40 seconds, and browsers do not ask for it over plain HTTP.
 */
function packed() {
  let folder;
  return {
    name: 'packed',
    configResolved(config) {
      folder = join(config.root, config.build.outDir, ASSETS);
    },
    async closeBundle() {
      for (const name of await readdir(folder)) {
        const content = await readFile(join(folder, name));
        if (content.length < WORTH_BYTES) continue;
        await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(content, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  // The page finds its files and the API beside itself, wherever a proxy puts it.
  base: './',
  plugins: [packed()],
  build: {
    assetsDir: ASSETS, // the page is /graphiql, its files are /graphiql/...
    chunkSizeWarningLimit: 8192, // in kB; the editor is large, and there is one page to load
    license: { fileName: `${ASSETS}/licenses.md` },
  },
});

// The pages of the browser tests: one for each client, with a script that is the same for the page and for its hidden frames.
import fs from 'node:fs';
import http from 'node:http';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const file = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The clients that run in browsers, and where each takes its script from. */
export const CLIENTS = {
  'sockjs-client': () => fs.readFileSync(file('node_modules/sockjs-client/dist/sockjs.js')),
  // Published without a bundle.
  'sockjs-client-1.0': () => execFileSync(file('../../client/node_modules/.bin/esbuild'), [
    file('node_modules/sockjs-client-1.0/lib/entry.js'), '--bundle', '--format=iife', '--global-name=SockJS', '--define:global=window',
    '--log-level=error'], { maxBuffer: 1 << 24 }),
};

export const versionOf = (client) => require(`./node_modules/${client}/package.json`).version;

/** Where a client's script is, on the origin of the pages and of the server alike. */
export const scriptOf = (client) => `/page/${client}.js`;

/** Serves the pages under /page/, from an origin of their own; the cutter makes it the server's origin too. */
export async function servePages() {
  const known = new Map([['/page/main.js', fs.readFileSync(file('page/main.js'))]]);
  for (const [client, script] of Object.entries(CLIENTS)) {
    known.set(scriptOf(client), script());
    known.set(`/page/${client}.html`, Buffer.from(`<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>${client}</title>
<body><script src="${scriptOf(client)}"></script><script src="/page/main.js"></script>`));
  }
  const server = http.createServer((request, response) => {
    const body = known.get(request.url.split('?')[0]);
    if (!body) return response.writeHead(404, { connection: 'close' }).end();
    const type = request.url.includes('.html') ? 'text/html' : 'text/javascript';
    // Closed after each: on the server's own address the next request on the connection would be for the server.
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, connection: 'close' });
    return response.end(body);
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  return { at: `127.0.0.1:${server.address().port}`, close() { server.close(); server.closeAllConnections(); } };
}

'use strict';
// Serves the tests' pages, from an origin of its own.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const FOLDER = path.join(__dirname, '..', 'page');

async function servePages() {
  const known = new Set(fs.readdirSync(FOLDER));
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://pages');
    const name = pathname === '/' ? 'reader.html' : pathname.replace(/^\/page\//, '');
    if (!known.has(name)) return response.writeHead(404).end();
    const type = name.endsWith('.html') ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8';
    // Closed after each: where a page is served on the address of the server under test, none of its requests comes here.
    const headers = { 'content-type': type, connection: 'close' };
    // A page that takes on the domain above its own, in Chromium.
    if (request.headers.host.startsWith('www.')) headers['origin-agent-cluster'] = '?0';
    response.writeHead(200, headers);
    return response.end(fs.readFileSync(path.join(FOLDER, name)));
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  const at = `127.0.0.1:${server.address().port}`;
  return { at, origin: `http://${at}`, close() { server.close(); server.closeAllConnections(); } };
}

module.exports = { servePages };

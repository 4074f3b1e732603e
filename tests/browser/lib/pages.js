'use strict';
// Serves the readers' page, from an origin of its own.
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const FILES = { '/': 'reader.html', '/reader.mjs': 'reader.mjs', '/awkward.mjs': 'awkward.mjs' };

async function servePages() {
  const server = http.createServer((request, response) => {
    const name = FILES[request.url];
    if (!name) return response.writeHead(404).end();
    const type = name.endsWith('.html') ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8';
    response.writeHead(200, { 'content-type': type });
    return response.end(fs.readFileSync(path.join(__dirname, '..', 'page', name)));
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() { server.close(); server.closeAllConnections(); },
  };
}

module.exports = { servePages };

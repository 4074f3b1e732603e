'use strict';
// A forward proxy that knows a few names: what a browser asks of them comes here, so that they need no name server. A name leads to a
// server, or to pages that are given as text. It keeps what each request to a server said of itself.
const http = require('node:http');

class Names {
  /** @param {Record<string, string | Record<string, { body: string, headers?: object }>>} names to `host:port`, or to pages by path */
  constructor(names) {
    this.names = names;
    this.asked = [];
    this.server = http.createServer((request, response) => this.pass(request, response));
  }

  async listen() {
    await new Promise((ok) => this.server.listen(0, '127.0.0.1', ok));
    this.at = `127.0.0.1:${this.server.address().port}`;
    return this;
  }

  pass(request, response) {
    const url = URL.canParse(request.url) ? new URL(request.url) : null;
    const known = url && this.names[url.hostname];
    if (!known) return response.writeHead(404).end();
    if (typeof known === 'object' && known[url.pathname]) {
      const { body, headers } = known[url.pathname];
      return response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(body);
    }
    const to = typeof known === 'string' ? known : known.server;
    if (!to) return response.writeHead(404).end();
    const { origin, referer, cookie, 'sec-fetch-site': site } = request.headers;
    this.asked.push({ path: url.pathname, origin, referer, cookie, site });
    const [host, port] = to.split(':');
    const onward = http.request({ host, port, path: url.pathname + url.search, method: request.method, headers: request.headers, setHost: false });
    onward.on('response', (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
    return undefined;
  }

  close() { this.server.close(); this.server.closeAllConnections(); }
}

module.exports = { Names };

'use strict';
// A proxy as many are set up: it names the server behind it in `Host`, and not what the browser asked for.
const http = require('node:http');
const net = require('node:net');

/** @param {string} server host:port @param {string} pages host:port of what is below `/page/` */
async function changesHost(server, pages) {
  const to = (url) => (url.startsWith('/page/') ? pages : server).split(':');
  const sockets = new Set();
  const proxy = http.createServer((request, response) => {
    const [host, port] = to(request.url);
    const headers = { ...request.headers, host: 'backend', connection: 'close' };
    const up = http.request({ host, port, method: request.method, path: request.url, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    up.on('error', () => response.destroy());
    response.on('close', () => up.destroy());
    request.pipe(up);
  });
  proxy.on('upgrade', (request, socket, head) => {
    const [host, port] = to(request.url);
    const up = net.connect(Number(port), host, () => {
      const lines = [`GET ${request.url} HTTP/1.1`];
      for (const [name, value] of Object.entries({ ...request.headers, host: 'backend' })) lines.push(`${name}: ${value}`);
      up.write(`${lines.join('\r\n')}\r\n\r\n`);
      up.write(head);
      socket.pipe(up).pipe(socket);
    });
    for (const [one, other] of [[up, socket], [socket, up]]) one.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  proxy.on('connection', (socket) => sockets.add(socket));
  await new Promise((ok) => proxy.listen(0, '127.0.0.1', ok));
  const close = () => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  };
  return { origin: `http://127.0.0.1:${proxy.address().port}`, close };
}

module.exports = { changesHost };

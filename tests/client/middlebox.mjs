// Proxies that spoil one thing each, and report what passed.
import http from 'node:http';
import net from 'node:net';
import { EventEmitter } from 'node:events';

/**
 * @param {string} target host:port
 * @param {{ idle?: number, upgrades?: () => boolean, hold?: (url: string) => boolean, lose?: (request: http.IncomingMessage) => boolean, status?: (url: string) => number }} how
 *   idle: milliseconds of silence from the server after which a connection is cut; upgrades: WebSockets pass; hold: the response is given on when it is whole; lose: the request passes and its answer is cut off
 */
export async function middlebox(target, { idle = 0, upgrades = () => false, hold = () => false, lose = () => false, status = () => 0 } = {}) {
  const [host, port] = target.split(':');
  const seen = [];
  const events = new EventEmitter();
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    seen.push(request.url);
    if (status(request.url)) return void response.writeHead(status(request.url)).end('<html>gateway</html>');
    const { connection, ...headers } = request.headers;
    const up = http.request({ host, port, method: request.method, path: request.url, headers, agent: false }, (answer) => {
      if (lose(request)) return void answer.resume().on('end', () => response.destroy());
      if (!hold(request.url)) {
        response.writeHead(answer.statusCode, answer.headers);
        return void answer.pipe(response);
      }
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => response.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(parts)));
    });
    // As gateways do: their own answer if there was none yet, else the end in the middle of it.
    if (idle) up.setTimeout(idle, () => (response.headersSent ? response.destroy() : response.writeHead(504).end()));
    up.on('error', () => response.destroy());
    response.on('close', () => up.destroy());
    request.pipe(up);
  });
  server.on('upgrade', (request, socket, head) => {
    seen.push(`upgrade ${request.url}`);
    sockets.add(socket);
    socket.on('error', () => {});
    if (!upgrades()) return void socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n');
    const up = net.connect(Number(port), host, () => {
      const lines = [`GET ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      up.write(`${lines.join('\r\n')}\r\n\r\n`);
      up.write(head);
      socket.pipe(up).pipe(socket);
    });
    if (idle) {
      let timer;
      const again = () => { clearTimeout(timer); timer = setTimeout(() => socket.destroy(), idle); };
      up.on('data', again).on('connect', again).on('close', () => clearTimeout(timer));
    }
    let pieces = 0;
    socket.on('data', () => events.emit('up', pieces += 1));
    up.on('error', () => socket.destroy());
    socket.on('close', () => up.destroy());
  });
  server.on('connection', (socket) => sockets.add(socket));
  const listen = (at) => new Promise((ok) => server.listen(at, '127.0.0.1', ok));
  await listen(0);
  const own = server.address().port;
  /** Nothing passes any more, and what is open is cut. */
  const down = () => new Promise((ok) => {
    server.close(ok);
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  });
  /** Resolves once `count` pieces have gone up one and the same WebSocket. */
  const heard = (count) => new Promise((ok) => events.on('up', (pieces) => pieces >= count && ok()));
  return { heard, address: `127.0.0.1:${own}`, seen, down, up: () => listen(own), close: down };
}

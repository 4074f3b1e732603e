/**
 * The package `ws`, as it is compared with: every connection gets whatever a backend posts.
 *
 *     node ws.js PORT [--deflate]
 *
 * A WebSocket handshake at any path subscribes; POST /publish sends its body to all connections, a text message for each line.
 * With --deflate messages are compressed for clients that offer it, however short they are.
 */
import http from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

const perMessageDeflate = process.argv.includes('--deflate') && {
  threshold: 0,
  // Each message by itself, as others do: otherwise every connection would keep a window.
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
};

const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/publish') publish(request, response);
  else response.writeHead(404).end();
});
server.keepAliveTimeout = 300_000;
const sockets = new WebSocketServer({ server, perMessageDeflate });

function publish(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    for (const line of Buffer.concat(chunks).toString().split('\n')) if (line !== '') broadcast(Buffer.from(line));
    response.end();
  });
}

/** The loop of the package's own documentation; a Buffer, so that the text is encoded once and not for each connection. */
function broadcast(message) {
  for (const socket of sockets.clients) {
    if (socket.readyState === WebSocket.OPEN) socket.send(message, { binary: false });
  }
}

server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });

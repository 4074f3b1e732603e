/**
 * SockJS-node, as it is compared with: one service that says to every session whatever a backend posts.
 *
 *     node sockjs.js PORT
 *
 * GET /broadcast/{server}/{session}/eventsource (or any other transport) subscribes; POST /publish says its body to all
 * sessions, a line of application/x-ndjson each.
 */
import http from 'node:http';
import sockjs from 'sockjs';

const sessions = new Set();
const service = sockjs.createServer({
  prefix: '/broadcast',
  log: () => {},
  // By default a stream is ended after 128 KiB and opened again. Here, as with the others, it stays.
  response_limit: 1 << 30,
});
service.on('connection', (session) => {
  if (!session) return;
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
});

function publish(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString();
    const batch = request.headers['content-type'] === 'application/x-ndjson';
    const messages = batch ? body.split('\n').filter((line) => line !== '') : [body];
    for (const message of messages) for (const session of sessions) session.write(message);
    response.end();
  });
}

const server = http.createServer();
server.keepAliveTimeout = 300_000;
server.on('request', (request, response) => {
  if (request.method === 'POST' && request.url === '/publish') publish(request, response);
  else if (!request.url.startsWith('/broadcast/')) response.writeHead(404).end();
});
service.installHandlers(server);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });

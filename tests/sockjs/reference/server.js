'use strict';
// The services of the protocol's test suite by sockjs-node: node server.js HEARTBEAT_MS DISCONNECT_MS CLIENT_URL. Prints its port.
const http = require('node:http');
const sockjs = require('sockjs');

const [heartbeat, disconnect, client] = process.argv.slice(2);
const server = http.createServer((request, response) => response.writeHead(404).end());

function serve(prefix, options, connected) {
  const service = sockjs.createServer({
    prefix, log: () => {}, heartbeat_delay: Number(heartbeat), disconnect_delay: Number(disconnect), sockjs_url: client, ...options,
  });
  service.on('connection', (session) => session && connected(session));
  service.installHandlers(server);
}

const echo = (session) => session.on('data', (message) => session.write(message));
const everybody = new Set();

serve('/echo', { response_limit: 4096 }, echo);
serve('/disabled_websocket_echo', { websocket: false }, echo);
serve('/cookie_needed_echo', { jsessionid: true }, echo);
serve('/close', {}, (session) => session.close(3000, 'Go away!'));
serve('/ticker', {}, (session) => {
  const timer = setInterval(() => session.write('tick!'), 1000);
  session.on('close', () => clearInterval(timer));
});
serve('/amplify', {}, (session) => session.on('data', (message) => {
  const n = Math.floor(Number(message));
  session.write('x'.repeat(2 ** (n > 0 && n < 19 ? n : 1)));
}));
serve('/broadcast', {}, (session) => {
  everybody.add(session);
  session.on('close', () => everybody.delete(session));
  session.on('data', (message) => everybody.forEach((other) => other.write(message)));
});

// A refused upgrade whose client has gone ends the process otherwise, which is one of the differences.
process.on('uncaughtException', (error) => process.stderr.write(`${error.stack}\n`));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

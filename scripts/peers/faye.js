/**
 * Faye, as it is compared with: its own HTTP adapter at /bayeux and nothing else. Backends publish by Bayeux too.
 *
 *     node faye.js PORT
 */
import http from 'node:http';
import faye from 'faye';

const server = http.createServer((_, response) => response.writeHead(404).end());
// A poll is held for 45 s, Faye's default; publishers and pollers keep their connections between requests.
server.keepAliveTimeout = 300_000;
new faye.NodeAdapter({ mount: '/bayeux', timeout: 45 }).attach(server);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });

#!/usr/bin/env node
'use strict';
// The configurations of examples/deploy, as they stand, in front of two real nodes: node run.js [words of a test's name...]
// They name fixed ports, addresses and files, so the tests run in a network and a mount namespace of their own, for which they need
// root or user namespaces. ENCKE_BIN names the server's binary; without it, the debug build is made and used.
const { spawnSync } = require('node:child_process');
const { runTests, serverBinary } = require('../lib/runner');

/** What the configurations expect of the machine: the nodes' addresses, and places for certificates, sockets and logs. */
const MACHINE = `
ip link set lo up
ip address add 10.0.0.11/32 dev lo
ip address add 10.0.0.12/32 dev lo
ip address add 10.0.0.13/32 dev lo
for place in /srv /run /var/log /etc/haproxy /etc/nginx; do mount -t tmpfs none "$place"; done
mkdir /srv/tls /var/log/nginx
cd /srv/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=encke.example.com \
  -addext subjectAltName=DNS:encke.example.com -keyout site.key -out site.pem 2>/dev/null
cat site.pem site.key >site-and-key.pem
chmod 644 site.key site-and-key.pem
cd "$OLDPWD"
# Names of the balancer's host, for clients that resolve them.
cp /etc/hosts /srv/hosts
for slot in $(seq 0 16383); do echo "127.0.0.1 s$slot.encke.example.com"; done >>/srv/hosts
for page in $(seq 0 99); do echo "127.0.0.1 p$page.encke.example.com"; done >>/srv/hosts
mount --bind /srv/hosts /etc/hosts
exec "$@"
`;

// For the client library. Older Nodes have these behind flags; the newest have them, and no flags.
const FLAGS = [['WebSocket', '--experimental-websocket'], ['EventSource', '--experimental-eventsource']]
  .filter(([name]) => !(name in globalThis)).map(([, flag]) => flag);

if (process.env.DEPLOY_INSIDE) {
  // All use the same addresses.
  runTests(__dirname, { limitMs: 240_000, atOnce: 1, flags: FLAGS });
} else {
  const own = process.getuid() === 0 ? [] : ['--map-root-user'];
  const namespaces = ['--net', '--mount', ...own];
  if (spawnSync('unshare', [...namespaces, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' }).status !== 0) {
    console.log('note: not run: neither root nor user namespaces here\n0 passed, 0 failed');
    process.exit(0);
  }
  const inside = ['sh', '-euc', MACHINE, 'sh', process.execPath, __filename, ...process.argv.slice(2)];
  const env = { ...process.env, ENCKE_BIN: serverBinary(), DEPLOY_INSIDE: '1' };
  process.exit(spawnSync('unshare', [...namespaces, ...inside], { stdio: 'inherit', env }).status ?? 1);
}

// The backend of examples/backends as it is: two pages exchange messages through it, one asks and leaves.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { assert, isEncke, test } from './rig.mjs';
import { Inbox } from '../bayeux/page/inbox.mjs';

const require = createRequire(import.meta.url);
const SockJS = require('sockjs-client');
const { EnckeNode } = require('../browser/lib/node.js');
const BACKEND = fileURLToPath(new URL('../../examples/backends/pipe.mjs', import.meta.url));
const KEYS = { ENCKE_HOOK_KEY: 'a key of thirty-two bytes, for tests', ENCKE_API_KEY: 'an-api-key-only-for-tests' };

const freePort = () => new Promise((ok) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => ok(port));
  });
});

/** Whether the backend answers yet. */
const answers = (port) => fetch(`http://127.0.0.1:${port}/`, { method: 'POST' }).then(({ status }) => status, () => 0);

async function page(node, user) {
  const socket = new SockJS(`http://${node.public}/u/${user}/pipe?channels=/lines`);
  const [got, closed] = [new Inbox(`strings of ${user}`), new Inbox(`close of ${user}`)];
  socket.onmessage = ({ data }) => got.push(data);
  socket.onclose = ({ code, reason }) => closed.push([code, reason]);
  await new Promise((ok) => { socket.onopen = ok; });
  return { socket, got, closed };
}

test('the example backend: lines for all, an answer for one, and an end', { skip: !isEncke }, async (t) => {
  const port = await freePort();
  const node = new EnckeNode(process.env.ENCKE_BIN, { ...KEYS, ENCKE_PIPE_HOOK: `http://127.0.0.1:${port}/`, ENCKE_SHARDS: '2', ENCKE_ORIGINS: '*' });
  await node.start();
  const backend = spawn(process.execPath, [BACKEND, port], { env: { ...process.env, ...KEYS, API_URL: `http://${node.api}` }, stdio: ['ignore', 'ignore', 'inherit'] });
  t.after(async () => {
    backend.kill();
    await node.end();
  });
  let status = 0;
  for (const deadline = Date.now() + 15000; !status && Date.now() < deadline;) {
    status = await answers(port);
    if (!status) await new Promise((soon) => { setTimeout(soon, 20); });
  }
  assert.equal(status, 401, 'a call without a signature is refused');
  const [alice, bob] = await Promise.all([page(node, 'alice'), page(node, 'bob')]);
  alice.socket.send('hello');
  for (const one of [alice, bob]) assert.deepEqual(await one.got.count(1), ['alice: hello']);
  bob.socket.send('/me');
  assert.match((await bob.got.count(2))[1], /^bob in s[a-z0-9]+$/);
  bob.socket.send('/quit');
  assert.deepEqual(await bob.closed.count(1), [[3000, 'bye']]);
  assert.deepEqual(alice.got.all, ['alice: hello']);
  alice.socket.close();
});

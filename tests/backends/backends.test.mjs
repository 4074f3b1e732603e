// Each backend publishes, issues a token that the node accepts, and answers the node's web hooks.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { LANGUAGES } from './languages.mjs';

const require = createRequire(import.meta.url);
const { EnckeNode } = require('../browser/lib/node');
const run = promisify(execFile);

const KEYS = { ENCKE_TOKEN_KEY: 'a secret of thirty-two bytes, only for tests', ENCKE_API_KEY: 'an-api-key-only-for-tests' };

/** A port that was free a moment ago: the hook's URL must be known before the node starts. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Resolves once a program listens; fails with what it has said if it ends. */
async function listening(child, port) {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { output += text; });
  const ended = once(child, 'exit').then(([code]) => { throw new Error(`the hook ended with ${code}: ${output}`); });
  ended.catch(() => {});
  const connected = () => new Promise((ok) => {
    const socket = net.connect(port, '127.0.0.1', () => ok(true)).on('error', () => ok(false));
    socket.on('connect', () => socket.destroy());
  });
  while (!await Promise.race([connected(), ended])) await new Promise((soon) => { setTimeout(soon, 20); });
}

/** The envelopes of a stream, one after the other. */
async function* envelopes(node, user, token, query) {
  const response = await fetch(`http://${node.public}/u/${encodeURIComponent(user)}/stream?${query}`, {
    headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(20000),
  });
  assert.equal(response.status, 200, `the token is refused`);
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    yield* lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  }
}

async function publishes(node, call, user, token) {
  const stream = envelopes(node, user, token, 'channels=/chat/room1');
  assert.ok((await stream.next()).value.open, 'the stream opens with the token\'s channels');
  const answer = JSON.parse((await call('publish', user, 'grüße "an" alle')).stdout);
  assert.equal(answer.sessions, 1);
  const { value } = await stream.next();
  assert.deepEqual([value.id, value.data], [answer.id, { text: 'grüße "an" alle' }]);
  await stream.return();
}

/** Bayeux messages over one request; resolves to the answers. */
async function bayeux(node, user, token, messages, cookie = '') {
  const response = await fetch(`http://${node.public}/u/${user}/bayeux`, {
    method: 'POST', body: JSON.stringify(messages), signal: AbortSignal.timeout(20000),
    headers: { 'Content-Type': 'application/json', 'Authorization': `Bearer ${token}`, 'Cookie': cookie, 'X-Requested-With': 'test' },
  });
  return { answers: await response.json(), cookie: response.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ') };
}

/** Publishes over Bayeux: the hook decides about `/news`, and answers `/service/ask`. */
async function hooks(node, call, user, mayPublish) {
  const token = (await call('token', user)).stdout.trim();
  const types = ['long-polling'];
  const shaken = await bayeux(node, user, token, [{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: types }]);
  const [{ clientId }] = shaken.answers;
  assert.ok(clientId, JSON.stringify(shaken.answers));
  const sent = [
    { channel: '/news/today', clientId, id: '1', data: 'news' },
    { channel: '/service/ask', clientId, id: '2', data: 'a question' },
    { channel: '/meta/connect', clientId, id: '3', connectionType: 'long-polling', advice: { timeout: 0 } },
  ];
  const { answers } = await bayeux(node, user, token, sent, shaken.cookie);
  const by = (id) => answers.find((answer) => answer.id === id);
  assert.equal(by('1').successful, mayPublish, `${user}: ${JSON.stringify(answers)}`);
  if (!mayPublish) assert.match(by('1').error, /^403/);
  assert.equal(by('2').successful, true, JSON.stringify(answers));
  const told = answers.filter(({ channel, data }) => channel === '/service/ask' && data !== undefined);
  assert.deepEqual(told.map(({ data }) => data), [{ asked: 'a question' }]);
}

for (const [language, { needs, call, hook }] of Object.entries(LANGUAGES)) {
  test(`the backend in ${language} publishes, issues tokens and answers web hooks`, { skip: needs() ? false : `${language} is not on this machine` }, async () => {
    const program = call();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    const node = new EnckeNode(process.env.ENCKE_BIN, { ...KEYS, ENCKE_SERVICE_HOOK: url, ENCKE_POLICY_HOOK: url });
    const env = { ...process.env, ...KEYS };
    const command = hook?.(port) ?? [...program, 'hook', String(port)];
    const child = command.length ? spawn(command[0], command.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] }) : undefined;
    try {
      await Promise.all([node.start(), child && listening(child, port)]);
      const ask = (...args) => run(program[0], [...program.slice(1), ...args], { env: { ...env, API_URL: `http://${node.api}` }, timeout: 20000 });
      const token = (await ask('token', 'alice')).stdout.trim();
      await publishes(node, ask, 'alice', token);
      if (child) await Promise.all([hooks(node, ask, 'alice', false), hooks(node, ask, 'editor', true)]);
    } finally {
      child?.kill('SIGKILL');
      await node.end();
    }
  });
}

const PLACED = Object.entries(LANGUAGES).filter(([, { places }]) => places);
const USERS = ['alice', 'bob', '42', 'ada@example.com', '5f3a9c0e7d', 'a/b', 'ein Benutzer', 'grüße', 'a+b%', '用户', '😀'];

for (const [language, { needs, call }] of PLACED) {
  test(`the backend in ${language} finds the place of a user as the node does`, { skip: needs() ? false : `${language} is not on this machine` }, async () => {
    const program = call();
    const names = ['n1', 'n2', 'n3', 'push-4.example'];
    const nodes = names.map((name) => `${name}=https://${name}`).join(',');
    for (const user of USERS) {
      const own = await run(process.env.ENCKE_BIN, ['place', user], { env: { ENCKE_NODES: nodes } });
      const words = own.stdout.trim().split('\n').map((line) => line.split(/\s+/)[1]);
      const { stdout } = await run(program[0], [...program.slice(1), 'place', user], { env: { ...process.env, NODE_NAMES: names.join(',') }, timeout: 20000 });
      assert.deepEqual(stdout.trim().split(' '), words, user);
    }
  });
}

test('the test vectors of the document are what the node computes', async () => {
  const text = fs.readFileSync(new URL('../../docs/SCALING.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(.+)` \| (\d+) \| `(n\d)` \| `(n\d)` \|$/gm)];
  assert.deepEqual(rows.map(([, user]) => user), USERS);
  for (const [, user, slot, home, deputy] of rows) {
    const { stdout } = await run(process.env.ENCKE_BIN, ['place', user], { env: { ENCKE_NODES: 'n1=a,n2=b,n3=c' } });
    assert.deepEqual(stdout.trim().split('\n').map((line) => line.split(/\s+/)[1]), [slot, home, deputy], user);
  }
});

test('a token of `encke token` opens its user\'s URL with its channels, and no other user\'s', async () => {
  const node = new EnckeNode(process.env.ENCKE_BIN, KEYS);
  try {
    await node.start();
    const made = (...args) => run(process.env.ENCKE_BIN, ['token', ...args], { env: KEYS });
    const token = (await made('--user', 'alice', '--channel', '/chat/**=rw', '--for', '1h')).stdout.trim();
    const stream = envelopes(node, 'alice', token, 'channels=/chat/room1');
    assert.ok((await stream.next()).value.open);
    await stream.return();
    const as = (user, channels) => fetch(`http://${node.public}/u/${user}/poll?channels=${channels}`, { headers: { Authorization: `Bearer ${token}` } });
    assert.deepEqual([(await as('bob', '/chat/room1')).status, (await as('alice', '/news')).status], [403, 403]);
    await assert.rejects(made('--user', 'alice', '--channel', '/chat'), ({ code, stderr }) => code === 2 && stderr.includes('allowed: PATTERN=r'));
  } finally {
    await node.end();
  }
});

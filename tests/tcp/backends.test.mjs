// Servers of the tests' own that behave as servers sometimes do: what a page sees of it.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { LIMIT, Stream, addressOf, freePort, inPlace, startEncke, within } from './rig.mjs';

const MIB = 1 << 20;

/** A server that does this with each connection. Answers where it listens. */
async function serve(place, work) {
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    work(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  place.defer(() => { server.close(); for (const socket of sockets) socket.destroy(); });
  return `127.0.0.1:${server.address().port}`;
}

const echo = (socket) => socket.pipe(socket);

/** A server whose queue of connections is full: further ones get no answer. */
async function unreachable(place) {
  const server = await place.serve('/usr/bin/python3', ['-u', '-c', `
import signal, socket
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(0)
waiting = [socket.socket() for _ in range(4)]
for one in waiting:
    one.setblocking(False)
    one.connect_ex(server.getsockname())
print("port", server.getsockname()[1])
signal.pause()
`], /^port (\d+)$/m);
  return `127.0.0.1:${server.ready[1]}`;
}

/** Memory that Encke has, in bytes. */
function memory(node) {
  const text = fs.readFileSync(`/proc/${node.child.pid}/smaps_rollup`, 'utf8');
  return Number(/^Rss:\s+(\d+) kB$/m.exec(text)[1]) << 10;
}

/** Waits until a count has not grown for a while. Answers it. */
async function stall(count) {
  const deadline = Date.now() + LIMIT;
  for (let last = -1, since = 0; ;) {
    if (count() !== last) [last, since] = [count(), Date.now()];
    else if (Date.now() - since > 1000) return last;
    assert.ok(Date.now() < deadline, 'it never stalls');
    await pause(50);
  }
}

const sum = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

test('backends: one that speaks first, and ends at once', inPlace(async (place) => {
  const words = crypto.randomBytes(3 * MIB);
  const node = await startEncke(place, { first: await serve(place, (socket) => socket.end(words)) });
  const page = await Stream.to(node, 'first');
  assert.deepEqual(await within(page.closed, 'the end'), { code: 1000, reason: '' });
  assert.equal(sum(page.bytes), sum(words), 'all of it came before the end');
}));

test('backends: 64 MiB both ways at once come back equal', inPlace(async (place) => {
  const node = await startEncke(place, { echo: await serve(place, echo) });
  const page = await Stream.to(node, 'echo');
  // What came is not needed as text.
  page.add = () => { for (const check of page.waiting) check(); };
  const all = crypto.randomBytes(64 * MIB);
  page.send(all);
  await page.has(all.length);
  assert.equal(sum(page.bytes), sum(all));
  await page.close();
}));

test('backends: of 50 streams one is stuck, and the others are not', inPlace(async (place) => {
  let stuck;
  const slow = await serve(place, (socket) => { stuck = socket.pause(); });
  const node = await startEncke(place, { echo: await serve(place, echo), slow });
  const blocked = await Stream.to(node, 'slow');
  const others = await Promise.all(Array.from({ length: 49 }, () => Stream.to(node, 'echo')));
  const before = memory(node);
  const held = crypto.randomBytes(64 * MIB);
  blocked.send(held);
  const left = await stall(() => blocked.ws.bufferedAmount);
  assert.ok(left > 32 * MIB, `it is stuck: ${left} bytes are left`);
  const grown = memory(node) - before;
  assert.ok(grown < 4 * MIB, `what nobody takes is not kept: ${grown} bytes more`);
  await Promise.all(others.map(async (page) => {
    const part = crypto.randomBytes(100_000);
    page.send(part);
    await page.has(part.length);
    assert.equal(sum(page.bytes), sum(part));
  }));
  const hash = crypto.createHash('sha256');
  let taken = 0;
  await within(new Promise((done) => {
    stuck.on('data', (bytes) => { hash.update(bytes); taken += bytes.length; if (taken === held.length) done(); }).resume();
  }), () => `${held.length} bytes at the server, only ${taken}`);
  assert.equal(hash.digest('hex'), sum(held));
  await Promise.all([blocked, ...others].map((page) => page.close()));
}));

test('backends: one that floods a page that does not read', inPlace(async (place, context) => {
  const part = crypto.randomBytes(MIB);
  let taken = 0;
  const flood = await serve(place, (socket) => {
    const more = () => {
      if (taken === 64 * MIB) return socket.end();
      return socket.write(part, () => { taken += part.length; more(); });
    };
    socket.once('data', more);
  });
  const node = await startEncke(place, { flood });
  const page = await Stream.to(node, 'flood');
  page.add = () => { for (const check of page.waiting) check(); };
  const before = memory(node);
  page.ws.pause();
  page.send('go');
  const stalled = await stall(() => taken);
  const grown = memory(node) - before;
  context.diagnostic(`the server is stopped after ${stalled} bytes; Encke has ${grown} bytes more`);
  assert.ok(stalled < 48 * MIB, `the server is not stopped: it wrote ${stalled} bytes`);
  assert.ok(grown < 4 * MIB, `Encke keeps what the page does not read: ${grown} bytes more`);
  page.ws.resume();
  assert.deepEqual(await within(page.closed, 'the end'), { code: 1000, reason: '' });
  assert.equal(page.length, 64 * MIB);
  const whole = page.bytes;
  for (let at = 0; at < whole.length; at += MIB) assert.ok(whole.subarray(at, at + MIB).equals(part), `from byte ${at}`);
}));

test('backends: each cause of an end is told apart', inPlace(async (place) => {
  const resets = await serve(place, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const closes = await serve(place, (socket) => socket.end());
  const node = await startEncke(place, {
    refuses: `127.0.0.1:${await freePort()}`, missing: `unix:${place.path('nobody')}`, silent: await unreachable(place), closes, resets,
  }, { ENCKE_TCP_CONNECT_TIMEOUT: '500ms' });
  const list = await (await fetch(`http://${node.public}/u/ada/tcp`)).json();
  assert.deepEqual(list.targets.sort(), ['closes', 'missing', 'refuses', 'resets', 'silent']);
  for (const [target, end] of Object.entries({
    refuses: { code: 1011, reason: 'backend-refused' },
    missing: { code: 1011, reason: 'backend-refused' },
    silent: { code: 1011, reason: 'backend-timeout' },
    closes: { code: 1000, reason: '' },
    resets: { code: 1011, reason: 'backend-reset' },
  })) {
    const page = await Stream.to(node, target);
    if (target === 'resets') page.send('go');
    assert.deepEqual(await within(page.closed, `the end of ${target}`), end, target);
    assert.equal(page.length, 0);
  }
}));

test('backends: what is no target is refused before the WebSocket', inPlace(async (place) => {
  const at = await serve(place, echo);
  const node = await startEncke(place, { echo: at }, { ENCKE_TCP_ALLOW: '127.0.0.0/8=*' });
  for (const target of ['other', 'ECHO', at, encodeURIComponent(at), 'echo%00', 'unix:%2Ftmp']) {
    const ws = new WebSocket(addressOf(node, target));
    const [, response] = await within(once(ws, 'unexpected-response'), `an answer to ${target}`);
    assert.equal(response.statusCode, 404, target);
    const { error } = JSON.parse(Buffer.concat(await response.toArray()).toString());
    assert.equal(error.code, 'tcp-unknown-target', target);
    if (!target.includes('%00')) assert.match(error.reason, /\becho\b/, 'the names are told');
  }
}));

test('backends: a page that closes has sent all that it sent', inPlace(async (place) => {
  const sent = crypto.randomBytes(MIB);
  let end;
  const got = new Promise((done) => { end = done; });
  const sink = await serve(place, async (socket) => end(Buffer.concat(await socket.toArray())));
  const node = await startEncke(place, { sink });
  const page = await Stream.to(node, 'sink');
  page.send(sent);
  await page.close();
  const bytes = await within(got, 'the end at the server');
  assert.equal(sum(bytes), sum(sent));
}));

test('backends: a page that is gone holds no connection, whatever its server does', inPlace(async (place) => {
  const closed = {};
  const ends = (name, work) => {
    let end;
    closed[name] = new Promise((done) => { end = done; });
    return serve(place, (socket) => {
      socket.on('close', end);
      work(socket);
    });
  };
  const node = await startEncke(place, {
    floods: await ends('floods', (socket) => {
      const part = Buffer.alloc(MIB);
      const more = () => socket.write(part, (error) => { if (!error) more(); });
      more();
    }),
    stuck: await ends('stuck', (socket) => {
      // It finds out of a broken connection, though it reads nothing.
      socket.pause();
      const timer = setInterval(() => socket.write('.'), 100);
      socket.on('close', () => clearInterval(timer));
    }),
    idle: await ends('idle', (socket) => socket.resume().on('end', () => socket.end())),
  }, { ENCKE_TCP_HALF_CLOSED: '1s' });
  for (const target of ['floods', 'stuck', 'idle']) {
    const page = await Stream.to(node, target);
    if (target === 'stuck') {
      page.send(crypto.randomBytes(32 * MIB));
      await stall(() => page.ws.bufferedAmount);
    } else page.send('hello');
    if (target === 'floods') {
      await page.has(MIB);
      page.ws.pause();
    }
    page.ws.terminate();
    await within(closed[target], `the end at the server that is ${target}`);
  }
}));

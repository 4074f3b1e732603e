// Publishes: in order, kept while there is no connection, each carried out once.
import test from 'node:test';
import { assert, connect, listening, numbers, sessions, until, withNode } from './rig.mjs';
import { Locks } from './locks.mjs';
import { middlebox } from './middlebox.mjs';

for (const kind of ['ws', 'longpoll']) {
  test(`${kind}: what is published offline is sent once there is a connection, in order and once`, () => withNode({}, async (node, signal) => {
    const proxy = await middlebox(node.public, { upgrades: () => true });
    const hearer = connect(`http://${node.public}/u/bob`, { signal });
    const { got } = await listening(hearer, '/room/1');
    const encke = connect(`http://${proxy.address}/u/alice`, { transports: [kind], signal });
    await encke.publish('/room/1', { n: 0 });
    await proxy.down();
    await until(encke, () => encke.state === 'retrying');
    const ids = numbers(250).map((n) => encke.publish('/room/1', { n: n + 1 }));
    await proxy.up();
    assert.equal(new Set(await Promise.all(ids)).size, 250);
    await until(hearer, () => got.length >= 251);
    assert.deepEqual(got, numbers(251));
    encke.close();
    await proxy.close();
  }));
}

for (const kind of ['ws', 'stream', 'sse', 'longpoll', 'poll']) {
  test(`${kind}: bytes are published as bytes, whatever holds them, in order with the rest`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const got = [];
    await encke.subscribe('/room/1', ({ data, from }) => got.push([data, from]));
    const all = Uint8Array.from({ length: 256 }, (_, n) => n);
    const large = new Uint8Array(150_000).fill(255);
    const sent = [all.buffer, all, new DataView(all.buffer, 254), new Uint8Array(0), 'text', large, new Uint16Array([258])];
    await Promise.all(sent.map((data) => encke.publish('/room/1', data)));
    await encke.publish('/room/1', new Blob(['ü']));
    await until(encke, () => got.length >= 8);
    const expected = [all, all, new Uint8Array([254, 255]), new Uint8Array(0), 'text', large, new Uint8Array([2, 1]), new Uint8Array([0xc3, 0xbc])];
    assert.deepEqual(got.map(([data]) => data), expected);
    assert.ok(got.every(([, from]) => from === 'alice'));
  }));
}

test('how long a publish may be sent again is what the server says', () => withNode({ ENCKE_SESSION_GRACE: '2s', ENCKE_HEARTBEAT: '1s' }, async (node, signal) => {
  const proxy = await middlebox(node.public, { lose: ({ url }) => url.includes('/send') });
  const encke = connect(`http://${proxy.address}/u/alice`, { transports: ['longpoll'], signal });
  await until(encke, () => encke.state === 'live');
  await assert.rejects(encke.publish('/room/1', 1), { code: 'outcome-unknown' });
  encke.close();
  await proxy.close();
}));

test('a publish whose answer is lost is sent again and carried out once', () => withNode({}, async (node, signal) => {
  let losses = 2;
  const lose = ({ url }) => url.includes('/send') && losses-- > 0;
  const proxy = await middlebox(node.public, { lose });
  const hearer = connect(`http://${node.public}/u/bob`, { signal });
  const { got } = await listening(hearer, '/room/1');
  const encke = connect(`http://${proxy.address}/u/alice`, { transports: ['longpoll'], signal });
  await until(encke, () => encke.state === 'live');
  await Promise.all([1, 2, 3].map((n) => encke.publish('/room/1', { n })));
  assert.ok(losses <= 0, 'answers were lost');
  await encke.publish('/room/1', { n: 4 });
  await until(hearer, () => got.includes(4));
  assert.deepEqual(got, [1, 2, 3, 4]);
  assert.ok(proxy.seen.filter((url) => url.includes('/send')).length >= 4, 'it was sent again');
  encke.close();
  await proxy.close();
}));

test('a publish that may have been carried out by a run that is over fails, and is not doubled', () => withNode({}, async (node, signal) => {
  const proxy = await middlebox(node.public, { lose: ({ url }) => url.includes('/send') });
  const encke = connect(`http://${proxy.address}/u/alice`, { transports: ['longpoll'], signal });
  await until(encke, () => encke.state === 'live');
  const outcome = encke.publish('/room/1', 1).catch((error) => error.code);
  while (!proxy.seen.some((url) => url.includes('/send'))) await fetch(`http://${node.public}/health`);
  await node.kill();
  await node.start();
  assert.equal(await outcome, 'outcome-unknown');
  encke.close();
  await proxy.close();
}));

test('what cannot be published says why, and the rest goes on', () => withNode({ ENCKE_MESSAGE_BYTES: '1KiB' }, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal, queue: 3 });
  const all = [encke.publish('/room/*', 1), encke.publish('/room/1', 'x'.repeat(2000)), encke.publish('/room/1', 1), encke.publish('/room/1', 2)];
  const outcomes = await Promise.allSettled(all);
  assert.deepEqual(outcomes.map(({ reason, value }) => reason?.code ?? typeof value), ['bad-channel', 'message-too-large', 'string', 'queue-full']);
  await assert.rejects(encke.publish('/room/1', undefined), TypeError);
  await assert.rejects(encke.publish('/room/1', 1, { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  encke.close();
  await assert.rejects(encke.publish('/room/1', 1), { code: 'closed' });
}));

/** Subscriptions that a new session does not begin with, and one that it does. */
const WANTS = { plain: {}, presence: { presence: true }, conflate: { conflate: 100 }, pattern: {}, last: { last: 5, presence: true } };

for (const kind of ['ws', 'stream', 'sse', 'longpoll', 'poll']) {
  test(`${kind}: what is published while the server is away comes back to its writer`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const heard = {};
    for (const [name, wants] of Object.entries(WANTS)) heard[name] = await listening(encke, name === 'pattern' ? '/pattern/*' : `/${name}`, wants);
    await node.kill();
    await until(encke, () => encke.state === 'retrying');
    const names = Object.keys(WANTS);
    const ids = names.map((name) => encke.publish(name === 'pattern' ? '/pattern/1' : `/${name}`, { n: 1 }));
    await node.start();
    assert.equal(new Set(await Promise.all(ids)).size, names.length);
    for (const name of names) await until(encke, () => heard[name].got.length >= 1);
    assert.deepEqual(names.map((name) => heard[name].got), names.map(() => [1]), 'each once');
  }));

  test(`${kind}: what is published and subscribed to without a connection is done in this order`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    await listening(encke, '/other', { presence: true });
    await node.kill();
    await until(encke, () => encke.state === 'retrying');
    const before = encke.publish('/room/1', { n: 1 });
    const got = [];
    const subscribed = encke.subscribe('/room/1', ({ data }) => got.push(data.n));
    const after = encke.publish('/room/1', { n: 2 });
    await node.start();
    await Promise.all([before, subscribed, after]);
    await until(encke, () => got.includes(2));
    assert.deepEqual(got, [2]);
  }));
}

test('what tabs publish while the server is away comes back to each', () => withNode({}, async (node, signal) => {
  const runtime = { locks: new Locks() };
  const tabs = [0, 1].map(() => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime }));
  const heard = [await listening(tabs[0], '/room/1', { presence: true }), await listening(tabs[1], '/room/*', { conflate: 50 })];
  await node.kill();
  await until(tabs[1], () => tabs[1].state === 'retrying');
  const ids = tabs.map((tab, n) => tab.publish(`/room/${n + 1}`, { n }));
  await node.start();
  await Promise.all(ids);
  await until(tabs[0], () => heard[0].got.length >= 1);
  await until(tabs[1], () => heard[1].got.length >= 2);
  assert.deepEqual([heard[0].got, [...heard[1].got].sort()], [[0], [0, 1]]);
}));

test('a poll that is slow to go out does not take the session back from what was opened meanwhile', () => withNode({}, async (node, signal) => {
  let polled;
  const out = new Promise((done) => { polled = done; });
  let let_go;
  const opened = new Promise((done) => { let_go = done; });
  // As a page of another origin, which asks for leave first: that can be taken back, and what it asks for is never sent.
  const asks = async (url, init) => {
    if (!url.pathname.endsWith('/longpoll') || init.body) return fetch(url, init);
    init.signal.addEventListener('abort', () => polled('taken back'));
    await opened;
    init.signal.throwIfAborted();
    const answer = fetch(url, init);
    while ((await sessions(node, 'alice'))[0].transport !== 'longpoll');
    polled('sent');
    return answer;
  };
  class Late extends WebSocket {
    set onmessage(hear) {
      super.onmessage = async (event) => {
        if (event.data.includes('"open"')) { let_go(); await out; }
        hear(event);
      };
    }
  }
  const encke = connect(`http://${node.public}/u/alice`, { signal, transports: ['ws', 'longpoll'], runtime: { fetch: asks, WebSocket: Late } });
  const causes = [];
  encke.on('state', ({ cause }) => cause && causes.push(cause.code));
  const { got } = await listening(encke, '/room/1');
  await until(encke, () => encke.transport === 'ws');
  assert.equal(await out, 'taken back');
  await encke.publish('/room/1', { n: 0 });
  await until(encke, () => got.length === 1);
  assert.deepEqual(causes, []);
  assert.equal(encke.transport, 'ws');
}));

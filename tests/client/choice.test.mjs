// The automatic choice, behind proxies that spoil one thing each.
import test from 'node:test';
import { assert, connect, listening, numbers, publishNumbers, sessions, states, until, withNode } from './rig.mjs';
import { middlebox } from './middlebox.mjs';

/** Storage as browsers have it. */
const memory = () => {
  const map = new Map();
  return { getItem: (key) => map.get(key) ?? null, setItem: (key, value) => void map.set(key, value), map };
};

/** A silence in which a connection is cut: longer than what is taken for one that never worked. Milliseconds. */
const IDLE = 2500;

/** Runs with a client behind a proxy; messages are published all the while, and none may be lost or doubled. */
const behind = (how, work) => withNode({}, async (node, signal) => {
  const proxy = await middlebox(node.public, how);
  const storage = memory();
  const encke = connect(`http://${proxy.address}/u/alice`, { signal, runtime: { storage } });
  const seen = states(encke);
  let published = 0;
  const { got } = await listening(encke, '/room/1');
  const more = async () => {
    await publishNumbers(node, '/room/1', published, published + 10);
    published += 10;
  };
  try {
    await more();
    const heard = () => until(encke, () => got.length >= published);
    await work({ encke, seen, proxy, node, storage, more, heard, signal });
    await more();
    await until(encke, () => got.length >= published);
    assert.deepEqual(got, numbers(published));
  } finally {
    encke.close();
    await proxy.close();
  }
});

test('it begins with a long poll and moves to a socket when one has let something through', () =>
  behind({ upgrades: () => true }, async ({ encke, seen, proxy, node }) => {
    await until(encke, () => encke.transport === 'ws');
    assert.deepEqual(seen.filter(({ transport }) => transport).map(({ transport, state }) => `${state} ${transport}`).filter((one, i, all) => one !== all[i - 1]),
      ['live longpoll', 'live ws']);
    const echo = proxy.seen.findIndex((url) => url.startsWith('upgrade') && url.includes('echo=1'));
    const moved = proxy.seen.findIndex((url) => url.startsWith('upgrade') && url.includes('session='));
    assert.ok(echo >= 0 && echo < moved, 'it was tried before it was used');
    assert.equal((await sessions(node, 'alice')).length, 1);
    assert.match(encke.why, /^ws is the best/);
  }));

test('what worked on a network is begun with the next time', () => behind({ upgrades: () => true }, async ({ encke, storage, proxy, signal }) => {
  await until(encke, () => encke.transport === 'ws');
  const before = proxy.seen.length;
  const next = connect(`http://${proxy.address}/u/bob`, { signal, runtime: { storage } });
  await until(next, () => next.state === 'live');
  assert.equal(next.transport, 'ws');
  assert.ok(proxy.seen.slice(before).filter((url) => url.includes('bob')).every((url) => url.startsWith('upgrade /u/bob/ws')), 'no detour');
}));

test('where sockets are blocked it takes a stream', () => behind({}, async ({ encke }) => {
  await until(encke, () => encke.transport === 'stream');
  assert.equal(encke.cause, null);
  assert.match(encke.why, /ws is blocked/);
}));

test('where whole responses are held it stays with long polls, and says that something holds back', () =>
  behind({ hold: (url) => /stream|sse/.test(url) }, async ({ encke, node }) => {
    await until(encke, () => encke.state === 'degraded');
    assert.equal(encke.transport, 'longpoll');
    assert.equal(encke.cause.kind, 'middlebox');
    assert.match(encke.why, /ws is blocked, stream is buffered, sse is buffered/);
    assert.deepEqual(encke.tried.map(({ transport, outcome }) => `${transport} ${outcome}`), ['longpoll ok', 'ws blocked', 'stream held-back', 'sse held-back']);
    assert.ok((await sessions(node, 'alice')).length >= 1);
  }));

test('a socket that works no more is given up for what does, without a loss', () => {
  let upgrades = true;
  return behind({ upgrades: () => upgrades }, async ({ encke, seen, proxy, more }) => {
    await until(encke, () => encke.transport === 'ws');
    upgrades = false;
    await proxy.down();
    await more();
    await proxy.up();
    await until(encke, () => encke.transport === 'stream');
    assert.ok(seen.some(({ state, cause }) => state === 'retrying' && cause.kind === 'network'));
    assert.match(encke.why, /ws is blocked/);
  });
});

test('a socket that is cut when it is silent is kept from silence', () =>
  behind({ upgrades: () => true, idle: IDLE }, async ({ encke, proxy }) => {
    await until(encke, () => encke.transport === 'ws');
    // Four pings on one connection: it has been silent for longer than would have had it cut.
    await Promise.race([proxy.heard(4), until(encke, () => encke.transport === 'stream')]);
    assert.equal(encke.transport, 'ws');
  }));

test('streams that are cut again and again when they are silent are given up together', () => behind({ idle: IDLE }, async ({ encke, seen, heard }) => {
  await until(encke, () => encke.transport === 'stream');
  await heard();
  // One that brings nothing from its beginning: what was published may have come by the first.
  encke.reconnect();
  await until(encke, () => encke.state === 'degraded');
  assert.equal(encke.transport, 'longpoll');
  assert.match(encke.why, /stream is cut repeatedly, sse is cut repeatedly/);
  assert.equal(seen.filter(({ state }) => state === 'retrying').length, 3, 'cuts');
}));

test('a gateway without a server, a page in its place and no network at all are distinguished', () => withNode({}, async (node, signal) => {
  let status = 502;
  const proxy = await middlebox(node.public, { status: () => status });
  const encke = connect(`http://${proxy.address}/u/alice`, { signal, transports: ['longpoll'] });
  await until(encke, () => encke.state === 'retrying');
  assert.deepEqual([encke.cause.kind, encke.cause.code, encke.cause.status], ['server', 'gateway', 502]);
  status = 200;
  encke.reconnect();
  await until(encke, () => encke.state === 'retrying' && encke.cause.kind !== 'server');
  assert.deepEqual([encke.cause.kind, encke.cause.code], ['middlebox', 'foreign-answer']);
  await proxy.down();
  encke.reconnect();
  await until(encke, () => encke.state === 'retrying' && encke.cause.kind !== 'middlebox');
  assert.deepEqual([encke.cause.kind, encke.cause.code], ['network', 'unreachable']);
  status = 0;
  await proxy.up();
  encke.reconnect();
  await until(encke, () => encke.state === 'live');
  encke.close();
  await proxy.close();
}));

test('a connection that cannot be replaced is in doubt, and not called live', () => withNode({}, async (node, signal) => {
  let held = false;
  const never = ({ signal: stop }) => new Promise((_, no) => { stop.addEventListener('abort', () => no(stop.reason)); });
  const runtime = { fetch: (url, init) => (held && url.pathname.endsWith('/stream') ? never(init) : fetch(url, init)) };
  const encke = connect(`http://${node.public}/u/alice`, { transports: ['stream'], runtime, signal });
  const { got } = await listening(encke, '/room/1');
  held = true;
  encke.reconnect();
  await until(encke, () => encke.state === 'degraded');
  assert.ok(encke.status.at, 'it says when it tries again');
  held = false;
  await until(encke, () => encke.state === 'live');
  await publishNumbers(node, '/room/1', 0, 1);
  await until(encke, () => got.length === 1);
}));

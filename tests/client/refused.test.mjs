// A server that refuses the client: reported once, with the variable that decides, and no promise stays pending.
import test from 'node:test';
import { createHmac } from 'node:crypto';
import { assert, connect, listening, numbers, sessions, states, until, withNode } from './rig.mjs';
import { Locks } from './locks.mjs';

const KEY = '0123456789abcdef0123456789abcdef';
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function jwt(claims, key = KEY) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'alice', channels: { '/**': 'rw' }, ...claims })}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}
const WRONG = jwt({}, 'another key of thirty-two bytes!');
const secured = (work) => withNode({ ENCKE_TOKEN_KEY: KEY }, (node, signal) => work(`http://${node.public}/u/alice`, signal, node));
/** What came of promises: the code of an error, or `ok`. */
const outcomes = (all) => Promise.all(all.map((one) => one.then(() => 'ok', ({ code }) => code)));

const TOKENS = { 'no-token': undefined, 'bad-token': WRONG, 'token-expired': jwt({ exp: 1 }), 'foreign-user': jwt({ sub: 'bob' }) };

for (const kind of ['ws', 'stream', 'sse', 'longpoll', 'poll']) {
  test(`${kind}: what is published to a server that refuses the token is rejected with its code`, () => secured(async (url, signal) => {
    for (const [code, token] of Object.entries(TOKENS)) {
      const encke = connect(url, { signal, transports: [kind], token });
      const waiting = numbers(3).map((n) => encke.publish('/room/1', n));
      assert.deepEqual(await outcomes(waiting), [code, code, code]);
      assert.equal(encke.state, 'refused');
      assert.deepEqual([encke.cause.kind, encke.cause.code], ['auth', code]);
      assert.match(encke.cause.reason, /ENCKE_TOKEN_KEY/);
      assert.deepEqual(await outcomes([encke.publish('/room/1', 4)]), [code], 'later ones at once');
      encke.close();
    }
  }));
}

test('an awaited subscription is rejected, and succeeds once the token is better', () => secured(async (url, signal) => {
  const encke = connect(url, { signal, token: WRONG });
  const got = [];
  const hear = ({ data }) => got.push(data);
  await assert.rejects(async () => encke.subscribe('/room/1', hear), { code: 'bad-token' });
  await assert.rejects(async () => encke.subscribe('/room/2', hear), { code: 'bad-token' });
  encke._endpoint._token = jwt({});
  encke.reconnect();
  await until(encke, () => encke.state === 'live');
  await encke.publish('/room/1', 1);
  await encke.publish('/room/2', 2);
  await until(encke, () => got.length === 2);
  assert.deepEqual(got, [1, 2], 'what was rejected is not sent later');
}));

test('the publishes of all tabs are rejected, also of those that do not lead', () => secured(async (url, signal) => {
  const runtime = { locks: new Locks() };
  const tabs = [0, 1].map(() => connect(url, { signal, share: true, runtime, token: WRONG }));
  const early = tabs.map((tab) => tab.publish('/room/1', 1));
  assert.deepEqual(await outcomes(early), ['bad-token', 'bad-token']);
  await until(tabs[1], () => tabs[1].state === 'refused');
  assert.deepEqual(await outcomes(tabs.map((tab) => tab.publish('/room/1', 2))), ['bad-token', 'bad-token']);
}));

for (const kind of ['ws', 'longpoll']) {
  test(`${kind}: a session that ends for good rejects what waits`, () => withNode({}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { signal, transports: [kind] });
    await listening(encke, '/room/1');
    // A poll that has not arrived yet could not be answered.
    while (!(await sessions(node, 'alice'))[0].attached);
    await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
    await until(encke, () => encke.state === 'refused');
    assert.deepEqual(await outcomes([encke.publish('/room/1', 1)]), ['ended']);
  }));
}

// ---- pages: a page of another origin does not learn why a request failed, and of its sockets nothing at all ----

/** A `fetch` as a page of an origin has it. */
const pageFetch = (page) => async (url, init = {}) => {
  const { mode, ...rest } = init;
  const isForeign = page !== new URL(url).origin;
  const says = rest.method === 'POST' || isForeign ? { origin: page } : {};
  const response = await fetch(url, { ...rest, headers: { ...rest.headers, ...says, 'sec-fetch-site': isForeign ? 'cross-site' : 'same-origin' } });
  if (!isForeign) return response;
  if (mode === 'no-cors') return { ok: false, type: 'opaque' };
  const open = [page, '*'].includes(response.headers.get('access-control-allow-origin'));
  if (!open) throw new TypeError('Failed to fetch');
  return response;
};

async function asPage(page, work) {
  globalThis.location = new URL(`${page}/`);
  try {
    await work();
  } finally {
    delete globalThis.location;
  }
}

const PAGE = 'http://page.example';

for (const transports of [undefined, ['longpoll'], ['stream']]) {
  test(`an origin that is not listed is refused, and the variable is named: ${transports ?? 'any transport'}`, () => withNode({}, (node, signal) => asPage(PAGE, async () => {
    const encke = connect(`http://${node.public}/u/alice`, { signal, transports, share: false, runtime: { fetch: pageFetch(PAGE) } });
    const waiting = encke.publish('/room/1', 1);
    await until(encke, () => encke.state === 'refused');
    assert.deepEqual([encke.cause.kind, encke.cause.code, encke.cause.status], ['server', 'origin-refused', 403]);
    assert.match(encke.cause.reason, /ENCKE_ORIGINS .*http:\/\/page\.example/);
    assert.deepEqual(await outcomes([waiting]), ['origin-refused']);
    assert.deepEqual(await sessions(node, 'alice'), []);
  })));
}

test('a listed origin whose answers are cut is not taken for one that is refused', () => withNode({ ENCKE_ORIGINS: PAGE }, (node, signal) => asPage(PAGE, async () => {
  const asked = pageFetch(PAGE);
  let cuts = 0;
  const runtime = { fetch: (url, init) => {
    if (!url.pathname.endsWith('/longpoll') || cuts >= 3) return asked(url, init);
    cuts += 1;
    return Promise.reject(new TypeError('Failed to fetch'));
  } };
  const encke = connect(`http://${node.public}/u/alice`, { signal, share: false, transports: ['longpoll'], runtime });
  const seen = states(encke);
  await until(encke, () => encke.state === 'live');
  assert.equal(cuts, 3);
  assert.deepEqual([...new Set(seen.filter(({ state }) => state === 'retrying').map(({ cause }) => cause.code))], ['unreachable']);
})));

/** A socket whose handshake names a page, which the server takes for a foreign one: a proxy has changed `Host`. */
class Foreign extends EventTarget {
  constructor() { super(); queueMicrotask(() => this.onerror?.()); }
  close() {}
}

for (const [transports, state] of [[undefined, 'live'], [['ws'], 'refused']]) {
  test(`a socket that is refused because a proxy changes Host is reported as that: ${transports ?? 'any transport'}`, () => withNode({}, async (node, signal) => {
    // The browser's own word makes all but sockets a page of the server's own.
    await asPage('http://public.example', async () => {
      const fetching = (url, init) => fetch(url, { ...init, headers: { ...init.headers, 'sec-fetch-site': 'same-origin' } });
      const encke = connect(`http://${node.public}/u/alice`, { signal, transports, share: false, runtime: { WebSocket: Foreign, fetch: fetching } });
      await until(encke, () => encke.tried.some(({ transport, outcome }) => transport === 'ws' && outcome === 'origin-refused') || encke.state === 'refused');
      await until(encke, () => encke.state === state);
      if (transports) assert.deepEqual([encke.cause.code, encke.cause.kind], ['origin-refused', 'middlebox']);
      else assert.match(encke.why, /ws is refused \(ENCKE_ORIGINS\)/);
      if (transports) assert.match(encke.cause.reason, /ENCKE_ORIGINS.*Host/);
      // To ask leaves no session; the probe of the next transport has one of its own for a moment.
      while ((await sessions(node, 'alice')).length > 1);
    });
  }));
}

test('a socket that is blocked on the way is reported as that', () => withNode({}, async (node, signal) => {
  await asPage(`http://${node.public}`, async () => {
    const fetching = (url, init) => fetch(url, { ...init, headers: { ...init.headers, 'sec-fetch-site': 'same-origin' } });
    const encke = connect(`http://${node.public}/u/alice`, { signal, share: false, runtime: { WebSocket: Foreign, fetch: fetching } });
    await until(encke, () => encke.transport === 'stream');
    assert.match(encke.why, /ws is blocked/);
  });
}));

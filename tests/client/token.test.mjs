// Tokens: refused, renewed, about to end.
import test from 'node:test';
import { createHmac } from 'node:crypto';
import { assert, connect, listening, publishNumbers, states, until, withNode } from './rig.mjs';

const KEY = '0123456789abcdef0123456789abcdef';
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function jwt(claims, key = KEY) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'alice', channels: { '/**': 'rw' }, ...claims })}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}
const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const secured = (work) => withNode({ ENCKE_TOKEN_KEY: KEY }, (node, signal) => work(node, signal, `http://${node.public}/u/alice`));

for (const kind of ['ws', 'stream', 'sse', 'longpoll']) {
  test(`${kind}: a refused token is requested again`, () => secured(async (_, signal, url) => {
    const tokens = [jwt({}, 'another key of thirty-two bytes!'), jwt({})];
    const encke = connect(url, { transports: [kind], signal, token: async () => tokens.shift() });
    await until(encke, () => encke.state === 'live');
    assert.deepEqual(tokens, []);
  }));

  test(`${kind}: a token that ends is renewed before, and nothing is lost`, () => secured(async (node, signal, url) => {
    let given = 0;
    const token = () => { given += 1; return jwt({ exp: inSeconds(given === 1 ? 2 : 3600) }); };
    const encke = connect(url, { transports: [kind], signal, token });
    const { got } = await listening(encke, '/room/1');
    const seen = states(encke);
    const before = encke.session;
    await publishNumbers(node, '/room/1', 0, 1);
    // Messages continue until well after the first token has expired.
    const over = Date.now() + 2500;
    let n = 1;
    while (Date.now() < over) {
      await publishNumbers(node, '/room/1', n, n + 1);
      n += 1;
      await until(encke, () => got.length >= n);
    }
    assert.deepEqual(got, Array.from({ length: n }, (_, i) => i));
    assert.equal(given, 2);
    assert.equal(encke.session, before, 'the same session');
    assert.ok(seen.every(({ state }) => state === 'live'), JSON.stringify(seen));
  }));
}

test('an expired session is replaced by one with a new token, at the same position', () => secured(async (node, signal, url) => {
  let given = 0;
  // The library is kept from seeing the end coming: the first token hides it from a careless reader.
  const token = () => { given += 1; return jwt({ exp: inSeconds(given === 1 ? 2 : 3600) }); };
  const encke = connect(url, { transports: ['stream'], signal, token });
  encke._endpoint._onRenewed = () => {};
  const { got } = await listening(encke, '/room/1');
  const before = encke.session;
  await until(encke, () => encke.session !== before && encke.state === 'live');
  await publishNumbers(node, '/room/1', 0, 1);
  await until(encke, () => got.length === 1);
}));

test('without another token the user is refused, and may try again', () => secured(async (_, signal, url) => {
  const encke = connect(url, { signal, token: jwt({ exp: inSeconds(-10) }) });
  await until(encke, () => encke.state === 'refused');
  assert.deepEqual([encke.cause.kind, encke.cause.code, encke.cause.status], ['auth', 'token-expired', 401]);
  encke._endpoint._token = jwt({});
  encke.reconnect();
  await until(encke, () => encke.state === 'live');
}));

test('a forbidden subscription is refused by itself, and the others go on', () => secured(async (_, signal, url) => {
  const encke = connect(url, { signal, token: jwt({ channels: { '/open/*': 'r' } }) });
  const errors = [];
  encke.on('error', (error) => errors.push(error.code));
  await assert.rejects(async () => encke.subscribe('/secret/1'), { code: 'forbidden' });
  await encke.subscribe('/open/1');
  assert.deepEqual(errors, ['forbidden']);
  await assert.rejects(encke.publish('/open/1', 1), { code: 'forbidden' });
}));

test('a new token that allows less takes away what it does not allow, and nothing else', () => secured(async (node, signal, url) => {
  const tokens = [jwt({ channels: { '/a': 'r', '/b': 'r' } }), jwt({ channels: { '/b': 'r' } })];
  const encke = connect(url, { transports: ['stream'], signal, token: () => tokens.shift() ?? jwt({ channels: { '/b': 'r' } }) });
  const [a, b] = [await listening(encke, '/a'), await listening(encke, '/b')];
  await encke._endpoint._authorize(true);
  await node.call('/publish', { channel: '/b', data: 0 });
  await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
  await until(encke, () => encke.state === 'refused');
  assert.equal(encke.cause.code, 'ended');
  encke.reconnect();
  await until(encke, () => encke.state === 'live');
  await node.call('/publish', [{ channel: '/a', data: 1 }, { channel: '/b', data: 1 }]);
  await until(encke, () => b.got.length >= 2);
  assert.deepEqual([a.got, b.got], [[], [0, 1]]);
}));

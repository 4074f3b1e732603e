// What pages have in their hands: iterators, signals, and the files that the server serves.
import test from 'node:test';
import vm from 'node:vm';
import { assert, connect, listening, numbers, publishNumbers, sessions, states, until, withNode } from './rig.mjs';
import { echo, read, withTarget } from './backends.mjs';

test('a subscription is iterated, and ends with its signal', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const stop = new AbortController();
  const subscription = encke.subscribe('/room/1', { signal: stop.signal });
  const got = [];
  const reader = (async () => {
    for await (const { data } of subscription) {
      got.push(data.n);
      if (got.length === 5) stop.abort();
    }
  })();
  assert.equal((await subscription).channel, '/room/1');
  await publishNumbers(node, '/room/1', 0, 5);
  await reader;
  assert.deepEqual(got, numbers(5));
  for await (const _ of subscription) assert.fail('it is over');
}));

test('after an unsubscribe nothing arrives, except for other subscriptions', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const [a, b] = [await listening(encke, '/room/1'), await listening(encke, '/room/*')];
  encke.unsubscribe('/room/*');
  await encke.publish('/room/1', { n: 0 });
  await until(encke, () => a.got.length === 1);
  assert.deepEqual([a.got, b.got], [[0], []]);
  a.subscription.unsubscribe();
  while ((await sessions(node, 'alice'))[0].channels.some((name) => name.startsWith('/room')));
}));

test('a listener that throws does not keep others from being called', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const caught = [];
  globalThis.reportError = (error) => caught.push(error.message);
  await encke.subscribe('/room/1', () => { throw new Error('a page\'s own'); });
  const { got } = await listening(encke, '/room/1');
  await encke.publish('/room/1', { n: 0 });
  await until(encke, () => got.length === 1);
  assert.deepEqual(caught, ['a page\'s own']);
  delete globalThis.reportError;
}));

test('closing ends the session, and an aborted signal closes', () => withNode({}, async (node, signal) => {
  const stop = new AbortController();
  const encke = connect(`http://${node.public}/u/alice`, { signal: AbortSignal.any([signal, stop.signal]) });
  const seen = states(encke);
  await encke.subscribe('/room/1');
  const waiting = encke.subscribe('/room/2');
  stop.abort();
  assert.equal(seen.at(-1).state, 'closed');
  await assert.rejects(async () => waiting, { code: 'closed' });
  while ((await sessions(node, 'alice')).length);
}));

/** A file of the server, as a page of another origin gets it. */
async function served(node, name) {
  const url = `http://${node.public}/${name}`;
  const headers = { origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' };
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8');
  assert.equal(response.headers.get('access-control-allow-origin'), '*');
  assert.equal(response.headers.get('cross-origin-resource-policy'), 'cross-origin');
  const tag = response.headers.get('etag');
  assert.equal((await fetch(url, { headers: { ...headers, 'if-none-match': tag } })).status, 304);
  return response.text();
}

const asModule = (text) => import(`data:text/javascript,${encodeURIComponent(text)}`);

test('the server serves its files to pages of any origin, and 304 to a client that has them', async () => withTarget(await echo(), {}, async (node, signal) => {
  for (const [name, more] of [['encke.js', 'encke.tcp.js'], ['encke.classic.js', 'encke.tcp.classic.js']]) {
    const [text, moreText] = [await served(node, name), await served(node, more)];
    const library = name === 'encke.js' ? await asModule(text) : vm.runInThisContext(`${text}\nEncke`);
    const encke = library.connect(`http://${node.public}/u/alice`, { signal });
    const got = [];
    await encke.subscribe('/room/1', ({ data }) => got.push(data));
    await encke.publish('/room/1', name);
    await until(encke, () => got.length === 1);
    assert.deepEqual(got, [name]);
    delete globalThis[Symbol.for('encke.tcp')];
    assert.throws(() => encke.tcp('there'), /encke.tcp.js is not loaded/);
    const { tcp } = name === 'encke.js' ? await asModule(moreText) : vm.runInThisContext(`${moreText}\nEncke`);
    for (const stream of [encke.tcp('there'), tcp(encke, 'there')]) {
      await stream.writable.getWriter().write(more);
      assert.equal(String(await read(stream.readable, more.length)), more);
    }
  }
}));

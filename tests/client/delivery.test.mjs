// Each transport forced, through cuts, restarts, drains and recycling: nothing is lost or doubled without a word.
import test from 'node:test';
import { Cutter, assert, connect, listening, numbers, publishNumbers, sessions, states, until, withNode } from './rig.mjs';

const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];

for (const kind of KINDS) {
  test(`${kind}: 1,000 messages across three cuts, none lost or doubled`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const cutter = new Cutter(node.public);
    const address = await cutter.listen();
    const encke = connect(`http://${address}/u/alice`, { transports: [kind], signal });
    try {
      const gaps = [];
      encke.on('gap', (gap) => gaps.push(gap));
      const { got } = await listening(encke, '/room/*');
      assert.equal(encke.transport, kind);
      for (let round = 0; round < 4; round += 1) {
        if (round) cutter.cutAfter(3000);
        await publishNumbers(node, '/room/1', round * 250, (round + 1) * 250);
        await until(encke, () => got.length >= (round + 1) * 250);
      }
      assert.equal(cutter.cuts, 3);
      assert.deepEqual(got, numbers(1000));
      assert.deepEqual(gaps, []);
      assert.equal((await sessions(node, 'alice')).length, 1, 'all in one session');
    } finally {
      encke.close();
      cutter.close();
    }
  }));

  test(`${kind}: a restart of the server is reported as a gap, and subscriptions come back`, () => withNode({}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const gaps = [];
    encke.on('gap', (gap) => gaps.push(gap));
    const { got } = await listening(encke, '/room/1');
    for (const [n, wants] of [{ presence: true }, { conflate: 100 }, { last: 5 }].entries()) await encke.subscribe(`/more/${n}`, wants);
    await publishNumbers(node, '/room/1', 0, 1);
    await until(encke, () => got.length === 1);
    const before = encke.session;
    await node.kill();
    await until(encke, () => encke.state === 'retrying');
    assert.equal(encke.cause.kind, 'network');
    assert.ok(encke.status.at >= Date.now() - 1000, 'when the next attempt is made');
    await node.start();
    await until(encke, () => encke.state === 'live' && gaps.length > 0);
    assert.notEqual(encke.session, before);
    // Behind the requests that were repeated.
    await encke.publish('/other', 1);
    await publishNumbers(node, '/room/1', 1, 3);
    await until(encke, () => got.length >= 3);
    assert.deepEqual(got, [0, 1, 2]);
    assert.equal(gaps.length, 1, 'told once, however many subscriptions there are');
  }));
}

for (const kind of ['stream', 'sse']) {
  test(`${kind}: recycled responses lose nothing`, () => withNode({ ENCKE_RECYCLE_BYTES: '2KiB' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const seen = states(encke);
    const { got } = await listening(encke, '/room/1');
    for (let n = 0; n < 300; n += 20) {
      await publishNumbers(node, '/room/1', n, n + 20);
      await until(encke, () => got.length >= n + 20);
    }
    assert.deepEqual(got, numbers(300));
    assert.deepEqual([...new Set(seen.map(({ state }) => state))], ['live'], 'never without a connection');
    const metrics = await (await fetch(`http://${node.api}/metrics`)).text();
    assert.ok(Number(/^encke_recycled_total (\d+)$/m.exec(metrics)[1]) >= 5, 'it was recycled');
  }));
}

for (const kind of ['ws', 'stream', 'longpoll']) {
  test(`${kind}: a drain is reported as such, and its delay is kept`, () => withNode({ ENCKE_DRAIN: '400ms' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const seen = states(encke);
    const { got } = await listening(encke, '/room/1');
    // Between two polls no client could be informed.
    while (!(await sessions(node, 'alice'))[0].attached);
    const ended = node.term();
    await until(encke, () => encke.state === 'retrying');
    assert.deepEqual([seen.at(-1).cause.kind, seen.at(-1).cause.code], ['server', 'drain']);
    assert.equal(await ended, 0);
    await node.start();
    await until(encke, () => encke.state === 'live');
    await publishNumbers(node, '/room/1', 0, 1);
    await until(encke, () => got.length >= 1);
    assert.deepEqual(got, [0]);
  }));
}

test('a subscription starts with recent messages, and a second one with what is kept', () => withNode({}, async (node, signal) => {
  await publishNumbers(node, '/room/1', 0, 5);
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const first = await listening(encke, '/room/1', { last: 3 });
  await until(encke, () => first.got.length >= 3);
  assert.deepEqual(first.got, [2, 3, 4]);
  const second = await listening(encke, '/room/1', { last: 2 });
  assert.deepEqual(second.got, [3, 4]);
  await publishNumbers(node, '/room/1', 5, 6);
  await until(encke, () => second.got.length >= 3);
  assert.deepEqual([first.got.at(-1), second.got.at(-1)], [5, 5]);
}));

test('bytes come as bytes, and the personal channel without asking', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/al%20ice`, { signal });
  const got = [];
  await encke.subscribe('/u/al%20ice', ({ data, channel }) => got.push([channel, data]));
  await until(encke, () => encke.state === 'live');
  await node.post('/u/al%20ice/publish', new Uint8Array([0, 255]), 'application/octet-stream');
  await until(encke, () => got.length === 1);
  assert.deepEqual(got, [['/u/al%20ice', new Uint8Array([0, 255])]]);
}));

/** A client with two long polls at once, each answer of which `held` may keep back. */
function overlapped(node, signal, held) {
  const polls = [];
  const runtime = {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (!`${url}`.includes('/longpoll')) return response;
      const poll = { url: `${url}`, at: polls.length };
      polls.push(poll);
      await held(poll, init?.signal);
      return response;
    },
  };
  const encke = connect(`http://${node.public}/u/alice`, { transports: ['longpoll'], overlap: true, share: false, runtime, signal });
  return { encke, polls };
}

test('two long polls: an answer that overtakes the other is held until that is in', () => withNode({}, async (node, signal) => {
  const { encke, polls } = overlapped(node, signal, ({ url, at }) => new Promise((done) => {
    // Every other answer is late, and the one after it is there before.
    setTimeout(done, url.includes('overlap') && at % 2 ? 150 : 0);
  }));
  const gaps = [];
  encke.on('gap', (gap) => gaps.push(gap));
  const { got } = await listening(encke, '/room/1');
  for (let n = 0; n < 40; n += 1) {
    await publishNumbers(node, '/room/1', n, n + 1);
    if (n % 4 === 3) await until(encke, () => got.length > n);
  }
  await until(encke, () => got.length >= 40);
  assert.deepEqual(got, numbers(40));
  assert.deepEqual(gaps, []);
  assert.ok(polls.filter(({ url }) => url.includes('overlap=1')).length > 5, 'two at once');
}));

test('two long polls: if one answer never comes, neither counts, and nothing is lost', () => withNode({}, async (node, signal) => {
  let lost = 0;
  const { encke } = overlapped(node, signal, ({ url }, stopped) => new Promise((done, fail) => {
    if (!url.includes('overlap') || lost > 0) return void done();
    lost += 1;
    stopped.addEventListener('abort', () => fail(new Error('given up')));
  }));
  const { got } = await listening(encke, '/room/1');
  for (let n = 0; n < 8; n += 1) {
    await publishNumbers(node, '/room/1', n, n + 1);
    // One message an answer, so that the one after the lost one has what comes next.
    while ((await sessions(node, 'alice'))[0].position.split('-')[1] <= n);
  }
  await until(encke, () => got.length >= 8);
  assert.deepEqual(got, numbers(8));
  assert.equal(lost, 1);
}));

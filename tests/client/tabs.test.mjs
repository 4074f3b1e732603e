// Tabs of one origin: one connection for all, which passes on when the one that has it goes.
import test from 'node:test';
import { assert, connect, listening, numbers, publishNumbers, sessions, until, withNode } from './rig.mjs';
import { Locks } from './locks.mjs';

const tabs = (work) => withNode({}, async (node, signal) => {
  const runtime = { locks: new Locks() };
  const open = (options) => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime, ...options });
  await work(node, open);
});

/** What waits until it is opened. */
function gate() {
  let open;
  return { opened: new Promise((done) => { open = done; }), open };
}

test('three tabs have one session and one connection, and each gets what it subscribed to', () => tabs(async (node, open) => {
  const all = [open(), open(), open()];
  const heard = [await listening(all[0], '/room/1'), await listening(all[1], '/room/1'), await listening(all[2], '/room/2')];
  await publishNumbers(node, '/room/1', 0, 10);
  await publishNumbers(node, '/room/2', 10, 20);
  for (const [i, encke] of all.entries()) await until(encke, () => heard[i].got.length >= 10);
  assert.deepEqual(heard.map(({ got }) => got), [numbers(10), numbers(10), numbers(20).slice(10)]);
  await until(all[2], () => all[2].transport === 'ws');
  assert.deepEqual(all.map(({ leads }) => leads), [true, false, false]);
  const one = await sessions(node, 'alice');
  assert.equal(one.length, 1);
  assert.equal(new Set(all.map(({ session }) => session)).size, 1);
}));

test('when the leader closes, the next takes the session up within a second, and nothing is lost or doubled', () => tabs(async (node, open) => {
  const [first, second, third] = [open(), open(), open()];
  const a = await listening(second, '/room/1');
  const b = await listening(third, '/room/*');
  await publishNumbers(node, '/room/1', 0, 100);
  const session = second.session;
  const began = Date.now();
  first.close();
  await publishNumbers(node, '/room/1', 100, 200);
  const published = third.publish('/room/1', { n: 200 });
  await until(second, () => a.got.length >= 201);
  await until(third, () => b.got.length >= 201);
  assert.ok(Date.now() - began < 1000, `${Date.now() - began} ms`);
  assert.deepEqual([a.got, b.got], [numbers(201), numbers(201)]);
  assert.match(await published, /-/);
  assert.ok(second.leads && !third.leads);
  assert.equal(second.session, session, 'the session goes on');
  assert.equal((await sessions(node, 'alice')).length, 1);
}));

test('a tab that goes takes its subscriptions with it, and the last one the session', () => tabs(async (node, open) => {
  const [first, second] = [open(), open()];
  await listening(first, '/room/1');
  await listening(second, '/room/2');
  const channels = async () => (await sessions(node, 'alice')).flatMap((one) => one.channels).filter((name) => name.startsWith('/room/')).sort();
  assert.deepEqual(await channels(), ['/room/1', '/room/2']);
  second.close();
  while ((await channels()).length > 1);
  assert.deepEqual(await channels(), ['/room/1']);
  first.close();
  while ((await sessions(node, 'alice')).length);
}));

test('a second tab gets the recent messages that the first has kept', () => tabs(async (node, open) => {
  const leader = open();
  const first = await listening(leader, '/room/1');
  await publishNumbers(node, '/room/1', 0, 5);
  await until(leader, () => first.got.length >= 5);
  const second = [];
  for await (const { data } of open().subscribe('/room/1', { last: 3 })) if (second.push(data.n) === 3) break;
  assert.deepEqual([first.got, second], [numbers(5), [2, 3, 4]]);
}));

test('a later tab gets the recent messages that were there before the first, and the first does not', () => tabs(async (node, open) => {
  await publishNumbers(node, '/room/1', 0, 150);
  const leader = open();
  const first = await listening(leader, '/room/1');
  const pattern = await listening(leader, '/room/*');
  await publishNumbers(node, '/room/1', 150, 152);
  await until(leader, () => first.got.length >= 2);
  const others = [open(), open(), open()];
  const later = [await listening(others[0], '/room/1', { last: 5 }), await listening(others[1], '/room/*', { last: 120 }), await listening(others[2], '/room/2', { last: 5 })];
  await publishNumbers(node, '/room/1', 152, 153);
  for (const [i, length] of [6, 121].entries()) await until(others[i], () => later[i].got.length >= length);
  assert.deepEqual(later.map(({ got }) => got), [numbers(153).slice(147), numbers(153).slice(32), []]);
  await until(leader, () => first.got.length >= 3 && pattern.got.length >= 3);
  assert.deepEqual([first.got, pattern.got], [[150, 151, 152], [150, 151, 152]]);
  while ((await sessions(node, 'alice')).length > 1);
}));

test('recent messages that are slow to come: a later tab has what came meanwhile after them, each once', () => tabs(async (node, open) => {
  await publishNumbers(node, '/room/1', 0, 5);
  const recall = gate();
  const runtime = { locks: new Locks(), fetch: async (url, init) => (`${url}`.includes('last=') && await recall.opened, fetch(url, init)) };
  const leader = open({ runtime });
  const first = await listening(leader, '/room/1');
  const tab = open({ runtime });
  await until(tab, () => tab.transport);
  const got = [];
  const subscription = tab.subscribe('/room/1', ({ data }) => got.push(data.n), { last: 4 });
  await publishNumbers(node, '/room/1', 5, 15);
  await until(leader, () => first.got.length >= 10);
  recall.open();
  await subscription;
  await publishNumbers(node, '/room/1', 15, 16);
  await until(tab, () => got.includes(15));
  assert.deepEqual(got, [11, 12, 13, 14, 15]);
}));

test('recent messages that are sooner there than the stream: a later tab has each once', () => tabs(async (node, open) => {
  const [recalled, stream] = [gate(), gate()];
  let passes = Promise.resolve();
  class Slow extends WebSocket {
    set onmessage(hear) { super.onmessage = (event) => passes.then(() => hear(event)); }
  }
  const slow = async (url, init) => {
    const response = await fetch(url, init);
    if (`${url}`.includes('last=')) recalled.open();
    return response;
  };
  const runtime = { locks: new Locks(), WebSocket: Slow, fetch: slow };
  const leader = open({ runtime, transports: ['ws'] });
  const first = await listening(leader, '/room/1');
  const tab = open({ runtime });
  await until(tab, () => tab.transport);
  passes = stream.opened;
  await publishNumbers(node, '/room/1', 0, 5);
  const got = [];
  const subscription = tab.subscribe('/room/1', ({ data }) => got.push(data.n), { last: 3 });
  await recalled.opened;
  stream.open();
  await subscription;
  await publishNumbers(node, '/room/1', 5, 6);
  await until(tab, () => got.includes(5));
  assert.deepEqual([first.got, got], [numbers(6), [2, 3, 4, 5]]);
}));

test('recent messages and those that come meanwhile: a later tab has each once and in order', () => tabs(async (node, open) => {
  const leader = open();
  const first = await listening(leader, '/room/*');
  let next = 0;
  let over = false;
  const flood = (async () => { while (!over) { await publishNumbers(node, '/room/1', next, next + 3); next += 3; } })();
  for (let round = 0; round < 5; round += 1) {
    await until(leader, () => first.got.length >= 150 * (round + 1));
    const tab = open();
    const { got } = await listening(tab, round % 2 ? '/room/1' : '/room/*', { last: 130 });
    await until(tab, () => got.length >= 200);
    assert.deepEqual(got, numbers(got.length).map((n) => n + got[0]));
    tab.close();
  }
  over = true;
  await flood;
}));

test('without locks each tab has its own connection', () => withNode({}, async (node, signal) => {
  const all = [0, 1].map(() => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime: { locks: null } }));
  for (const encke of all) await until(encke, () => encke.state === 'live');
  assert.equal((await sessions(node, 'alice')).length, 2);
  assert.ok(all.every(({ leads }) => leads));
}));

test('what can never connect is refused at once, whichever tab leads', () => tabs(async (_, open) => {
  assert.throws(() => open({ transports: ['frame'] }), /none of the transports frame can be used here/);
  assert.throws(() => open({ transports: [] }), TypeError);
}));

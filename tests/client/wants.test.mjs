// Options of subscriptions: presence, and the newest value at intervals; in one tab and in several.
import test from 'node:test';
import { Cutter, assert, connect, listening, numbers, publishNumbers, sessions, until, withNode } from './rig.mjs';
import { Locks } from './locks.mjs';

const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];
/** Longer than a test waits. */
const LONG = 60_000;

/** The members, as a page keeps them, and a promise that a claim about it comes true. */
function watching(encke, channel, options = {}) {
  const there = new Set();
  let count = 0;
  let look = () => {};
  const subscription = encke.subscribe(channel, () => {}, { presence: ({ users, came = [], left = [], count: now }) => {
    if (users) there.clear();
    for (const user of [...(users ?? []), ...came]) there.add(user);
    for (const user of left) there.delete(user);
    count = now;
    look();
  }, ...options });
  const sees = (...users) => new Promise((done) => {
    const wanted = JSON.stringify(users);
    look = () => JSON.stringify([...there].sort()) === wanted && count === users.length && done();
    look();
  });
  return { there, subscription, sees };
}

for (const kind of KINDS) {
  test(`${kind}: members, joins and leaves, also across a cut`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const cutter = new Cutter(node.public);
    const alice = connect(`http://${await cutter.listen()}/u/alice`, { transports: [kind], signal });
    const { sees } = watching(alice, '/room/1');
    await sees('alice');
    const others = ['bob', 'carol', 'bob'].map((user) => connect(`http://${node.public}/u/${user}`, { signal }));
    for (const other of others) await other.subscribe('/room/1');
    await sees('alice', 'bob', 'carol');
    // Nobody is waited for here: the tab of bob that is left keeps him there.
    others[0].close();
    cutter.cutAfter(1);
    others[1].close();
    await sees('alice', 'bob');
    others[2].close();
    await sees('alice');
    alice.close();
    cutter.close();
  }));

  test(`${kind}: the newest value and not what was overtaken`, () => withNode({ ENCKE_POLL_MAX: '500ms' }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const { got } = await listening(encke, '/ticker/*', { conflate: 400 });
    await publishNumbers(node, '/ticker/1', 0, 1);
    await until(encke, () => got.length === 1);
    await publishNumbers(node, '/ticker/1', 1, 200);
    await until(encke, () => got.at(-1) === 199);
    assert.ok(got.length < 20, `${got.length} values`);
    assert.deepEqual(got, [...got].sort((a, b) => a - b));
  }));
}

test('presence is asked for by a later subscription and given up with it', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const { got } = await listening(encke, '/room/1');
  const heard = [];
  encke.on('presence', (presence) => heard.push(presence));
  const { subscription, sees } = watching(encke, '/room/1');
  await sees('alice');
  subscription.unsubscribe();
  // Its answer is behind that of the change: a join now is not reported.
  await encke.publish('/other', 1);
  const before = heard.length;
  const bob = connect(`http://${node.public}/u/bob`, { signal });
  await bob.subscribe('/room/1');
  await publishNumbers(node, '/room/1', 0, 3);
  await until(encke, () => got.length >= 3);
  assert.deepEqual(got, [0, 1, 2]);
  assert.equal(heard.length, before);
  const again = watching(encke, '/room/1');
  await again.sees('alice', 'bob');
}));

test('a page that wants a value seldom and everything elsewhere gets everything, and seldom again', () => withNode({}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const slow = await listening(encke, '/t', { conflate: LONG });
  await publishNumbers(node, '/t', 0, 1);
  await until(encke, () => slow.got.length === 1);
  const all = await listening(encke, '/t');
  await publishNumbers(node, '/t', 1, 101);
  await until(encke, () => all.got.length >= 100);
  assert.deepEqual(all.got, numbers(101).slice(1));
  all.subscription.unsubscribe();
  // Its answer is behind that of the change.
  await encke.publish('/other', 1);
  await publishNumbers(node, '/t', 101, 102);
  await until(encke, () => slow.got.at(-1) === 101);
  await publishNumbers(node, '/t', 102, 150);
  const personal = await listening(encke, '/u/alice');
  await node.post('/u/alice/publish', '"last"', 'application/json');
  await until(encke, () => personal.got.length === 1);
  assert.equal(slow.got.at(-1), 101, 'the rest was held back');
}));

test('tabs that want different things each get what they want, also from a new leader', () => withNode({}, async (node, signal) => {
  const runtime = { locks: new Locks() };
  const open = () => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime });
  const [first, slow, plain, watcher] = [open(), open(), open(), open()];
  const seldom = await listening(slow, '/room/1', { conflate: LONG });
  const { got } = await listening(plain, '/room/1');
  const { sees } = watching(watcher, '/room/1');
  await sees('alice');
  const bob = connect(`http://${node.public}/u/bob`, { signal });
  await bob.subscribe('/room/1');
  await sees('alice', 'bob');
  await publishNumbers(node, '/room/1', 0, 100);
  first.close();
  await publishNumbers(node, '/room/1', 100, 300);
  await until(plain, () => got.length >= 300);
  assert.deepEqual(got, numbers(300));
  assert.ok(slow.leads);
  assert.ok(seldom.got.includes(299));
  await bob.publish('/room/1', { n: 300 });
  await until(plain, () => got.length >= 301);
  bob.close();
  await sees('alice');
  assert.equal((await sessions(node, 'alice')).length, 1);
}));

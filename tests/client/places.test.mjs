// A client that comes to a node which does not serve its user: it follows to the one that does, and loses nothing.
import test from 'node:test';
import { assert, connect, listening, numbers, publishNumbers, sessions, until, withNode } from './rig.mjs';

const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];

/** Two nodes: users are at home on the second, whose address the first learns. `foreign` is such a user. */
async function withTwo(work) {
  // Of n1 to n3, alice is n3's, and n2 is her deputy.
  await withNode({}, (right, signal) => {
    const nodes = `n1=http://127.0.0.1:1,n2=http://127.0.0.1:2,n3=http://${right.public}`;
    return withNode({ ENCKE_NODES: nodes, ENCKE_NODE: 'n1' }, (wrong) => work({ right, wrong, signal }));
  });
}

const misrouted = async (node) => {
  const text = await (await fetch(`http://${node.api}/metrics`)).text();
  return Number(/^encke_refusals_total\{cause="elsewhere"\} (\d+)$/m.exec(text)?.[1] ?? 0);
};

for (const kind of KINDS) {
  test(`${kind}: the client follows to the node that serves its user`, () => withTwo(async ({ right, wrong, signal }) => {
    const encke = connect(`http://${wrong.public}/u/alice`, { transports: [kind], signal });
    const { got } = await listening(encke, '/room/1');
    assert.equal((await sessions(right, 'alice')).length, 1);
    await encke.publish('/room/1', { n: 0 });
    await publishNumbers(right, '/room/1', 1, 10);
    await until(encke, () => got.length >= 10);
    assert.deepEqual(got, numbers(10));
    const count = await misrouted(wrong);
    assert.ok(count >= 1 && count <= 3, `${count} requests came to the wrong node`);
    encke.close();
  }));
}

test('a client whose node is gone comes back by its own address, and is sent on again', () => withTwo(async ({ right, wrong, signal }) => {
  const encke = connect(`http://${wrong.public}/u/alice`, { transports: ['ws'], signal });
  const gaps = [];
  encke.on('gap', (gap) => gaps.push(gap));
  const { got } = await listening(encke, '/room/1');
  const before = await misrouted(wrong);
  await right.kill();
  await until(encke, () => encke.state === 'retrying');
  await right.start();
  await until(encke, () => encke.state === 'live' && gaps.length === 1);
  await publishNumbers(right, '/room/1', 0, 2);
  await until(encke, () => got.length >= 2);
  assert.deepEqual(got, [0, 1]);
  assert.ok(await misrouted(wrong) > before, 'it asked its own address first');
  encke.close();
}));

test('two nodes that send a client to each other do not keep it busy', () => withNode({}, async (first, signal) => {
  await first.end();
  const place = { ENCKE_NODES: `n1=http://127.0.0.1:1,n2=http://127.0.0.1:2,n3=http://${first.public}`, ENCKE_NODE: 'n1' };
  // It is told that alice is n3's, which is itself by another name: it sends her on as well.
  first.env = { ...first.env, ...place };
  await first.start();
  await withNode(place, async (second) => {
    const encke = connect(`http://${second.public}/u/alice`, { transports: ['ws', 'longpoll'], signal });
    await until(encke, () => encke.state === 'retrying');
    assert.deepEqual([encke.cause.kind, encke.cause.code], ['server', 'elsewhere']);
    assert.ok(await misrouted(second) + await misrouted(first) < 12, 'a backoff between attempts');
    encke.close();
  });
}));

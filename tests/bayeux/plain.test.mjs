// CometD in Node without anything that keeps cookies.
import test from 'node:test';
import { cometd9, version } from './libraries.mjs';
import { assert, publishNumbers, withNode } from './rig.mjs';
import { at, opened } from './suite.mjs';

const NAME = `cometd ${version('cometd-9')} without cookies`;
const make = await cometd9({ retrieveCookies: (context, uri, done) => done(null, []), storeCookie: (uri, header, done) => done() });

async function receives(node, one) {
  const got = await one.subscribe('/room/*');
  await one.publish('/room/1', { n: -1 });
  await publishNumbers(node, '/room/1', 0, 3);
  assert.deepEqual((await got.count(4)).map(({ data }) => data.n), [-1, 0, 1, 2]);
}

test(`${NAME}, long-polling: it gets the reason why it cannot continue, and the log has it once`, () => withNode({ ENCKE_SHARDS: '1' }, async (node, own) => {
  for (const user of ['alice', 'bob']) {
    const one = own(make(at(node.public, user), { type: 'long-polling' }));
    const { error, advice, handshakes, isOver } = await one.failedConnect();
    assert.match(error, /^402::session_unknown: .*cookie.*token.*ENCKE_BAYEUX_TRUST/);
    assert.deepEqual([advice, handshakes, isOver], [{ reconnect: 'none' }, 1, true]);
  }
  assert.equal(node.log.match(/ENCKE_BAYEUX_TRUST=1/g)?.length, 1, node.log);
}));

test(`${NAME}, long-polling: where the client id is trusted, it is served`, () => withNode({ ENCKE_BAYEUX_TRUST: '1' },
  async (node, own) => receives(node, await opened(own, make, at(node.public, 'alice'), 'long-polling'))));

test(`${NAME}, websocket: its socket is its own, and after a restart it makes another session`, () => withNode({}, async (node, own) => {
  const one = await opened(own, make, at(node.public, 'alice'), 'websocket');
  await receives(node, one);
  const before = one.clientId;
  await node.kill();
  await node.start();
  await one.subscribed('/room/*', 2);
  assert.notEqual(one.clientId, before);
}));

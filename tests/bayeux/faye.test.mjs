// Faye in Node: long polls, and WebSocket after a handshake by a poll.
import test from 'node:test';
import { faye, version } from './libraries.mjs';
import { ORDERS, ordering } from './order.mjs';
import { assert, publishNumbers, withNode } from './rig.mjs';
import { at, opened, suite, withheld } from './suite.mjs';

const NAME = `faye ${version('faye')}`;
const make = faye();
suite(NAME, ['long-polling', 'websocket'], make);

test(`${NAME}, long-polling: a client whose cookies are withheld gets the reason, and stops`,
  () => withNode({}, (node, own) => withheld(node, own, make, 'long-polling')));

for (const [how, order] of Object.entries(ORDERS)) {
  test(`${NAME}, websocket: ${how}, and the socket is taken`, () => withNode({}, async (node, own) => {
    const address = await ordering(node, own, order);
    const one = await opened(own, make, at(address, 'alice'), 'websocket');
    const got = await one.subscribe('/room/1');
    await one.publish('/room/1', 'by the socket');
    await publishNumbers(node, '/room/1', 0, 3);
    await got.count(4);
    const handshakes = one.metas.all.filter(({ channel }) => channel === '/meta/handshake');
    assert.equal(handshakes.length, 1, JSON.stringify(one.metas.all));
    await node.hasSession('alice', one.clientId);
  }));
}

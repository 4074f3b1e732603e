// CometD 9 in Node, and what of it does not depend on the transport.
import test from 'node:test';
import { cometd9, version } from './libraries.mjs';
import { Inbox, assert, publishNumbers, withNode } from './rig.mjs';
import { acknowledging, suite, withheld } from './suite.mjs';

const NAME = `cometd ${version('cometd-9')}`;
const TYPES = ['long-polling', 'websocket'];
const make = await cometd9();
suite(NAME, TYPES, make);
acknowledging(NAME, TYPES, make);

test(`${NAME}, long-polling: a client whose cookies are withheld gets the reason, and stops`,
  () => withNode({}, (node, own) => withheld(node, own, make, 'long-polling')));

for (const type of TYPES) {
  test(`${NAME}, ${type}: timesync and timestamp`, () => withNode({}, async (node, own) => {
    const one = own(make(`http://${node.public}/cometd`, { type, extensions: ['TimeSync', 'TimeStamp'] }));
    const answer = await one.open();
    const { tc, ts, p } = answer.ext.timesync;
    assert.ok([tc, ts, p].every(Number.isFinite), JSON.stringify(answer.ext));
    // One machine, one clock.
    assert.ok(Math.abs(one.extensions.TimeSync.getTimeOffset()) < 1000);
    assert.ok(one.extensions.TimeSync.getNetworkLag() >= 0);
    const got = await one.subscribe('/room/1');
    await one.publish('/room/1', 'with a time stamp');
    await got.count(1);
  }));

  test(`${NAME}, ${type}: a second client of the same browser is advised, and both continue`, () => withNode({}, async (node, own) => {
    const context = { jar: {} };
    const url = `http://${node.public}/bayeux`;
    const [one, two] = [own(make(url, { type, context })), own(make(url, { type, context }))];
    await one.open();
    const got = await one.subscribe('/room/1');
    await two.open();
    const both = await two.subscribe('/room/1');
    // A socket holds no connection that another page of the browser would miss.
    if (type === 'long-polling') {
      const advised = ({ advice }) => advice?.['multiple-clients'] === true && advice.interval > 0;
      const told = new Inbox('connects of both');
      for (const client of [one, two]) client.cometd.addListener('/meta/connect', (message) => told.push(message));
      for (const message of [...one.connects, ...two.connects]) told.push(message);
      await told.until((all) => all.some(advised), 'advice of multiple clients');
    }
    await publishNumbers(node, '/room/1', 0, 3);
    for (const inbox of [got, both]) assert.deepEqual((await inbox.count(3)).map(({ data }) => data.n), [0, 1, 2]);
  }));
}

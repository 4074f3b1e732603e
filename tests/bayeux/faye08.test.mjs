// Faye 0.8 in Node, as it was before its promises: its requests bring the cookie, its sockets do not.
import test from 'node:test';
import { createRequire } from 'node:module';
import { version } from './libraries.mjs';
import { Inbox, assert, publishNumbers, withNode } from './rig.mjs';

const Faye = createRequire(import.meta.url)('faye-0');
const NAME = `faye ${version('faye-0')}`;
const TRUSTED = { ENCKE_BAYEUX_TRUST: '1' };

/** A client that has subscribed to /room/*, and what came. */
async function subscribed(node, own, type) {
  const faye = new Faye.Client(`http://${node.public}/u/alice/bayeux`, { retry: 0.5 });
  own({ close: () => faye.disconnect() });
  for (const other of ['in-process', 'websocket', 'long-polling', 'callback-polling']) {
    if (other !== type && (type !== 'websocket' || other !== 'long-polling')) faye.disable(other);
  }
  const [got, metas] = [new Inbox(`events by ${type}`), new Inbox(`meta messages by ${type}`)];
  faye.addExtension({ incoming(message, pass) {
    if (message.channel.startsWith('/meta/')) metas.push(message);
    pass(message);
  } });
  await settled(faye.subscribe('/room/*', (data) => got.push(data)));
  const publish = (channel, data) => settled(faye.publish(channel, data));
  return { faye, got, metas, publish };
}

async function restarted(node) {
  await node.kill();
  await node.start();
}

/** A promise for a result that Faye reports to one of two callbacks. */
const settled = (deferred) => new Promise((yes, no) => {
  deferred.callback(yes);
  deferred.errback(no);
});

const isAnswer = (channel, successful) => (message) => message.channel === channel && message.successful === successful;

for (const type of ['long-polling', 'websocket']) {
  test(`${NAME}, ${type}: subscribe, publish, events of the backend`, () => withNode({}, async (node, own) => {
    const { faye, got, publish } = await subscribed(node, own, type);
    await publish('/room/1', { n: -1 });
    await publishNumbers(node, '/room/1', 0, 3);
    assert.deepEqual((await got.count(4)).map(({ n }) => n), [-1, 0, 1, 2]);
    assert.equal(faye._transport.connectionType, type);
  }));

  const env = type === 'websocket' ? TRUSTED : {};
  test(`${NAME}, ${type}: after a restart it sends a handshake and subscribes again${type === 'websocket' ? ', where the client id is trusted' : ''}`,
    () => withNode(env, async (node, own) => {
      const { got, metas } = await subscribed(node, own, type);
      const before = metas.all.length;
      await restarted(node);
      await metas.until((all) => all.slice(before).some(isAnswer('/meta/subscribe', true)), 'another subscription');
      await publishNumbers(node, '/room/1', 0, 3);
      assert.deepEqual((await got.count(3)).map(({ n }) => n), [0, 1, 2]);
    }));
}

test(`${NAME}, websocket: after a restart its socket lacks the cookie, so that it waits longer each time, and the log says why`,
  () => withNode({}, async (node, own) => {
    const { metas } = await subscribed(node, own, 'websocket');
    node.log = '';
    await restarted(node);
    const refused = ({ channel, error }) => channel === '/meta/connect' && /^402::session_unknown: .*WebSocket.*ENCKE_BAYEUX_TRUST/.test(error ?? '');
    const all = await metas.until((all) => all.filter(refused).length >= 3 && all, 'three refusals');
    assert.deepEqual(all.filter(refused).slice(0, 3).map(({ advice }) => advice),
      [1000, 2000, 4000].map((interval) => ({ reconnect: 'handshake', interval })));
    assert.equal(node.log.match(/ENCKE_BAYEUX_TRUST/g)?.length, 1, node.log);
  }));

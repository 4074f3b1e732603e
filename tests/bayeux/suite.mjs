// What every Bayeux client is put through in Node, whatever its library: `suite(name, types, client)` makes the tests.
import test from 'node:test';
import { SECURED, assert, backend, byHand, cutter, eventSource, jwt, numbers, publishNumbers, socket, withNode, withholding } from './rig.mjs';

export const at = (address, user) => `http://${address}${user ? `/u/${user}` : ''}/bayeux`;

/** A client that is open, by the transport that was asked for and by no other. */
export async function opened(own, make, url, type, options) {
  const one = own(make(url, { type, ...options }));
  await one.open();
  assert.equal(one.type, type);
  return one;
}

async function conversation(node, own, make, type) {
  const [alice, bob] = [await opened(own, make, at(node.public, 'alice'), type), await opened(own, make, at(node.public), type)];
  assert.notEqual(alice.clientId, bob.clientId);
  const [room, rooms, all] = [await alice.subscribe('/room/1'), await bob.subscribe('/room/*'), await bob.subscribe('/deep/**')];
  await bob.publish('/room/1', { text: 'ü☄\u2028</script>' });
  assert.deepEqual((await room.count(1))[0].data, { text: 'ü☄\u2028</script>' });
  // The publisher gets its own message.
  assert.equal((await rooms.count(1))[0].channel, '/room/1');
  await Promise.all(alice.batch(() => numbers(0, 20).map((n) => alice.publish(n % 2 ? '/room/1' : '/deep/a/b/c', n))));
  assert.deepEqual((await rooms.count(11)).slice(1).map(({ data }) => data), numbers(0, 20).filter((n) => n % 2));
  assert.deepEqual((await all.count(10)).map(({ data }) => data), numbers(0, 20).filter((n) => n % 2 === 0));
  await bob.unsubscribe('/room/*');
  await alice.publish('/room/2', 'no subscriber gets this');
  await alice.publish('/deep/end', 'but this');
  await all.count(11);
  assert.equal((await rooms.count(11)).length, 11);
  await node.hasSessions('alice', 1);
  await alice.disconnect();
  await node.hasSessions('alice', 0);
}

async function bothWorlds(node, own, make, type) {
  const carol = await opened(own, make, at(node.public, 'carol'), type);
  const [events, frames] = [await eventSource(node, own, 'dave', '/room/1'), await socket(node, own, 'erin', '/room/1')];
  const [room, mine] = [await carol.subscribe('/room/1'), await carol.subscribe('/u/carol')];
  await carol.publish('/room/1', { from: 'Bayeux' });
  for (const got of [events, frames]) {
    const [{ channel, data }] = await got.count(1);
    assert.deepEqual([channel, data], ['/room/1', { from: 'Bayeux' }]);
  }
  await publishNumbers(node, '/room/1', 0, 3);
  assert.deepEqual((await room.count(4)).slice(1).map(({ data }) => data.n), [0, 1, 2]);
  assert.equal(room.all[1].data.text, 'ü☄\u2028</script>\u0000');
  await node.call('/publish', { channel: '/u/carol', data: 'for Carol' });
  assert.equal((await mine.count(1))[0].data, 'for Carol');
  assert.ok(room.all.every(({ id }) => id === undefined), 'no event has an id');
}

export async function restart(node, own, make, type, address = node.public) {
  const one = await opened(own, make, at(address, 'alice'), type);
  const got = await one.subscribe('/room/*');
  await publishNumbers(node, '/room/1', 0, 1);
  await got.count(1);
  const before = one.clientId;
  await node.kill();
  await node.start();
  // The server knows neither the client nor its subscription; the client finds out, and makes both again.
  await one.subscribed('/room/*', 2);
  assert.notEqual(one.clientId, before);
  await one.typed?.();
  assert.equal(one.type, type);
  await publishNumbers(node, '/room/1', 1, 4);
  assert.deepEqual((await got.count(4)).map(({ data }) => data.n), [0, 1, 2, 3]);
}

async function service(node, own, make, type, hook) {
  const one = await opened(own, make, at(node.public, 'alice'), type);
  const other = await opened(own, make, at(node.public, 'bob'), type);
  const [got, foreign] = [one, other].map((client) => (client.listen ? client.listen('/service/ask') : client.subscribe('/service/ask')));
  await Promise.all([got, foreign]);
  await one.publish('/service/ask', { question: 6 });
  const [call] = await hook.calls.count(1);
  assert.deepEqual([call.event, call.user, call.session, call.channel, call.data],
    ['service', 'alice', one.clientId, '/service/ask', { question: 6 }]);
  const inbox = await got;
  assert.deepEqual((await inbox.count(1))[0].data, { answer: 42 });
  await node.call('/publish', { session: one.clientId, channel: '/service/ask', data: 'later' });
  assert.equal((await inbox.count(2))[1].data, 'later');
  // What is for one session comes to no other, of which one event more is the proof.
  await node.call('/publish', { session: other.clientId, channel: '/service/ask', data: 'to Bob' });
  assert.deepEqual((await (await foreign).count(1)).map(({ data }) => data), ['to Bob']);
}

async function tokens(node, own, make, type) {
  const refused = own(make(at(node.public, 'alice'), { type }));
  await assert.rejects(refused.open(), /403/);
  const wrong = own(make(`${at(node.public, 'alice')}?token=${jwt({ sub: 'alice' }, 'another key of thirty-two bytes!')}`, { type }));
  await assert.rejects(wrong.open(), /403|handshake/);
  const token = jwt({ sub: 'alice', channels: { '/open/*': 'rw', '/read/*': 'r' } });
  const one = await opened(own, make, at(node.public), type, { token });
  await node.hasSessions('alice', 1);
  await one.subscribe('/open/1');
  await assert.rejects(one.subscribe('/secret/1'), /403/);
  await assert.rejects(one.publish('/read/1', 'may not'), /403/);
  await one.publish('/open/1', 'may');
}

async function stolen(node, own, make, type) {
  const one = await opened(own, make, at(node.public, 'alice'), type);
  const got = await one.subscribe('/room/1');
  const { clientId } = one;
  const theft = [
    { channel: '/meta/connect', clientId, connectionType: 'long-polling', id: '1', advice: { timeout: 0 } },
    { channel: '/room/1', clientId, data: 'by a thief', id: '2' },
    { channel: '/meta/disconnect', clientId, id: '3' },
  ];
  for (const headers of [{}, { cookie: 'BAYEUX_BROWSER=0123456789abcdef' }]) {
    for (const message of theft) {
      const { answers } = await byHand(node, [message], { headers });
      assert.equal(answers.length, 1);
      assert.deepEqual([answers[0].successful, answers[0].error?.slice(0, 3)], [false, '402'], JSON.stringify(answers));
    }
  }
  await one.publish('/room/1', 'by its owner');
  assert.deepEqual((await got.count(1)).map(({ data }) => data), ['by its owner']);
}

/**
 * @param {string} name  the client with its version
 * @param {string[]} types  its transports
 * @param {(url: string, options: object) => object} make  makes a client; `token` in the options is to be sent with its handshake
 */
export function suite(name, types, make) {
  for (const type of types) {
    const scene = (title, work, env = {}) =>
      test(`${name}, ${type}: ${title}`, () => withNode(env, (node, own) => work(node, own, make, type)));
    scene('handshake, subscribe, wildcards, publish, batch, unsubscribe, disconnect', conversation);
    scene('speaks with native readers and with the backend', bothWorlds);
    scene('after a restart of the server it sends a handshake and subscribes again', restart);
    scene('a token is asked for, and its claims hold', tokens, SECURED);
    scene('a stolen client id is of no use', stolen);
    test(`${name}, ${type}: service channels, answered by the hook and later`, async () => {
      const owned = [];
      const hook = await backend((thing) => owned.push(thing), () => ({ body: { data: { answer: 42 } } }));
      try {
        await withNode({ ENCKE_SERVICE_HOOK: hook.url }, (node, own) => service(node, own, make, type, hook));
      } finally {
        for (const thing of owned) thing.close();
      }
    });
  }
}

/** Three cuts in the middle of answers: with the acknowledgement extension nothing is lost and nothing doubled. */
export async function acknowledged(node, own, make, type, { pages, query = '' } = {}) {
  const { proxy, at: address } = await cutter(node, own, pages);
  const one = await opened(own, make, at(address, 'alice') + query, type, { extensions: ['Ack'] });
  const got = await one.subscribe('/room/*');
  const before = one.clientId;
  for (let round = 0; round < 4; round += 1) {
    if (round) proxy.cutAfter(1500);
    await publishNumbers(node, '/room/1', round * 100, (round + 1) * 100);
    await got.count((round + 1) * 100);
  }
  // A last one, so that what came twice would have come by now.
  await publishNumbers(node, '/room/1', 400, 401);
  const all = await got.count(401);
  assert.equal(proxy.cuts, 3);
  assert.deepEqual(all.map(({ data }) => data.n), numbers(0, 401));
  assert.equal(one.clientId, before, 'all in one session');
}

/** A client whose cookies are withheld: it gets the reason, and sends one handshake and no more. */
export async function withheld(node, own, make, type, { pages } = {}) {
  const address = await withholding(node, own, pages);
  const one = own(make(at(address), { type }));
  const { error, advice, handshakes, isOver } = await one.failedConnect();
  assert.match(error, /^402::session_unknown: .*cookie.*token.*ENCKE_BAYEUX_TRUST/);
  assert.deepEqual([advice, handshakes, isOver], [{ reconnect: 'none' }, 1, true]);
}

/** A new socket of Node's has no cookie that would name the session's owner, so that there it is done by a token. */
export function acknowledging(name, types, make) {
  for (const type of types) {
    const [env, query] = type === 'websocket' ? [SECURED, `?token=${jwt({ sub: 'alice' })}`] : [{}, ''];
    test(`${name}, ${type}: acknowledged, 400 messages across three cuts`,
      () => withNode(env, (node, own) => acknowledged(node, own, make, type, { query })));
  }
}

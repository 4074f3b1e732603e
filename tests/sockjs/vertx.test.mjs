// The unmodified client of Vert.x's event bus, through the pipe to a backend that speaks the bus's protocol in its strings; and
// at the service that takes the native protocol's commands, which refuses it.
import { createRequire } from 'node:module';
import { assert, isEncke, startServer, test } from './rig.mjs';
import { Inbox } from '../bayeux/page/inbox.mjs';
import { piped } from './backend.mjs';

const require = createRequire(import.meta.url);
const EventBus = require('vertx3-eventbus-client');

/** An event bus of one address each: who registers gets what is published, and `sum` replies. */
class Bus {
  /** Sessions by address. */
  #registered = new Map();

  constructor() { this.outgoing = []; }

  /** Handles a session's strings. Returns those that go down the same session. */
  take(session, strings) {
    return strings.map((text) => JSON.parse(text)).flatMap((frame) => this.#frame(session, frame)).map((frame) => JSON.stringify(frame));
  }

  #frame(session, { type, address, body, headers, replyAddress }) {
    const sessions = this.#registered.get(address) ?? new Set();
    if (type === 'register') this.#registered.set(address, sessions.add(session));
    else if (type === 'unregister') sessions.delete(session);
    else if (address === 'sum') return [{ type: 'rec', address: replyAddress, body: body.reduce((a, b) => a + b, 0) }];
    else if (type === 'publish') {
      const frame = { type: 'rec', address, body, headers };
      for (const other of sessions) if (other !== session) this.outgoing.push([other, JSON.stringify(frame)]);
      return sessions.has(session) ? [frame] : [];
    } else if (type !== 'ping') return [{ type: 'err', address: replyAddress, failureCode: -1, failureType: 'NO_HANDLERS', message: 'nobody' }];
    return [];
  }
}

const opened = (bus) => new Promise((ok, no) => {
  bus.onopen = ok;
  bus.onclose = ({ code, reason }) => no(new Error(`closed: ${code} ${reason}`));
});

for (const transport of ['websocket', 'xhr-streaming', 'xhr-polling']) {
  const bus = new Bus();
  const work = async (service, _, node) => {
    const [one, other] = [1, 2].map(() => new EventBus(service.base, { transports: [transport] }));
    const problems = [];
    const got = new Map([one, other].map((client) => [client, new Inbox('messages')]));
    await Promise.all([one, other].map(opened));
    for (const client of [one, other]) {
      client.onerror = (problem) => problems.push(problem);
      client.registerHandler('news', (problem, message) => got.get(client).push(problem ?? message.body));
    }
    const ask = (address, body) => new Promise((ok, no) => {
      one.send(address, body, null, (problem, message) => { if (problem) no(problem); else ok(message.body); });
    });
    assert.equal(await ask('sum', [1, 2, 3]), 6);
    await assert.rejects(ask('nowhere', 1), { failureType: 'NO_HANDLERS' });
    // Its registration has been taken once its own question is answered: the strings of a session have one order.
    await new Promise((ok) => { other.send('sum', [0], null, ok); });
    one.publish('news', { text: 'hello' });
    assert.deepEqual(await got.get(one).count(1), [{ text: 'hello' }]);
    for (const [session, text] of bus.outgoing.splice(0)) {
      const sent = await fetch(`http://${node.api}/sessions/${session}/send`, { method: 'POST', body: JSON.stringify(text), headers: { 'Content-Type': 'application/json' } });
      assert.equal(sent.status, 200);
    }
    assert.deepEqual(await got.get(other).count(1), [{ text: 'hello' }]);
    assert.deepEqual(problems, []);
    for (const client of [one, other]) {
      client.onclose = null;
      client.close();
    }
  };
  piped(`vertx3-eventbus-client, ${transport}: handlers, publishes, replies and failures through the pipe`,
    (strings, { session }) => [200, { strings: bus.take(session, strings) }], work);
}

test('at the native service, vertx3-eventbus-client connects, and its frames are refused with a reason', { skip: !isEncke }, async () => {
  const server = await startServer();
  const warned = new Inbox('warnings');
  const { warn } = console;
  console.warn = (_, json) => warned.push(json);
  try {
    const client = new EventBus(`${server.url}/u/alice/sockjs`);
    await opened(client);
    client.publish('news', 1);
    const told = await warned.count(3);
    const { error } = told.find((json) => json.error) ?? {};
    assert.ok(error?.code && error.reason, JSON.stringify(told));
    client.onclose = null;
    client.close();
  } finally {
    console.warn = warn;
    await server.end();
  }
});

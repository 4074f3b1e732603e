// RabbitMQ, by STOMP and by MQTT: libraries that take the address of a WebSocket get the stream's.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import test from 'node:test';
import { once } from 'node:events';
import { Client } from '@stomp/stompjs';
import mqtt from 'mqtt';
import SockJS from 'sockjs-client';
import { WebSocket } from 'ws';
import { Place, addressOf, freePort, inPlace, program, startEncke, within } from './rig.mjs';

/** One broker for all tests: it needs several seconds to start. */
let place;
let node;
let started;

/** Starts a broker and the name service of its own, both on loopback alone. */
async function startRabbit() {
  program('rabbitmq-server');
  // The script on the path changes to a user of the package's.
  const server = '/usr/lib/rabbitmq/bin/rabbitmq-server';
  const [names, dist, stomp, forMqtt] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const env = {
    // Then the script becomes the broker, instead of a parent that could end without it.
    RUNNING_UNDER_SYSTEMD: '1',
    ERL_EPMD_ADDRESS: '127.0.0.1', ERL_EPMD_PORT: String(names),
    RABBITMQ_NODENAME: 'tests@localhost', RABBITMQ_DIST_PORT: String(dist),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +S 1',
    RABBITMQ_CONF_ENV_FILE: '/dev/null', RABBITMQ_LOGS: '-', RABBITMQ_LOG_BASE: place.folder, RABBITMQ_MNESIA_BASE: place.path('mnesia'),
    RABBITMQ_PID_FILE: place.path('pid'), RABBITMQ_ENABLED_PLUGINS_FILE: place.write('plugins', '[rabbitmq_stomp, rabbitmq_mqtt].'),
    RABBITMQ_CONFIG_FILE: place.write('rabbitmq.conf', `
listeners.tcp = none
stomp.listeners.tcp.1 = 127.0.0.1:${stomp}
mqtt.listeners.tcp.1 = 127.0.0.1:${forMqtt}
`),
  };
  place.spawn(program('epmd', 'erlang-base'), ['-address', '127.0.0.1', '-port', names], env);
  assert.ok(fs.existsSync(server), `${server} is missing: install Debian's package rabbitmq-server`);
  await place.serve(server, [], /Server startup complete/, env);
  return { stomp: `127.0.0.1:${stomp}`, mqtt: `127.0.0.1:${forMqtt}` };
}

/** A test with the broker, which the first one starts. */
const withBroker = (name, work) => test(name, async () => {
  started ??= start();
  await started;
  await work();
});

async function start() {
  place = new Place();
  node = await startEncke(place, await startRabbit());
  // What is a part of browsers, and of newer versions of Node.
  globalThis.WebSocket = WebSocket;
}

test.after(() => place?.end());

/** A client of STOMP that is connected. */
async function stomp(user, settings) {
  const client = new Client({ brokerURL: addressOf(node, 'stomp', user), connectHeaders: { login: 'guest', passcode: 'guest' }, reconnectDelay: 0, ...settings });
  await within(new Promise((done, fail) => {
    client.onConnect = done;
    client.onStompError = (frame) => fail(new Error(frame.body));
    client.onWebSocketClose = ({ code, reason }) => fail(new Error(`closed: ${code} ${reason}`));
    client.activate();
  }), 'CONNECTED');
  return client;
}

for (const forceBinaryWSFrames of [true, false]) {
  withBroker(`RabbitMQ: stompjs, ${forceBinaryWSFrames ? 'binary' : 'text'} messages`, async () => {
    const [ada, ben] = await Promise.all(['ada', 'ben'].map((user) => stomp(user, { forceBinaryWSFrames })));
    const queue = `/exchange/amq.topic/tests.${crypto.randomUUID()}`;
    const large = '\u{1F600}abc'.repeat(20000);
    const bodies = ['one', '\u{1F600} \0 two', large];
    const heard = [];
    let all;
    const whole = new Promise((done) => { all = done; });
    await within(new Promise((done) => {
      ada.watchForReceipt('subscribed', done);
      ada.subscribe(queue, (message) => { if (heard.push(message.body) === bodies.length) all(); }, { receipt: 'subscribed' });
    }), 'the receipt');
    for (const body of bodies) ben.publish({ destination: queue, body });
    await within(whole, 'all messages');
    assert.deepEqual(heard, bodies);
    await within(Promise.all([ada.deactivate(), ben.deactivate()]), 'the end');
  });
}

for (const transport of ['websocket', 'xhr-streaming', 'xhr-polling']) {
  withBroker(`RabbitMQ: stompjs over SockJS, ${transport}`, async () => {
    const url = `http://${node.public}/u/ada/tcp/stomp/sockjs`;
    const client = await stomp('ada', { brokerURL: undefined, webSocketFactory: () => new SockJS(url, null, { transports: transport }) });
    assert.equal(client.webSocket.transport, transport);
    const queue = `/exchange/amq.topic/tests.${crypto.randomUUID()}`;
    // The escaped NUL of STOMP's frames, characters at every place of a chunk, and more than one window.
    const bodies = ['one', '\u{1F600} \0 two', '\u{1F600}\u20acabc'.repeat(40_000), ''];
    const heard = [];
    await within(new Promise((done) => {
      client.watchForReceipt('subscribed', () => { for (const body of bodies) client.publish({ destination: queue, body }); });
      client.subscribe(queue, (message) => { if (heard.push(message.body) === bodies.length) done(); }, { receipt: 'subscribed' });
    }), 'all messages');
    assert.deepEqual(heard, bodies);
    await within(client.deactivate(), 'the end');
  });
}

test('RabbitMQ: a server that refuses ends a SockJS client with the reason', inPlace(async (own) => {
  const one = await startEncke(own, { stomp: `127.0.0.1:${await freePort()}` });
  const socket = new SockJS(`http://${one.public}/u/ada/tcp/stomp/sockjs`, null, { transports: 'xhr-polling' });
  const { code, reason } = await within(new Promise((done) => { socket.onclose = done; }), 'the end');
  assert.deepEqual([code, reason], [1011, 'backend-refused']);
}));

withBroker('RabbitMQ: MQTT.js', async () => {
  const connect = async (user) => {
    const client = mqtt.connect(addressOf(node, 'mqtt', user), { username: 'guest', password: 'guest', reconnectPeriod: 0 });
    client.on('error', () => {});
    await within(once(client, 'connect'), 'CONNACK');
    return client;
  };
  const [ada, ben] = [await connect('ada'), await connect('ben')];
  assert.equal(ada.stream.socket?.protocol ?? 'mqtt', 'mqtt');
  const topic = `tests/${crypto.randomUUID()}`;
  await within(ada.subscribeAsync(`${topic}/#`, { qos: 1 }), 'SUBACK');
  const payloads = [Buffer.from('one'), crypto.randomBytes(300_000), Buffer.alloc(0)];
  const heard = [];
  const whole = new Promise((done) => {
    ada.on('message', (name, payload) => { if (heard.push([name, payload]) === payloads.length) done(); });
  });
  for (const [n, payload] of payloads.entries()) await within(ben.publishAsync(`${topic}/${n}`, payload, { qos: 1 }), 'PUBACK');
  await within(whole, 'all messages');
  assert.deepEqual(heard.map(([name]) => name), payloads.map((_, n) => `${topic}/${n}`));
  for (const [n, payload] of payloads.entries()) assert.ok(heard[n][1].equals(payload), `payload ${n}`);
  await within(Promise.all([ada.endAsync(), ben.endAsync()]), 'the end');
});

// The pipe to a backend: strings up by a signed web hook, strings down by its answers and by the user's channel.
import crypto from 'node:crypto';
import test from 'node:test';
import { createRequire } from 'node:module';
import { KEY, piped } from './backend.mjs';
import { assert, fresh, isEncke, poll, says } from './rig.mjs';
import { Service } from './wire/http.mjs';
import { Socket } from './wire/websocket.mjs';

const { EnckeNode } = createRequire(import.meta.url)('../browser/lib/node.js');

async function opened(service) {
  const session = fresh();
  assert.equal(await poll(service, session), 'o\n');
  return session;
}

piped('strings go to the backend in order, signed, and its answers come down', (strings) => [200, { strings: strings.map((text) => `re: ${text}`) }], async (service, backend) => {
  const session = await opened(service);
  await says(service, session, 'a');
  assert.equal(await poll(service, session), 'a["re: a"]\n');
  await says(service, session, 'b', 'c');
  assert.equal(await poll(service, session), 'a["re: b","re: c"]\n');
  assert.deepEqual(backend.calls.map(({ event, user, strings }) => [event, user, strings]), [['strings', 'alice', ['a']], ['strings', 'alice', ['b', 'c']]]);
  const [{ signature, body }] = backend.calls;
  const [, seconds, given] = signature.match(/^t=(\d+),hs256=(\S+)$/);
  assert.ok(Math.abs(Date.now() / 1000 - seconds) < 60);
  assert.equal(given, crypto.createHmac('sha256', KEY).update(`${seconds}.`).update(body).digest('base64url'));
});

piped('what a backend publishes to the user comes down as strings', () => [204], async (service, backend, node) => {
  const session = await opened(service);
  for (const data of ['"text"', '{"a": 1}']) {
    const published = await fetch(`http://${node.api}/u/alice/publish`, { method: 'POST', body: data, headers: { 'Content-Type': 'application/json' } });
    assert.equal(published.status, 200);
  }
  assert.equal(await poll(service, session), 'a["text","{\\"a\\": 1}"]\n');
});

piped('what a backend sends to a session comes down that session alone', () => [204], async (service, backend, node) => {
  const [one, other] = [await opened(service), await opened(service)];
  await says(service, one, 'who am I?');
  const send = (id, data, type) => fetch(`http://${node.api}/sessions/${id}/send`, { method: 'POST', body: data, headers: { 'Content-Type': type } });
  const [{ session: id }] = backend.calls;
  assert.equal((await send(id, 'text', 'text/plain')).status, 200);
  assert.equal((await send(id, '"json"', 'application/json')).status, 200);
  assert.equal((await send('s0', 'x', 'text/plain')).status, 404);
  await fetch(`http://${node.api}/u/alice/publish`, { method: 'POST', body: 'both', headers: { 'Content-Type': 'text/plain' } });
  assert.equal(await poll(service, one), 'a["text","json","both"]\n');
  assert.equal(await poll(service, other), 'a["both"]\n');
});

piped('a backend ends a session with a code, after the strings before it', () => [200, { strings: ['bye'], close: { code: 3001, reason: 'done' } }], async (service) => {
  const session = await opened(service);
  await says(service, session, 'x');
  assert.equal(await poll(service, session), 'a["bye"]\n');
  assert.equal(await poll(service, session), 'c[3001,"done"]\n');
  const socket = await Socket.open(service, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  socket.send('["y"]');
  assert.equal(await socket.recv(), 'a["bye"]');
  assert.equal(await socket.recv(), 'c[3001,"done"]');
  socket.close();
});

piped('a refusal or failure of the backend is reported', ([text]) => (text === 'no' ? [403] : [500]), async (service) => {
  const session = await opened(service);
  assert.equal((await service.post(`${session}/xhr_send`, '["no"]')).status, 403);
  assert.equal((await service.post(`${session}/xhr_send`, '["late"]')).status, 503);
  const socket = await Socket.open(service, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  socket.send('["late"]');
  assert.equal(await socket.recv(), 'c[3000,"the backend did not take these messages"]');
  socket.close();
});

piped('many strings of a socket keep their order', async (strings) => {
  await new Promise((done) => { setImmediate(done); });
  return [200, { strings }];
}, async (service, backend) => {
  const socket = await Socket.open(service, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  const texts = Array.from({ length: 50 }, (_, at) => String(at));
  for (const text of texts) socket.send(JSON.stringify([text]));
  const got = [];
  while (got.length < texts.length) got.push(...JSON.parse((await socket.recv()).slice(1)));
  assert.deepEqual(got, texts);
  assert.deepEqual(backend.calls.flatMap(({ strings }) => strings), texts);
  socket.close();
});

test('without a hook there is no pipe', { skip: !isEncke }, async () => {
  const node = new EnckeNode(process.env.ENCKE_BIN, {});
  await node.start();
  const service = new Service(`http://${node.public}/u/alice/pipe`);
  assert.equal((await service.get('/info')).status, 404);
  await node.end();
});

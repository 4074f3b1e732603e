// Redis: its own protocol, written and read by hand.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';
import { Stream, freePort, inPlace, program, startEncke } from './rig.mjs';

async function startRedis(place) {
  const port = await freePort();
  const socket = place.path('redis.sock');
  const settings = { port, bind: '127.0.0.1', unixsocket: socket, dir: place.folder, save: '', appendonly: 'no' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await place.serve(program('redis-server'), args, /eady to accept connections at/);
  return { port, socket };
}

/** A command as Redis reads it: an array of strings of bytes. */
function command(...words) {
  const parts = words.map((word) => Buffer.from(word));
  const strings = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')]);
  return Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...strings]);
}

/** Sends a command whose answer has this length. */
async function ask(stream, length, ...words) {
  const before = stream.length;
  stream.send(command(...words));
  await stream.has(before + length);
  return stream.bytes.subarray(before);
}

for (const protocol of ['binary', 'base64']) {
  test(`Redis: commands and a value of 1 MiB, ${protocol}`, inPlace(async (place) => {
    const { port, socket } = await startRedis(place);
    const node = await startEncke(place, { tcp: `127.0.0.1:${port}`, unix: `unix:${socket}` });
    const value = crypto.randomBytes(1 << 20);
    const first = await Stream.to(node, 'tcp', { protocols: [protocol] });
    assert.equal((await ask(first, 7, 'PING')).toString(), '+PONG\r\n');
    assert.equal((await ask(first, 5, 'SET', 'value', value)).toString(), '+OK\r\n');
    const second = await Stream.to(node, 'unix', { protocols: [protocol], user: 'ben' });
    for (const stream of [first, second]) {
      const answer = await ask(stream, `$${value.length}\r\n\r\n`.length + value.length, 'GET', 'value');
      assert.ok(answer.equals(Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')])), 'the same bytes');
    }
    assert.equal((await ask(first, 5, 'QUIT')).toString(), '+OK\r\n');
    assert.deepEqual(await first.closed, { code: 1000, reason: '' });
    await second.close();
  }));
}

test('Redis: what is published in one stream comes in another', inPlace(async (place) => {
  const { port } = await startRedis(place);
  const node = await startEncke(place, { redis: `127.0.0.1:${port}` });
  const listener = await Stream.to(node, 'redis');
  listener.send(command('SUBSCRIBE', 'news'));
  await listener.match(/subscribe\r\n\$4\r\nnews\r\n:1\r\n/);
  const speaker = await Stream.to(node, 'redis');
  for (let n = 1; n <= 100; n += 1) speaker.send(command('PUBLISH', 'news', `item ${n}`));
  await listener.match(/item 100\r\n/);
  const heard = [...listener.text.matchAll(/item (\d+)/g)].map(([, n]) => Number(n));
  assert.deepEqual(heard, Array.from({ length: 100 }, (_, n) => n + 1));
  await Promise.all([listener.close(), speaker.close()]);
}));

// npm's sockjs-client through programs that stand between: nginx without configuration, nginx that holds all responses back, HAProxy, and
// HAProxy that strips what WebSockets need. The client finds a transport by itself, and each that passes can be forced.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { assert, isEncke, services, test } from './rig.mjs';
import { Inbox } from '../bayeux/page/inbox.mjs';

const require = createRequire(import.meta.url);
const SockJS = require('sockjs-client');
const { Middlebox } = require('../browser/lib/middlebox.js');
const all = services();

/** For each configuration in ../browser/middlebox: the transport that the client chooses, and the others that pass. */
const BOXES = [
  { box: 'nginx-buffering', chosen: 'xhr-streaming', others: ['eventsource', 'xhr-polling'] },
  { box: 'nginx-holds', chosen: 'xhr-polling', others: [] },
  { box: 'haproxy-plain', chosen: 'websocket', others: ['xhr-streaming', 'eventsource', 'xhr-polling'] },
  { box: 'haproxy-strips', chosen: 'xhr-streaming', others: ['eventsource', 'xhr-polling'] },
];

const TEXTS = Array.from({ length: 50 }, (_, n) => `${n} ${'z'.repeat(200)}`);

/** Sends texts and gets them back, over one of the transports. Resolves to the one in use. */
async function echoes(base, transports) {
  const socket = new SockJS(base, null, transports && { transports });
  const got = new Inbox(`messages by ${transports ?? 'any transport'}`);
  await new Promise((opened, closed) => {
    socket.onopen = opened;
    socket.onclose = ({ code, reason }) => closed(new Error(`closed: ${code} ${reason}`));
  });
  socket.onmessage = ({ data }) => got.push(data);
  for (const text of TEXTS) socket.send(text);
  assert.deepEqual(await got.count(TEXTS.length), TEXTS);
  const { transport } = socket;
  socket.close();
  return transport;
}

for (const { box, chosen, others } of BOXES) {
  const program = `/usr/sbin/${box.split('-')[0]}`;
  const skip = !isEncke || (!existsSync(program) && `${program} is not on this machine`);
  test(`through ${box}: the client chooses ${chosen}, and ${others.join(', ') || 'no other'} passes`, { skip }, async (t) => {
    const middlebox = new Middlebox(box, new URL(all.echo.base).host);
    t.after(() => middlebox.end());
    await middlebox.start();
    const base = `http://${middlebox.address}/echo`;
    assert.equal(await echoes(base), chosen);
    for (const transport of others) assert.equal(await echoes(base, [transport]), transport);
  });
}

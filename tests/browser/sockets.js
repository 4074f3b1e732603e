'use strict';
// WebSocket up as well as down: what is echoed, what commands and bytes do, what is refused.
const assert = require('node:assert/strict');
const { withOrigins } = require('./lib/origins');

const CHANNEL = '/sockets/all';

/** In the page: sends texts and bytes of many lengths, and says what came back otherwise. */
const echo = (page, url, protocols) => page.evaluate((at, offered) => new Promise((done) => {
  const lengths = [0, 1, 63, 64, 125, 126, 127, 65535, 65536, 200000];
  const sent = lengths.flatMap((n) => [
    'a☄\u0000'.repeat(n).slice(0, n), Uint8Array.from({ length: n }, (_, i) => (i * i * 31) >>> 3),
  ]);
  const same = (a, b) => typeof a === typeof b && a.length === b.length && (typeof a === 'string' ? a === b : a.every((byte, i) => byte === b[i]));
  const wrong = [];
  let next = 0;
  const socket = new WebSocket(at, offered);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => sent.forEach((message) => socket.send(message));
  socket.onmessage = ({ data }) => {
    if (!same(typeof data === 'string' ? data : new Uint8Array(data), sent[next])) wrong.push(next);
    next += 1;
    if (next === sent.length) socket.close(4321, 'done');
  };
  socket.onclose = ({ code, wasClean }) => done({ count: next, of: sent.length, wrong, code, wasClean, protocol: socket.protocol });
}), url, protocols);

const outcome = (page, url, protocols) => page.evaluate((at, offered) => new Promise((done) => {
  const socket = new WebSocket(at, offered);
  socket.onopen = () => { done('open'); socket.close(); };
  socket.onclose = ({ code }) => done(code);
}), url, protocols);

/** In the page: commands up as one batch and one by one, and bytes up and down; resolves to all that came. */
const exchange = (page, url, channel, bytes) => page.evaluate((at, to, payload) => new Promise((done) => {
  const socket = new WebSocket(at, 'encke.v1');
  socket.binaryType = 'arraybuffer';
  const came = [];
  const head = new TextEncoder().encode(JSON.stringify({ publish: to }));
  socket.onopen = () => {
    socket.send(JSON.stringify({ ping: 1 }));
    socket.send(JSON.stringify([{ subscribe: to }, { nonsense: 1 }]));
    socket.send(Uint8Array.from([head.length >> 8, head.length & 0xff, ...head, ...payload]));
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') came.push(JSON.parse(data));
    else {
      const all = new Uint8Array(data);
      const end = 2 + all[0] * 256 + all[1];
      came.push({ ...JSON.parse(new TextDecoder().decode(all.subarray(2, end))), bytes: [...all.subarray(end)] });
      socket.send(JSON.stringify({ close: true }));
    }
  };
  socket.onclose = ({ code }) => done({ came, code });
}), url, channel, bytes);

async function echoes(page, user) {
  for (const [query, protocols] of [['?echo=1', []], ['', ['encke.echo']]]) {
    const got = await echo(page, `${user}/ws${query}`, protocols);
    const wanted = { count: 20, of: 20, wrong: [], code: 4321, wasClean: true, protocol: protocols[0] ?? '' };
    assert.deepEqual(got, wanted, `echo by ${query || protocols}`);
  }
}

async function commands(page, user) {
  const bytes = Array.from({ length: 256 }, (_, i) => i);
  const { came, code } = await exchange(page, `${user}/ws?binary=1`, CHANNEL, bytes);
  const [open, ...rest] = came;
  assert.equal(open.open.transport, 'ws');
  const answers = rest.filter(({ ok, error }) => error || (ok && !ok.close));
  assert.deepEqual(answers.map((answer) => Object.keys(answer.ok ?? answer)[0]), ['ping', 'subscribe', 'error', 'publish']);
  assert.equal(rest.at(-1).close.code, 'closed');
  const messages = rest.filter(({ channel }) => channel);
  assert.equal(messages.length, 1);
  assert.equal(messages[0].channel, CHANNEL);
  assert.deepEqual(messages[0].bytes, bytes);
  assert.equal(messages[0].from, 'alice');
  assert.equal(code, 1000);
}

const socketsTalk = withOrigins(async (browser, { node, known, foreign }) => {
  const user = `ws://${node.public}/u/alice`;
  const foreignPage = await browser.newPage();
  await foreignPage.goto(`${foreign.origin}/`);
  assert.equal(await outcome(foreignPage, `${user}/ws`, []), 1006, 'a foreign page opens a socket');
  await foreignPage.close();
  const page = await browser.newPage();
  await page.goto(`${known.origin}/`);
  await echoes(page, user);
  await commands(page, user);
  assert.equal(await outcome(page, `${user}/ws`, ['unheard.of']), 1006, 'none of the subprotocols is known');
  assert.equal(await outcome(page, `${user}/ws`, ['unheard.of', 'encke.v1']), 'open');
  await page.close();
});

module.exports = { socketsTalk };

'use strict';
// The pages' own decoders, on bytes built by hand: what they find does not depend on how the network splits it, and what is not as
// described is an error.
const assert = require('node:assert/strict');

const utf8 = (text) => new TextEncoder().encode(text);
const bytes = (...pieces) => Uint8Array.from(pieces.flatMap((piece) => [...(typeof piece === 'string' ? utf8(piece) : piece)]));

/** Feeds `whole` to a fresh decoder in two pieces, split everywhere, and byte by byte; each time it must find `wanted`. */
function atEverySplit(make, whole, wanted) {
  const found = (pieces) => {
    const all = [];
    const feed = make((...item) => all.push(item));
    pieces.forEach((piece) => feed(piece));
    return all;
  };
  for (let at = 0; at <= whole.length; at += 1) assert.deepEqual(found([whole.slice(0, at), whole.slice(at)]), wanted, `split at ${at}`);
  assert.deepEqual(found(Array.from({ length: whole.length }, (_, i) => whole.slice(i, i + 1))), wanted, 'byte by byte');
}

const header = (text) => { const head = utf8(text); return [head.length >> 8, head.length & 0xff, ...head]; };
const framed = (body) => [0, 0, body.length >> 8, body.length & 0xff, ...body];

function recordsAreFound({ record, records }) {
  const message = bytes(header('{"id":"e-1","channel":"/c"}'), [0, 255, 13, 10]);
  const open = bytes(header('{"open":{}}'));
  atEverySplit(records, bytes(framed(message), [0, 0, 0, 0], framed(open)), [[message], [open]]);
  assert.deepEqual(record(message), { envelope: { id: 'e-1', channel: '/c' }, payload: Uint8Array.of(0, 255, 13, 10) });
  assert.deepEqual(record(open), { envelope: { open: {} }, payload: undefined });
  const long = JSON.stringify({ id: 'e-2', channel: '/c', data: 'x'.repeat(70000) });
  const wide = bytes([0xff, 0xff, 0, long.length >> 16, (long.length >> 8) & 0xff, long.length & 0xff], long);
  assert.equal(record(wide).envelope.data.length, 70000);
  assert.throws(() => record(bytes(header('{"open":{}}'), 'x')), /behind an envelope/);
  assert.throws(() => record(bytes([0, 9], '{}')), /header/);
}

function partsAreFound({ parts }) {
  const part = (body) => ['Content-Type: text/x\r\nContent-Length: ', String(body.length), '\r\n\r\n', body];
  const bodies = ['{"a":1}', '\r\n--encke\r\nforged', ''];
  const wanted = bodies.map((body) => [new Map([['content-type', 'text/x'], ['content-length', String(body.length)]]), utf8(body)]);
  const after = bytes('--encke\r\n', ...bodies.flatMap((body) => [...part(body), '\r\n--encke\r\n']), '\r\n\r\n--encke--\r\n');
  atEverySplit((take) => parts('after', take), after, wanted);
  const before = bytes('  \r\n', ...bodies.flatMap((body) => ['\r\n--encke\r\n', ...part(body)]), '\r\n\r\n--encke--\r\n');
  atEverySplit((take) => parts('before', take), before, wanted);
  // Behind the last part, the delimiter that makes it whole.
  const all = [];
  parts('after', (_, body) => all.push(body))(bytes('--encke\r\n', ...part('x')));
  assert.deepEqual(all, []);
  const feed = parts('before', () => {});
  assert.throws(() => feed(bytes('\r\n--encke\r\n', ...part('x'), 'more\r\n--encke\r\n')), /between parts/);
}

function eventsAreFound({ domEvents }) {
  const stream = '; pad\nEvent: message\ndata: {"a":1}\n\n;\nEvent: message\r\ndata: one\r\ndata: two\r\n\r\nEvent: b\rdata:x\r\r;';
  atEverySplit(domEvents, stream, [['message', '{"a":1}'], ['message', 'one\ntwo'], ['b', 'x']]);
  assert.throws(() => domEvents(() => {})('id: 7\n'), /old Opera/);
}

async function decodersAgree() {
  const parse = await import('./page/parse.mjs');
  recordsAreFound(parse);
  partsAreFound(parse);
  eventsAreFound(parse);
  atEverySplit(parse.lines, 'one\n\n  \ntwo ☄\nthr', [['one'], ['two ☄']]);
}

module.exports = { decodersAgree };

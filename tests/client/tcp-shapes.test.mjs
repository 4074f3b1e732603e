// TCP streams in the shapes that libraries and older pages know: a WebSocket, and TCPSocket.
import test from 'node:test';
import { once } from 'node:events';
import { assert, connect } from './rig.mjs';
import { backend, closedPort, drained, echo, hash, noise, read, withTarget } from './backends.mjs';
import { TCPSocket, TcpWebSocket, tcp, webSocket } from '../../client/src/tcp.js';

/** Resolves with the next event of a name. */
const next = (socket, name) => new Promise((done) => { socket.addEventListener(name, done, { once: true }); });

/** Collects what a socket is told until it is closed; resolves to the bytes and the last event. */
async function all(socket) {
  const parts = [];
  socket.addEventListener('message', ({ data }) => parts.push(typeof data === 'string' ? Buffer.from(data) : Buffer.from(data)));
  const event = await next(socket, 'close');
  return { bytes: Buffer.concat(parts), event };
}

for (const kind of ['ws', 'stream', 'sse', 'longpoll', 'poll']) {
  test(`${kind}: a socket looks like a WebSocket and carries bytes`, async () => withTarget(await echo(), {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const socket = webSocket(encke, 'there', { protocol: 'binary' });
    assert.ok(socket instanceof TcpWebSocket && socket instanceof EventTarget);
    assert.deepEqual([socket.readyState, socket.binaryType, socket.protocol, socket.url, socket.extensions], [0, 'blob', 'binary', 'tcp:there', '']);
    assert.throws(() => socket.send('too early'), { name: 'InvalidStateError' });
    socket.binaryType = 'arraybuffer';
    let opened = 0;
    socket.onopen = function open() { opened += this === socket; };
    await next(socket, 'open');
    assert.deepEqual([opened, socket.readyState], [1, TcpWebSocket.OPEN]);
    const bytes = noise(90_000);
    const ending = all(socket);
    const reused = bytes.slice(0, 30_000);
    socket.send(reused);
    reused.fill(0);
    socket.send(new Blob([bytes.subarray(30_000, 60_000)]));
    socket.send(new DataView(bytes.buffer, bytes.byteOffset + 60_000, 30_000));
    assert.equal(socket.bufferedAmount, 90_000);
    socket.send('ü');
    assert.throws(() => socket.close(1001), { name: 'InvalidAccessError' });
    // An echo sends the rest once it has it: nobody hears it after `close`.
    let size = 0;
    await new Promise((done) => {
      socket.onmessage = ({ data }) => {
        assert.ok(data instanceof ArrayBuffer);
        size += data.byteLength;
        if (size >= 90_002) done();
      };
    });
    assert.equal(socket.bufferedAmount, 0);
    socket.close(4000, 'enough');
    assert.equal(socket.readyState, TcpWebSocket.CLOSING);
    const { bytes: got, event } = await ending;
    assert.equal(hash(got), hash(bytes, 'ü'));
    assert.deepEqual([event.code, event.reason, event.wasClean, socket.readyState], [4000, 'enough', true, 3]);
  }));
}

test('each member of a WebSocket is the socket\'s own or its prototype\'s', async () => withTarget(await echo(), {}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  const socket = webSocket(encke, 'there');
  const names = [...Object.keys(socket), ...Object.getOwnPropertyNames(Object.getPrototypeOf(socket))];
  for (const name of [
    'send', 'close', 'binaryType', 'onerror', 'onmessage', 'onopen', 'onclose', 'protocol', 'readyState', 'bufferedAmount', 'url', 'extensions',
    'CONNECTING', 'OPEN', 'CLOSING', 'CLOSED',
  ]) assert.ok(names.includes(name), name);
  assert.deepEqual([TcpWebSocket.CONNECTING, TcpWebSocket.OPEN, TcpWebSocket.CLOSING, TcpWebSocket.CLOSED], [0, 1, 2, 3]);
  await next(socket, 'open');
  socket.send('x');
  assert.ok((await next(socket, 'message')).data instanceof Blob);
  // Before it is open, it can only be given up.
  const early = webSocket(encke, 'there');
  early.close();
  assert.equal((await next(early, 'close')).code, 1006);
}));

test('the close event has the cause', async () => {
  const there = await backend();
  const refusing = await closedPort();
  await withTarget(there, { ENCKE_TCP_TARGETS: `there=${there.address},gone=127.0.0.1:${refusing}` }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const ends = async (target, act) => {
      const socket = webSocket(encke, target);
      let errors = 0;
      socket.onerror = () => { errors += 1; };
      const closing = next(socket, 'close');
      await act?.(socket);
      const { code, reason, wasClean } = await closing;
      return [code, wasClean, errors, reason.split(':')[0]];
    };
    assert.deepEqual(await ends('gone'), [1006, false, 1, 'backend-refused']);
    assert.deepEqual(await ends('elsewhere'), [1006, false, 1, 'tcp-unknown-target']);
    assert.deepEqual(await ends('there', async () => (await there.socket()).end()), [1000, true, 0, '']);
    assert.deepEqual(await ends('there', async (socket) => {
      await next(socket, 'open');
      (await there.socket()).resetAndDestroy();
    }), [1006, false, 1, 'backend-reset']);
  });
});

test('text is never split within a character', async () => {
  const there = await backend((socket) => socket.setNoDelay(true));
  await withTarget(there, {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const socket = webSocket(encke, 'there', { text: true });
    const got = [];
    socket.onmessage = ({ data }) => got.push(data);
    const server = await there.socket();
    const [euro, emoji] = [Buffer.from('a€'), Buffer.from('😀z')];
    server.write(euro.subarray(0, 2));
    assert.equal((await next(socket, 'message')).data, 'a');
    server.write(euro.subarray(2, 3));
    server.write(Buffer.concat([euro.subarray(3), emoji.subarray(0, 3)]));
    assert.equal((await next(socket, 'message')).data, '€');
    server.end(emoji.subarray(3));
    await next(socket, 'close');
    assert.equal(got.join(''), 'a€😀z');
  });
});

/** A TCPSocket, its events, and how many of them came from inside a call. */
function old(...how) {
  const socket = new TCPSocket();
  const events = { opens: 0, text: '', codes: [], inside: 0 };
  let depth = 0;
  const inside = (work) => {
    depth += 1;
    work();
    depth -= 1;
  };
  const waiting = [];
  const record = (work) => {
    events.inside += depth;
    work();
    for (const look of [...waiting]) look();
  };
  const closed = new Promise((done) => { socket.onclose = (code) => record(() => { events.codes.push(code); done(code); }); });
  const opened = new Promise((done) => { socket.onopen = () => record(() => { events.opens += 1; done(); }); });
  socket.onread = (data) => record(() => { events.text += data; });
  const has = (length) => new Promise((done) => {
    const look = () => events.text.length >= length && done(events.text);
    waiting.push(look);
    look();
  });
  assert.equal(socket.readyState, 1);
  if (how.length) {
    inside(() => socket.open(...how));
    assert.equal(socket.readyState, 2);
  }
  return { socket, events, opened, closed, has, inside };
}

for (const kind of ['ws', 'longpoll']) {
  test(`${kind}: a TCPSocket carries text and bytes`, async () => {
    const there = await backend((socket) => socket.setNoDelay(true));
    await withTarget(there, { ENCKE_TCP_ALLOW: `127.0.0.0/8=${there.port}` }, async (node, signal) => {
      TCPSocket.client = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
      const { socket, events, opened, closed, has, inside } = old('there');
      assert.throws(() => socket.send('too early'), /not open/);
      assert.throws(() => socket.open('there'), /once/);
      await opened;
      assert.equal(socket.readyState, 3);
      inside(() => socket.send('grüße'));
      const server = await there.socket();
      const [heard] = await once(server, 'data');
      assert.equal(String(heard), 'grüße');
      // A character of three bytes in two segments.
      const euro = Buffer.from('a€');
      server.write(euro.subarray(0, 2));
      assert.equal(await has(1), 'a');
      server.write(euro.subarray(2));
      assert.equal(await has(2), 'a€');
      const drain = drained(server);
      inside(() => { socket.send('last'); socket.close(); });
      assert.equal(socket.readyState, 4);
      assert.equal(String(await drain), 'last');
      server.end();
      assert.equal(await closed, 201);
      assert.deepEqual([events.opens, events.codes, events.inside, socket.readyState], [1, [201], 0, 5]);

      // Bytes as characters, to an address.
      const binary = old('127.0.0.1', there.port, true);
      await binary.opened;
      binary.socket.send('\u00ff\u0000\u0080');
      const other = await there.socket();
      const [bytes] = await once(other, 'data');
      assert.deepEqual([...bytes], [255, 0, 128]);
      other.end(Buffer.from([128, 0, 255]));
      assert.equal(await binary.closed, 201);
      assert.equal(binary.events.text, '\u0080\u0000\u00ff');
    });
  });
}

test('a TCPSocket has the close codes of earlier servers', async () => {
  const there = await backend();
  const refusing = await closedPort();
  await withTarget(there, { ENCKE_TCP_TARGETS: `there=${there.address},gone=127.0.0.1:${refusing}` }, async (node, signal) => {
    TCPSocket.client = undefined;
    assert.throws(() => new TCPSocket().open('there'), /client/);
    TCPSocket.client = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    assert.equal(await old('gone').closed, 108);
    assert.equal(await old('elsewhere').closed, 106);
    const reset = old('there');
    await reset.opened;
    reset.inside(() => reset.socket.reset());
    assert.equal(await reset.closed, 103);
    assert.equal(reset.events.inside, 0);
    await there.socket();
    const rude = old('there');
    await rude.opened;
    (await there.socket()).resetAndDestroy();
    assert.equal(await rude.closed, 109);
    const lost = old('there');
    await lost.opened;
    await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
    assert.equal(await lost.closed, 101);
    // Never opened.
    const unused = old();
    unused.socket.close();
    assert.equal(unused.socket.readyState, 5);
  });
});

test('the function and the client\'s method are the same', async () => withTarget(await echo(), {}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { signal });
  for (const stream of [tcp(encke, 'there'), encke.tcp('there', { window: 16_384 })]) {
    const writer = stream.writable.getWriter();
    await writer.write(new Uint8Array([1]).buffer);
    await assert.rejects(writer.write(5), TypeError);
    assert.deepEqual([...await read(stream.readable, 1)], [1]);
  }
}));

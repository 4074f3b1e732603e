// TCP streams: each byte arrives once and in order through cuts and lost answers; back-pressure and ends in both directions.
import test from 'node:test';
import { once } from 'node:events';
import { Cutter, assert, connect } from './rig.mjs';
import { backend, closedPort, drained, echo, hash, noise, read, withTarget, write } from './backends.mjs';
import { middlebox } from './middlebox.mjs';

const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];

/** Bytes of a transfer: polls wait between two answers. */
const bytesFor = (kind) => (kind === 'poll' ? 100_000 : 1_000_000);

for (const kind of KINDS) {
  test(`${kind}: an echo sends all bytes back, and both directions end`, async () => withTarget(await echo(), {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const stream = encke.tcp('there');
    const sent = noise(bytesFor(kind));
    const [got] = await Promise.all([read(stream.readable), write(stream.writable, sent)]);
    await stream.opened;
    assert.equal(hash(got), hash(sent));
    assert.equal((await stream.closed).code, 'ok');
  }));

  test(`${kind}: a backend may speak first, and text is written as UTF-8`, async () => {
    const there = await backend((socket) => socket.write('hello'));
    await withTarget(there, {}, async (node, signal) => {
      const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
      const stream = encke.tcp('there');
      await stream.writable.getWriter().write('grüße');
      const socket = await there.socket();
      assert.equal(String(await read(stream.readable, 5)), 'hello');
      const [part] = await once(socket, 'data');
      assert.equal(String(part), 'grüße');
      stream.reset();
      assert.equal((await stream.closed).code, 'reset');
    });
  });
}

for (const kind of ['ws', 'stream', 'sse', 'longpoll']) {
  test(`${kind}: 64 MiB both ways at once survive connections that are cut`, async () => {
    const there = await backend();
    await withTarget(there, {}, async (node, signal) => {
      const cutter = new Cutter(node.public);
      const encke = connect(`http://${await cutter.listen()}/u/alice`, { transports: [kind], signal });
      try {
        const stream = encke.tcp('there');
        await stream.opened;
        const socket = await there.socket();
        const [up, down] = [noise(64 << 20), noise(64 << 20)];
        // The next cut is armed by what has arrived: a long poll alone would wait for its pause otherwise.
        const arm = () => { if (cutter.left === Infinity && cutter.cuts < 12) cutter.cutAfter(150_000 + cutter.cuts * 30_011); };
        socket.on('data', arm);
        const received = drained(socket);
        socket.end(down);
        const [got] = await Promise.all([read(stream.readable), write(stream.writable, up)]);
        assert.equal(hash(got), hash(down));
        assert.equal(hash(await received), hash(up));
        assert.equal((await stream.closed).code, 'ok');
        assert.ok(cutter.cuts >= 6, `${cutter.cuts} cuts`);
      } finally {
        encke.close();
        cutter.close();
      }
    });
  });
}

for (const kind of ['longpoll', 'stream']) {
  test(`${kind}: lost answers to requests double no byte and do not end the session`, async () => withTarget(await echo(), {}, async (node, signal) => {
    let requests = 0;
    const proxy = await middlebox(node.public, { lose: ({ url }) => url.includes('/send') && (requests += 1) % 3 > 0 });
    const encke = connect(`http://${proxy.address}/u/alice`, { transports: [kind], signal });
    const stream = encke.tcp('there');
    const sent = noise(300_000);
    const [got] = await Promise.all([read(stream.readable), write(stream.writable, sent)]);
    assert.equal(hash(got), hash(sent));
    assert.ok(requests > 6, `${requests} requests`);
    encke.close();
    await proxy.close();
  }));
}

test('a stream moves from polls to a WebSocket and back at the exact byte', async () => withTarget(await echo(), {}, async (node, signal) => {
  const proxy = await middlebox(node.public, { upgrades: () => true });
  const encke = connect(`http://${proxy.address}/u/alice`, { signal });
  const stream = encke.tcp('there');
  const sent = noise(3 << 20);
  const reading = read(stream.readable);
  const writer = stream.writable.getWriter();
  for (let at = 0; at < sent.length; at += 65_536) {
    await writer.write(sent.subarray(at, at + 65_536));
    if (at === 1 << 20 || at === 2 << 20) {
      await proxy.down();
      await proxy.up();
    }
  }
  await writer.close();
  assert.equal(hash(await reading), hash(sent));
  assert.ok(proxy.seen.some((url) => url.startsWith('upgrade') && !url.includes('echo')), 'a WebSocket');
  assert.ok(proxy.seen.some((url) => url.includes('/send')), 'requests');
  encke.close();
  await proxy.close();
}));

test('many streams share one session, and an unread one does not delay the others', async () => withTarget(await echo(), {}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
  const stuck = encke.tcp('there');
  const stuckWriter = stuck.writable.getWriter();
  const stuckBytes = noise(600_000);
  const stuckWrite = stuckWriter.write(stuckBytes).then(() => stuckWriter.close());
  await Promise.all(Array.from({ length: 10 }, async () => {
    const stream = encke.tcp('there');
    const sent = noise(100_000);
    const [got] = await Promise.all([read(stream.readable), write(stream.writable, sent)]);
    assert.equal(hash(got), hash(sent));
  }));
  const { sessions } = await (await fetch(`http://${node.api}/u/alice`)).json();
  assert.equal(sessions.length, 2, 'the client\'s own and one for all streams');
  assert.equal(hash(await read(stuck.readable)), hash(stuckBytes));
  await stuckWrite;
}));

test('a page that does not read stops the backend, and gets every byte later', async () => {
  const there = await backend();
  await withTarget(there, {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const stream = encke.tcp('there');
    const socket = await there.socket();
    const [part, sum] = [noise(1 << 20), []];
    // Until the kernel's buffers and the window are full, and stay so while another stream goes through.
    const probe = async () => {
      const other = encke.tcp('there');
      (await there.socket()).end('!');
      await read(other.readable);
      other.close();
    };
    let [idle, seen] = [0, 0];
    while (idle < 3) {
      while (!socket.writableNeedDrain) { socket.write(part); sum.push(part); }
      await probe();
      const left = socket.bytesWritten - socket.writableLength;
      idle = left === seen && socket.writableNeedDrain ? idle + 1 : 0;
      seen = left;
      assert.ok(left < 64 << 20, `${left} bytes and no end`);
    }
    socket.end();
    assert.equal(hash(await read(stream.readable)), hash(...sum));
  });
});

test('a backend that does not read makes writes wait', async () => {
  const there = await backend((socket) => socket.pause());
  await withTarget(there, {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const stream = encke.tcp('there');
    const writer = stream.writable.getWriter();
    const [part, sum] = [noise(1 << 20), []];
    const probe = async () => {
      const other = encke.tcp('there');
      await other.opened;
      other.reset();
    };
    let waiting = 0;
    while (waiting < 3) {
      let isDone = false;
      const written = writer.write(part).then(() => { isDone = true; waiting = 0; });
      sum.push(part);
      while (!isDone && waiting < 3) {
        await Promise.race([written, probe()]);
        waiting += 1;
      }
      assert.ok(sum.length < 64, 'many writes, and none waits');
    }
    const socket = await there.socket();
    const received = drained(socket);
    await writer.close();
    assert.equal(hash(await received), hash(...sum));
  });
});

for (const kind of ['ws', 'longpoll']) {
  test(`${kind}: each direction ends by itself`, async () => {
    const there = await backend();
    await withTarget(there, {}, async (node, signal) => {
      const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
      // First the page, then the backend.
      const one = encke.tcp('there');
      const writer = one.writable.getWriter();
      writer.write('question');
      await writer.close();
      let socket = await there.socket();
      assert.equal(String(await drained(socket)), 'question');
      socket.end('answer');
      assert.equal(String(await read(one.readable)), 'answer');
      assert.equal((await one.closed).code, 'ok');
      // First the backend, then the page.
      const two = encke.tcp('there');
      socket = await there.socket();
      socket.end('greeting');
      assert.equal(String(await read(two.readable)), 'greeting');
      await two.writable.getWriter().write('late');
      two.close();
      assert.equal(String(await drained(socket)), 'late');
      assert.equal((await two.closed).code, 'ok');
    });
  });

  test(`${kind}: each failure has its own code`, async () => {
    const there = await backend();
    const refusing = await closedPort();
    const targets = `there=${there.address},gone=127.0.0.1:${refusing},nowhere=no-such-name.invalid:1`;
    await withTarget(there, { ENCKE_TCP_TARGETS: targets, ENCKE_TCP_STREAMS: '3' }, async (node, signal) => {
      const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
      for (const [target, code] of [
        ['gone', 'backend-refused'], ['nowhere', 'backend-unknown'], ['elsewhere', 'tcp-unknown-target'], [{ host: '127.0.0.1', port: 22 }, 'forbidden'],
      ]) {
        const stream = encke.tcp(target);
        await assert.rejects(stream.opened, { name: 'EnckeError', code });
        assert.equal((await stream.closed).code, code);
        await assert.rejects(read(stream.readable), { code });
        await assert.rejects(stream.writable.getWriter().write('x'), { code });
      }
      // It accepts, and closes at once.
      const closing = encke.tcp('there');
      (await there.socket()).end();
      await closing.opened;
      assert.equal((await read(closing.readable)).length, 0);
      closing.close();
      assert.equal((await closing.closed).code, 'ok');
      // It says something, and resets.
      const rude = encke.tcp('there');
      const socket = await there.socket();
      await new Promise((done) => { socket.write('so', done); });
      const reader = rude.readable.getReader();
      assert.equal(String(Buffer.from((await reader.read()).value)), 'so');
      socket.resetAndDestroy();
      assert.equal((await rude.closed).code, 'backend-reset');
      await assert.rejects(reader.read(), { code: 'backend-reset' });
      await Promise.all(Array.from({ length: 3 }, () => encke.tcp('there').opened));
      await assert.rejects(encke.tcp('there').opened, { code: 'too-many-streams' });
    });
  });

  test(`${kind}: a restart of the server ends streams as expired, and new ones begin`, async () => withTarget(await echo(), {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: [kind], signal });
    const stream = encke.tcp('there');
    await stream.opened;
    await node.kill();
    await node.start();
    assert.equal((await stream.closed).code, 'expired');
    await assert.rejects(read(stream.readable), { code: 'expired' });
    const next = encke.tcp('there');
    await next.writable.getWriter().write('again');
    assert.equal(String(await read(next.readable, 5)), 'again');
  }));
}

test('after the grace, streams are expired, and connections to backends are closed', async () => {
  const there = await backend((socket) => socket.resume());
  await withTarget(there, { ENCKE_SESSION_GRACE: '1s', ENCKE_HEARTBEAT: '500ms' }, async (node, signal) => {
    const cutter = new Cutter(node.public);
    const encke = connect(`http://${await cutter.listen()}/u/alice`, { transports: ['stream'], signal });
    const stream = encke.tcp('there');
    await stream.opened;
    const socket = await there.socket();
    const gone = Promise.race([once(socket, 'end'), once(socket, 'error')]);
    await cutter.refuse();
    await gone;
    await cutter.listen();
    assert.equal((await stream.closed).code, 'expired');
    encke.close();
    cutter.close();
  });
});

test('streams end with a session that a backend ends', async () => withTarget(await echo(), {}, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { transports: ['stream'], signal });
  const stream = encke.tcp('there');
  await stream.opened;
  await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
  assert.equal((await stream.closed).code, 'expired');
}));

test('a signal, an aborted writable and a closed client reset streams, and connections to backends close', async () => {
  const there = await backend((socket) => socket.resume());
  await withTarget(there, {}, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const stop = new AbortController();
    for (const [options, act] of [
      [{ signal: stop.signal }, () => stop.abort()],
      [{}, ({ writable }) => writable.abort('enough')],
      [{}, () => encke.close()],
    ]) {
      const stream = encke.tcp('there', options);
      await stream.opened;
      const socket = await there.socket();
      const gone = Promise.race([once(socket, 'end'), once(socket, 'error')]);
      act(stream);
      assert.equal((await stream.closed).code, 'reset');
      await gone;
    }
    assert.equal((await encke.tcp('there').closed).code, 'reset');
  });
});

for (const kind of ['ws', 'longpoll']) {
  test(`${kind}: bytes that a gap of the session covers are requested again`, async () => {
    const there = await backend();
    await withTarget(there, { ENCKE_CHANNEL_BYTES: '256KiB', ENCKE_MESSAGE_BYTES: '8KiB' }, async (node, signal) => {
      const cutter = new Cutter(node.public);
      const resumed = [];
      const heed = (text) => { if (`${text}`.includes('"resume"')) resumed.push(text); };
      const runtime = {
        fetch: (url, init) => { heed(init?.body); return fetch(url, init); },
        WebSocket: class extends WebSocket {
          send(data) { heed(data); super.send(data); }
        },
      };
      const encke = connect(`http://${await cutter.listen()}/u/alice`, { transports: [kind], signal, runtime });
      try {
        const [stream, ended] = [encke.tcp('there'), encke.tcp('there')];
        const [socket, endedSocket] = [await there.socket(), await there.socket()];
        await Promise.all([stream.opened, ended.opened]);
        await cutter.refuse();
        const down = noise(200_000);
        socket.end(down);
        endedSocket.write('the last', () => endedSocket.resetAndDestroy());
        for (let n = 0; n < 64; n += 1) await node.post('/u/alice/publish', JSON.stringify('x'.repeat(8000)), 'application/json');
        await cutter.listen();
        const [one, other] = await Promise.all([stream, ended].map(async ({ readable }) => {
          const parts = [];
          // The reset is an error once everything before it is read.
          try { for await (const part of readable) parts.push(part); } catch (error) { parts.push(Buffer.from(error.code)); }
          return Buffer.concat(parts);
        }));
        const [large, small] = one.length > other.length ? [one, other] : [other, one];
        assert.equal(hash(large), hash(down));
        assert.match(String(small), /^(the last)?backend-reset$/);
        assert.ok(resumed.length >= 1, 'it was requested');
        stream.close();
        ended.close();
        assert.deepEqual((await Promise.all([stream.closed, ended.closed])).map(({ code }) => code).sort(), ['backend-reset', 'ok']);
      } finally {
        encke.close();
        cutter.close();
      }
    });
  });
}

test('a stream reaches an address that the rules allow', async () => {
  const there = await echo();
  await withTarget(there, { ENCKE_TCP_ALLOW: `127.0.0.0/8=${there.port}` }, async (node, signal) => {
    const encke = connect(`http://${node.public}/u/alice`, { transports: ['ws'], signal });
    const stream = encke.tcp({ host: 'localhost', port: there.port });
    await stream.writable.getWriter().write('x');
    assert.equal((await read(stream.readable, 1)).length, 1);
  });
});

test('requests become smaller where the server takes only small ones', async () => withTarget(await echo(), { ENCKE_BODY_BYTES: '16KiB', ENCKE_MESSAGE_BYTES: '16KiB' }, async (node, signal) => {
  const encke = connect(`http://${node.public}/u/alice`, { transports: ['stream'], signal });
  const stream = encke.tcp('there');
  const sent = noise(200_000);
  const [got] = await Promise.all([read(stream.readable), write(stream.writable, sent)]);
  assert.equal(hash(got), hash(sent));
}));

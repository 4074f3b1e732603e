// When a session begins, continues and ends, by hand; with short delays where the server's can be set.
import {
  FORM, GO_AWAY, QUICK, assert, fresh, opened, poll, says, sent, services, streaming, until, waiting, wire,
} from './rig.mjs';
import { Socket } from './wire/websocket.mjs';

const all = services(QUICK);
const sendStatus = async (service, session, body = '["a"]') => (await service.post(`${session}/xhr_send`, body)).status;

// ---- beginnings ----

wire('only a request that receives makes a session', async () => {
  const session = fresh();
  await all.echo.options(`${session}/xhr`, { Origin: 'test' });
  assert.equal(await sendStatus(all.echo, session), 404);
  assert.equal((await all.echo.post(`${session}/jsonp_send`, 'd=["a"]', FORM)).status, 404);
  for (const leaf of ['jsonp', 'jsonp?c=%20', 'htmlfile', 'htmlfile?c=(']) {
    assert.equal((await all.echo.get(`${session}/${leaf}`)).status, 500);
    assert.equal(await sendStatus(all.echo, session), 404, leaf);
  }
  await opened(all.echo, session);
  assert.equal(await sendStatus(all.echo, session), 204);
});

wire('a session belongs to its service', async () => {
  const session = await opened(all.echo);
  await opened(all.broadcast, session);
  await says(all.echo, session, 'mine');
  assert.equal(await poll(all.echo, session), 'a["mine"]\n');
});

wire('a socket is no session by its name', async () => {
  const session = await opened(all.echo);
  const socket = await Socket.open(all.echo, `${session}/websocket`);
  assert.equal(await socket.recv(), 'o');
  await says(all.echo, session, 'by request');
  socket.send('["by socket"]');
  assert.equal(await socket.recv(), 'a["by socket"]');
  assert.equal(await poll(all.echo, session), 'a["by request"]\n');
  socket.close();
  const name = fresh();
  const alone = await Socket.open(all.echo, `${name}/websocket`);
  assert.equal(await alone.recv(), 'o');
  assert.equal(await sendStatus(all.echo, name), 404);
  alone.close();
});

// ---- middles ----

wire('what waits goes in one frame, in its order', async () => {
  const session = await opened(all.echo);
  await says(all.echo, session, 'm0', 'm1');
  await says(all.echo, session, 'm2');
  assert.equal(await poll(all.echo, session), 'a["m0","m1","m2"]\n');
});

wire('a session goes on by another transport, and opens once', async () => {
  const session = fresh();
  assert.equal((await all.echo.get(`${session}/jsonp?c=x`)).body, '/**/x("o");\r\n');
  await says(all.echo, session, 'one');
  assert.equal(await poll(all.echo, session), 'a["one"]\n');
  await says(all.echo, session, 'two');
  const stream = await streaming(all.echo, `${session}/eventsource`);
  assert.equal(await stream.chunk(), 'data: a["two"]\r\n\r\n');
  const other = await streaming(all.echo, `${session}/htmlfile?c=x`);
  assert.match(await other.chunk(), /c\[2010,/);
  assert.equal(await other.chunk(), null);
  stream.close();
});

wire('a stream that reached its limit is followed by the next without a loss', async () => {
  const session = fresh();
  const count = 100;
  const texts = Array.from({ length: count }, (_, n) => `${n}:${'x'.repeat(200)}`);
  const sending = (async () => {
    for (let n = 0; n < count; n += 4) await says(all.echo, session, ...texts.slice(n, n + 4));
  });
  const got = [];
  let frames = 0;
  let streams = 0;
  let sends;
  while (got.length < count) {
    const stream = await streaming(all.echo, `${session}/xhr_streaming`);
    streams += 1;
    for (let chunk; (chunk = await stream.chunk()) !== null;) {
      frames += 1;
      if (frames === 1) {
        assert.equal(chunk, 'o\n');
        sends = sending();
      } else if (chunk !== 'h\n') {
        assert.equal(chunk[0], 'a', chunk);
        got.push(...JSON.parse(chunk.slice(1)));
      }
      if (got.length >= count) break;
    }
    stream.close();
  }
  await sends;
  assert.deepEqual(got, texts);
  assert.ok(streams > 2, `only ${streams} streams`);
});

wire('strings for a closing session are accepted and dropped', async () => {
  const session = await opened(all.close);
  await sent(all.close, session, '["a"]');
  for (let time = 0; time < 2; time += 1) assert.equal(await poll(all.close, session), `${GO_AWAY}\n`);
  await sent(all.close, session, '["a"]');
});

wire('of concurrent receivers one stays, and the others get an error', async () => {
  const session = await opened(all.echo);
  const rivals = Array.from({ length: 8 }, () => all.echo.post(`${session}/xhr`));
  const bodies = [];
  const over = rivals.map(async (rival) => { bodies.push((await rival).body); });
  await until('seven of eight polls', () => new Promise((done) => { setImmediate(done); }), () => bodies.length === 7);
  assert.ok(bodies.every((body) => body === 'c[2010,"Another connection still open"]\n'), bodies.join());
  await says(all.echo, session, 'for one');
  await Promise.all(over);
  assert.equal(bodies.at(-1), 'a["for one"]\n');
});

// ---- heartbeats ----

const FRAMES = { xhr_streaming: 'h\n', eventsource: 'data: h\r\n\r\n', 'htmlfile?c=x': '<script>\np("h");\n</script>\r\n' };

wire('a stream gets a heartbeat again and again', () => Promise.all(Object.entries(FRAMES).map(async ([leaf, beat]) => {
  const stream = await streaming(all.echo, `${fresh()}/${leaf}`);
  await stream.chunk();
  for (let time = 0; time < 2; time += 1) assert.equal(await stream.chunk(), beat);
  stream.close();
})));

wire('a heartbeat ends a poll', async () => {
  const session = await opened(all.echo);
  assert.equal(await poll(all.echo, session), 'h\n');
  assert.equal((await all.echo.get(`${session}/jsonp?c=x`)).body, '/**/x("h");\r\n');
});

wire('a socket gets a ping or a heartbeat', async () => {
  const socket = await Socket.open(all.echo, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  const { opcode, payload } = await socket.frame();
  assert.ok(opcode === 9 || (opcode === 1 && String(payload) === 'h'), `${opcode} ${payload}`);
  socket.close();
});

// ---- ends ----

wire('a session without receivers is forgotten, whatever is sent to it', async () => {
  const session = await opened(all.echo);
  assert.equal(await sendStatus(all.echo, session), 204);
  await until('the session', () => sendStatus(all.echo, session), (status) => status === 404);
  assert.equal(await poll(all.echo, session), 'o\n');
});

wire('an open stream keeps its session', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/xhr_streaming`);
  assert.equal(await stream.chunk(), 'o\n');
  const beats = Math.ceil(QUICK.disconnect / QUICK.heartbeat) + 1;
  for (let beat = 0; beat < beats; beat += 1) assert.equal(await stream.chunk(), 'h\n');
  await says(all.echo, session, 'still here');
  assert.equal(await stream.chunk(), 'a["still here"]\n');
  stream.close();
});

wire('a session that closed is forgotten, too', async () => {
  const session = await opened(all.close);
  assert.equal(await poll(all.close, session), `${GO_AWAY}\n`);
  await until('the close frame', () => sendStatus(all.close, session), (status) => status === 404);
  assert.equal(await poll(all.close, session), 'o\n');
});

wire('a receiver that went is noticed although nothing is written to it', async () => {
  for (const way of ['destroy', 'reset', 'finish']) {
    const session = await opened(all.echo);
    const link = await waiting(all.echo, session);
    link[way]();
    await until(`the poll that ended by ${way}`, () => poll(all.echo, session), (frame) => /^(o|c\[1002,"Connection interrupted"\])\n$/.test(frame));
  }
});

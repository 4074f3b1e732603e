// What no well-behaved client does, by hand: the answer is the specified one, and no other client notices.
import { FORM, assert, fresh, opened, poll, says, services, streaming, until, wire } from './rig.mjs';
import { requestText } from './wire/http.mjs';
import { Link } from './wire/link.mjs';
import { BINARY, Socket, TEXT, frame, upgrade } from './wire/websocket.mjs';

const all = services();

/** Whether the server still serves, to a session that was there before and to new ones. */
async function isAlive(session) {
  await says(all.echo, session, 'alive');
  assert.equal(await poll(all.echo, session), 'a["alive"]\n');
  assert.equal((await all.echo.get('')).status, 200);
}

for (const [kind, path] of [['', `${fresh()}/websocket`], ['raw ', '/websocket']]) {
  wire(`a frame that comes with the handshake of a ${kind}socket is read`, async () => {
    const isRaw = kind === 'raw ';
    const early = [frame(TEXT, isRaw ? 'early' : '["early"]'), frame(TEXT, isRaw ? 'too' : '["too"]')];
    const socket = await Socket.open(all.echo, path, { early });
    if (!isRaw) assert.equal(await socket.recv(), 'o');
    const texts = [];
    while (texts.length < 2) {
      const message = await socket.recv();
      texts.push(...(isRaw ? [message] : JSON.parse(message.slice(1))));
    }
    assert.deepEqual(texts, ['early', 'too']);
    socket.close();
  });
}

wire('a request that is cut at any byte says nothing', async () => {
  const session = await opened(all.echo);
  const whole = requestText(all.echo.base, 'POST', `${all.echo.path}${session}/xhr_send`, { body: '["cut"]' });
  for (let length = 1; length < whole.length; length += 1) {
    const link = await Link.to(all.echo.base);
    link.write(whole.subarray(0, length));
    if (length % 2) link.reset();
    else link.destroy();
  }
  await isAlive(session);
});

wire('a socket that is cut at any byte costs only itself', async () => {
  const session = await opened(all.echo);
  const handshake = requestText(all.echo.base, 'GET', `${all.echo.path}${fresh()}/websocket`, { headers: upgrade() });
  const whole = Buffer.concat([handshake, frame(TEXT, '["a"]'), frame(BINARY, '["b"]'), frame(8, '')]);
  for (let length = 1; length < whole.length; length += 1) {
    const link = await Link.to(all.echo.base);
    link.write(whole.subarray(0, length));
    if (length % 2) link.reset();
    else link.destroy();
  }
  await isAlive(session);
});

wire('a reset on any path, at once or after the answer began, costs only itself', async () => {
  const session = await opened(all.echo);
  const paths = [['GET', ''], ['GET', '/info'], ['GET', '/iframe.html'], ['GET', '/nothing'], ['POST', '/xhr'], ['POST', '/xhr_send'],
    ['POST', '/xhr_streaming'], ['GET', '/eventsource'], ['GET', '/htmlfile?c=x'], ['GET', '/jsonp?c=x'], ['GET', '/jsonp'],
    ['POST', '/jsonp_send'], ['GET', '/websocket']];
  for (const [method, path] of paths) {
    const ofSession = !['', '/info', '/iframe.html', '/nothing'].includes(path);
    // A session that a reset request has opened would hold the next poll.
    const where = () => (ofSession ? fresh() + path : path);
    for (const headers of [{}, upgrade(), upgrade('99'), { Upgrade: 'websocket', Connection: 'close' }]) {
      (await all.echo.send(method, where(), { headers })).reset();
    }
    const link = await all.echo.send(method, where());
    await link.line();
    link.reset();
  }
  await isAlive(session);
});

wire('JSON that is no array of strings is refused or stands for strings, and the session goes on', async () => {
  const session = await opened(all.echo);
  const odd = ['[1]', '[null]', '[true,"a"]', '[["a"]]', '[{"__proto__":1}]', '[1e999]', '[-0]', '["a",{"toString":1}]'];
  for (const body of odd) {
    const answer = await all.echo.post(`${session}/xhr_send`, body);
    assert.ok([204, 500].includes(answer.status), `${body}: ${answer.status}`);
    if (answer.status === 500) assert.match(answer.body, /^(Payload expected|Broken JSON encoding)\.$/);
  }
  const drained = await until('what became of them', async () => {
    await says(all.echo, session, 'end');
    return poll(all.echo, session);
  }, (text) => text.includes('"end"]'));
  assert.match(drained, /^a\[/);
  await isAlive(session);
});

wire('what is deeply nested is refused', async () => {
  const session = await opened(all.echo);
  for (const body of ['['.repeat(50000), `${'['.repeat(50000)}${']'.repeat(50000)}`, `["a",${'{"a":'.repeat(20000)}`]) {
    assert.equal((await all.echo.post(`${session}/xhr_send`, body)).status, 500);
    assert.equal((await all.echo.post(`${session}/jsonp_send`, `d=${encodeURIComponent(body)}`, FORM)).status, 500);
  }
  await isAlive(session);
});

wire('a socket that says odd things is closed or answered, and no other', async () => {
  const session = await opened(all.echo);
  for (const text of ['{}', '7', 'null', '[1]', '[null]', '{"length":2}', '[["a"]]', '['.repeat(50000), '"', '\u0000']) {
    const socket = await Socket.open(all.echo, `${fresh()}/websocket`);
    assert.equal(await socket.recv(), 'o');
    socket.send(text);
    socket.send('["after"]');
    const got = await socket.recv();
    if (typeof got === 'object') assert.notEqual(got.code, 1000, text);
    else assert.equal(got[0], 'a', text);
    socket.close();
  }
  await isAlive(session);
});

wire('bytes in a binary message are strings, or the end', async () => {
  const socket = await Socket.open(all.echo, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  socket.sendBytes('["bytes"]');
  const got = await socket.recv();
  assert.ok(got === 'a["bytes"]' || got.code === 1003 || got.code === 3000, JSON.stringify(got));
  socket.close();
});

wire('a missing session gets a 404 each time', async () => {
  const session = fresh();
  for (let time = 0; time < 5; time += 1) {
    assert.equal((await all.echo.post(`${session}/xhr_send`, '["a"]')).status, 404);
    assert.equal((await all.echo.post(`${session}/jsonp_send`, 'd=["a"]', FORM)).status, 404);
  }
});

wire('strings that are sent again are delivered again', async () => {
  const session = await opened(all.echo);
  for (let time = 0; time < 3; time += 1) await says(all.echo, session, 'again');
  assert.equal(await poll(all.echo, session), 'a["again","again","again"]\n');
});

wire('a client that never reads delays no other', async () => {
  const session = await opened(all.echo);
  const deaf = fresh();
  const stream = await streaming(all.amplify, `${deaf}/xhr_streaming`);
  stream.link.socket.pause();
  for (let time = 0; time < 64; time += 1) {
    const { status } = await all.amplify.post(`${deaf}/xhr_send`, '["18"]');
    assert.ok([204, 404].includes(status), `${status}`);
  }
  await isAlive(session);
  stream.close();
});

wire('a long session name is refused or served', async () => {
  const answer = await all.echo.post(`/000/${'x'.repeat(3000)}/xhr`);
  assert.ok([200, 404, 414, 431].includes(answer.status), `${answer.status}`);
});

wire('a message as long as a body may be comes back whole', async () => {
  const session = await opened(all.echo);
  const text = 'é\u2028"\\'.repeat(20000);
  await says(all.echo, session, text);
  assert.ok(JSON.parse((await poll(all.echo, session)).slice(1))[0] === text);
});

wire('a cookie cannot break its header', async () => {
  for (const value of ['a\tb', 'a\x7fb', '"', 'x'.repeat(2000)]) {
    const answer = await all.cookie_needed_echo.post(`${fresh()}/xhr`, undefined, { Cookie: `JSESSIONID=${value}` });
    if (answer.status !== 200) continue;
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(answer.get('set-cookie'), /[\x00-\x1f\x7f]/);
  }
});

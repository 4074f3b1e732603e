// The further statements of the protocol, by hand: paths, methods, headers, bodies. Each test names what it holds to.
import { FORM, assert, fresh, is405, isCors, isNeverCached, opened, poll, says, sent, services, streaming, type, wire } from './rig.mjs';
import { answerOn, ask, requestText } from './wire/http.mjs';
import { Link } from './wire/link.mjs';
import { Socket, upgrade } from './wire/websocket.mjs';

const all = services();

// ---- paths and methods ----

wire('a service begins at a boundary of the path', async () => {
  const answer = await ask(await Link.to(all.echo.base), all.echo.base, 'GET', '/echoo');
  assert.notEqual(await answer.text(), 'Welcome to SockJS!\n');
  assert.equal(answer.status, 404);
});

wire('one slash at the end of any path counts for nothing', async () => {
  const session = fresh();
  for (const [method, path, status] of [['GET', '/info/', 200], ['GET', '/iframe.html/', 200], ['POST', `${session}/xhr/`, 200],
    ['OPTIONS', `${session}/xhr_send/`, 204], ['GET', `${fresh()}/jsonp/?c=x`, 200]]) {
    const answer = await all.echo.open(method, path);
    assert.equal(answer.status, status, path);
    answer.close();
  }
});

wire('a session is named by the bytes of its segment', async () => {
  const name = `s${Math.random().toString(36).slice(2)}`;
  const sessions = [`/000/${name}a`, `/000/${name}%61`, `/000/${name}A`];
  for (const session of sessions) await opened(all.echo, session);
  for (const session of sessions) await says(all.echo, session, session);
  for (const session of sessions) assert.equal(await poll(all.echo, session), `a["${session}"]\n`);
});

wire('a query changes no path', async () => {
  const session = fresh();
  assert.equal((await all.echo.post(`${session}/xhr?t=${Date.now()}`)).body, 'o\n');
  assert.equal((await all.echo.post(`${session}/xhr_send?t=/../x`, '["a"]')).status, 204);
  assert.equal((await all.echo.post(`${session}/xhr?a/b.c?d`)).body, 'a["a"]\n');
});

wire('every path refuses other methods with 405, its methods and nothing else', async () => {
  const paths = {
    '': ['GET'], '/iframe.html': ['GET'], '/info': ['GET', 'OPTIONS'], '/websocket': ['GET'], '/a/b/websocket': ['GET'],
    '/a/b/xhr': ['OPTIONS', 'POST'], '/a/b/xhr_send': ['OPTIONS', 'POST'], '/a/b/xhr_streaming': ['OPTIONS', 'POST'],
    '/a/b/eventsource': ['GET'], '/a/b/htmlfile': ['GET'], '/a/b/jsonp': ['GET'], '/a/b/jsonp_send': ['POST'],
  };
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of ['GET', 'POST', 'OPTIONS', 'PUT', 'DELETE', 'PATCH'].filter((name) => !methods.includes(name))) {
      is405(await all.echo.request(method, path), methods);
    }
    const head = await all.echo.open('HEAD', path);
    assert.equal(head.status, 405, `HEAD ${path}`);
    head.close();
  }
});

wire('a missing resource gets a 404 in plain text', async () => {
  const answer = await all.echo.get('/nothing');
  assert.deepEqual([answer.status, type(answer), answer.body], [404, 'text/plain;charset=UTF-8', '404 Error: Page not found\n']);
});

wire('without WebSockets both of their paths are not there', async () => {
  for (const path of ['/websocket', `${fresh()}/websocket`]) {
    for (const headers of [{}, upgrade()]) assert.equal((await all.disabled_websocket_echo.get(path, headers)).status, 404, path);
  }
});

wire('the page for frames is sent again to a client that has another one', async () => {
  const page = await all.echo.get('/iframe.html', { 'If-None-Match': '"another"' });
  assert.equal(page.status, 200);
  const versioned = await all.echo.get('/iframe-1.6.1.html', { 'If-None-Match': page.get('etag') });
  assert.equal(versioned.status, 304, 'all versions are one page');
});

// ---- headers ----

wire('without an origin everybody may read, and nobody with credentials', async () => {
  const session = fresh();
  for (const [method, path, body] of [['GET', '/info'], ['POST', `${session}/xhr`], ['POST', `${session}/xhr_send`, '["a"]'],
    ['POST', `${session}/xhr_send`, 'x'], ['POST', `${fresh()}/xhr_send`, '["a"]'], ['POST', `${fresh()}/xhr_streaming`], ['GET', `${fresh()}/eventsource`]]) {
    const answer = await all.echo.open(method, path, { body });
    isCors(answer);
    isNeverCached(answer);
    assert.equal(answer.get('vary'), 'Origin', path);
    assert.equal(answer.get('access-control-allow-headers'), undefined);
    answer.close();
  }
});

wire('an origin is repeated as it is, on success and on error', async () => {
  const session = fresh();
  const headers = { Origin: 'http://a.test:81', 'Access-Control-Request-Headers': 'x-one, x-two' };
  for (const [method, path, body] of [['GET', '/info'], ['POST', `${session}/xhr`], ['POST', `${session}/xhr_send`, '["a"]'],
    ['POST', `${session}/xhr_send`, 'x'], ['POST', `${fresh()}/xhr_send`, '["a"]'], ['POST', `${fresh()}/xhr_streaming`], ['GET', `${fresh()}/eventsource`]]) {
    const answer = await all.echo.open(method, path, { headers, body });
    isCors(answer, headers.Origin);
    assert.equal(answer.get('access-control-allow-headers'), 'x-one, x-two', path);
    answer.close();
  }
});

wire('the origin null is repeated for event sources too', async () => {
  const answer = await all.echo.open('GET', `${fresh()}/eventsource`, { headers: { Origin: 'null' } });
  isCors(answer, 'null');
  answer.close();
});

wire('a script cannot be taken for something else', async () => {
  const answer = await all.echo.get(`${fresh()}/jsonp?c=x`);
  assert.equal(answer.get('x-content-type-options'), 'nosniff');
});

wire('what was sent is answered without a body, and with a type all the same', async () => {
  const answer = await sent(all.echo, await opened(all.echo), '["a"]');
  assert.equal(type(answer), 'text/plain;charset=UTF-8');
  assert.equal(answer.get('content-length'), undefined);
  isNeverCached(answer);
});

wire('the cookie of balancers is on every path of a session but the socket\'s', async () => {
  const session = fresh();
  const cookie = (answer) => answer.get('set-cookie');
  for (const name of ['xhr', 'xhr_send', 'xhr_streaming']) {
    assert.match(cookie(await all.cookie_needed_echo.options(`${session}/${name}`, { Origin: 'test' })), /^JSESSIONID=dummy; path=\/$/i);
  }
  assert.match(cookie(await all.cookie_needed_echo.post(`${session}/xhr`)), /^JSESSIONID=dummy; path=\/$/i);
  assert.match(cookie(await all.cookie_needed_echo.post(`${session}/xhr_send`, '["a"]')), /^JSESSIONID=dummy; path=\/$/i);
  for (const path of ['', '/info', '/iframe.html']) assert.equal(cookie(await all.cookie_needed_echo.get(path)), undefined, path);
  assert.equal(cookie(await all.echo.post(`${fresh()}/xhr`, undefined, { Cookie: 'JSESSIONID=a' })), undefined);
  const socket = await Socket.open(all.cookie_needed_echo, `${fresh()}/websocket`);
  assert.equal(cookie(socket.answer), undefined);
  socket.close();
});

// ---- bodies up ----

wire('errors in a body are reported in order, before the session is looked up', async () => {
  const session = await opened(all.echo);
  for (const where of [session, fresh()]) {
    for (const [body, words] of [['', 'Payload expected.'], ['["x', 'Broken JSON encoding.'], ['{}', 'Payload expected.'],
      ['"a"', 'Payload expected.'], ['null', 'Payload expected.'], ['7', 'Payload expected.']]) {
      const answer = await all.echo.post(`${where}/xhr_send`, body);
      assert.deepEqual([answer.status, answer.body], [500, words], body);
    }
  }
  await says(all.echo, session, 'goes on');
  assert.equal(await poll(all.echo, session), 'a["goes on"]\n');
});

wire('a sent body may be chunked, and may be announced', async () => {
  const session = await opened(all.echo);
  const headers = { 'Transfer-Encoding': 'chunked' };
  const chunked = await all.echo.request('POST', `${session}/xhr_send`, { headers, body: '2\r\n["\r\n3\r\na"]\r\n0\r\n\r\n' });
  assert.equal(chunked.status, 204);
  const link = await Link.to(all.echo.base);
  const path = `${all.echo.path}${session}/xhr_send`;
  link.write(requestText(all.echo.base, 'POST', path, { headers: { Expect: '100-continue', 'Content-Length': 5 } }));
  const interim = await answerOn(link);
  assert.equal(interim.status, 100);
  link.write('["b"]');
  assert.equal((await answerOn(link)).status, 204);
  link.destroy();
  assert.equal(await poll(all.echo, session), 'a["a","b"]\n');
});

wire('a poll needs no body, and ignores one', async () => {
  const headers = { 'Content-Length': null };
  const link = await Link.to(all.echo.base);
  link.write(`POST ${all.echo.path}${fresh()}/xhr HTTP/1.1\r\nHost: x.localhost\r\nConnection: close\r\n\r\n`.replace('x.localhost', new URL(all.echo.base).host));
  assert.equal(await (await answerOn(link)).text(), 'o\n');
  assert.equal((await all.echo.request('POST', `${fresh()}/xhr`, { headers: { ...headers, 'Content-Length': 7 }, body: '["odd"]' })).body, 'o\n');
});

wire('a form\'s field is decoded, and nothing else of it matters', async () => {
  const session = fresh();
  await all.echo.get(`${session}/jsonp?c=x`);
  for (const body of ['i=1&d=%5B%22a+b%2B%C3%A9%22%5D', 'd=["c"]&p=p']) {
    const answer = await all.echo.post(`${session}/jsonp_send`, body, { 'Content-Type': `${FORM['Content-Type']}; charset=UTF-8` });
    assert.deepEqual([answer.status, answer.body], [200, 'ok']);
    assert.equal(answer.get('access-control-allow-origin'), undefined);
    isNeverCached(answer);
  }
  assert.equal((await all.echo.post(`${session}/jsonp_send`, '["d"]')).body, 'ok');
  assert.equal((await all.echo.get(`${session}/jsonp?c=x`)).body, `/**/x(${JSON.stringify('a["a b+é","c","d"]')});\r\n`);
  assert.equal((await all.echo.post(`${fresh()}/jsonp_send`, 'd=["a"]', FORM)).status, 404);
  const broken = await all.echo.post(`${fresh()}/jsonp_send`, 'd={}', FORM);
  assert.deepEqual([broken.status, broken.body], [500, 'Payload expected.']);
});

wire('a callback may go by either name, and must be one', async () => {
  for (const leaf of ['jsonp', 'htmlfile']) {
    const answer = await all.echo.open('GET', `${fresh()}/${leaf}?callback=_jp.a0b1-c&x=%`.replace('&x=%', ''));
    assert.equal(answer.status, 200);
    assert.match(answer.isChunked ? await answer.chunk() : await answer.text(), /_jp\.a0b1-c/);
    answer.close();
  }
  const long = await all.echo.get(`/a/b/jsonp?c=${'x'.repeat(33)}`);
  assert.deepEqual([long.status, long.body], [500, 'invalid "callback" parameter']);
});

wire('an empty callback is none', async () => {
  for (const leaf of ['jsonp', 'htmlfile']) {
    const answer = await all.echo.open('GET', `/a/b/${leaf}?c=`);
    answer.close();
    assert.equal(answer.status, 500);
  }
});

// ---- characters ----

wire('a character beyond the first plane leaves as two escapes, and the rest as it is', async () => {
  const session = await opened(all.echo);
  await says(all.echo, session, '\u{1f600}\u007f\u009f\u00e9\u2027\u2030');
  assert.equal(await poll(all.echo, session), 'a["\\ud83d\\ude00\u007f\u009f\u00e9\u2027\u2030"]\n');
});

wire('half a pair and bytes that are no text lose no message', async () => {
  const session = await opened(all.echo);
  await sent(all.echo, session, String.raw`["a","x\ud800y","b"]`);
  const texts = JSON.parse((await poll(all.echo, session)).slice(1));
  assert.deepEqual([texts.length, texts[0], texts[2]], [3, 'a', 'b']);
  assert.match(texts[1], /^x[\ud800\ufffd]y$/);
  await sent(all.echo, session, Buffer.from('["c\xff","d"]', 'latin1'));
  assert.equal(await poll(all.echo, session), 'a["c\\ufffd","d"]\n');
});

wire('a per cent sign survives the client\'s decoding of events', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/eventsource`);
  assert.equal(await stream.chunk(), 'data: o\r\n\r\n');
  await says(all.echo, session, '%41%80%');
  assert.equal(await stream.chunk(), 'data: a["%2541%2580%25"]\r\n\r\n');
  stream.close();
});

wire('nothing in a message ends a script or hides its end', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/htmlfile?c=x`);
  await stream.chunk();
  await says(all.echo, session, '</script><!--<script>');
  const chunk = await stream.chunk();
  const inner = /^<script>\np\((.*)\);\n<\/script>\r\n$/.exec(chunk)?.[1];
  assert.ok(inner && !inner.includes('<'), chunk);
  assert.equal(JSON.parse(inner), 'a["</script><!--<script>"]');
  stream.close();
});

// ---- sockets ----

wire('a socket opens at once and takes one string as well as many', async () => {
  const link = await Socket.open(all.echo, `${fresh()}/websocket`, { headers: upgrade('13', { Upgrade: 'WebSocket', Connection: 'keep-alive, Upgrade' }) });
  assert.equal(await link.recv(), 'o');
  link.send('"one"');
  assert.equal(await link.recv(), 'a["one"]');
  link.send('["two","three"]');
  const texts = [];
  while (texts.length < 2) texts.push(...JSON.parse((await link.recv()).slice(1)));
  assert.deepEqual(texts, ['two', 'three']);
  link.close();
});

wire('a socket that sends anything but strings is closed, with the reason', async () => {
  const link = await Socket.open(all.echo, `${fresh()}/websocket`);
  assert.equal(await link.recv(), 'o');
  link.send('["a');
  assert.deepEqual(await link.recv(), { code: 3000, reason: 'Broken framing.' });
  link.close();
});

wire('a socket is closed with 1000 after its close frame', async () => {
  const link = await Socket.open(all.close, `${fresh()}/websocket`);
  await link.recv();
  await link.recv();
  assert.equal((await link.recv()).code, 1000);
  link.close();
});

wire('other versions of WebSocket are refused with 400', async () => {
  for (const path of ['/websocket', `${fresh()}/websocket`]) {
    for (const version of ['7', '8', '14']) assert.equal((await all.echo.get(path, upgrade(version))).status, 400, version);
  }
});

wire('a raw socket carries what it is given, and no frames', async () => {
  const link = await Socket.open(all.echo, '/websocket');
  for (const text of ['[]', '["a"]', 'o', '\u{1f600}\uffff', 'x'.repeat(70000)]) {
    link.send(text);
    assert.equal(await link.recv(), text);
  }
  link.close();
});

wire('a stream that ended leaves its connection for the next request', async () => {
  const stream = await streaming(all.close);
  while (await stream.chunk() !== null);
  const next = await ask(stream.link, all.close.base, 'GET', `${all.close.path}/info`);
  assert.equal(next.status, 200);
  stream.close();
});

// ---- the other test services ----

wire('the ticker ticks', async () => {
  const stream = await streaming(all.ticker);
  for (const chunk of ['o\n', 'a["tick!"]\n', 'a["tick!"]\n']) assert.equal(await stream.chunk(), chunk);
  stream.close();
});

wire('the amplifier amplifies', async () => {
  const session = await opened(all.amplify);
  for (const [text, length] of [['1', 2], ['4', 16], ['4.7', 16], ['0', 2], ['19', 2], ['x', 2], ['18', 262144]]) {
    await says(all.amplify, session, text);
    assert.equal(await poll(all.amplify, session), `a["${'x'.repeat(length)}"]\n`, text);
  }
});

wire('a broadcast reaches every session of its service', async () => {
  const sessions = [await opened(all.broadcast), await opened(all.broadcast)];
  const socket = await Socket.open(all.broadcast, `${fresh()}/websocket`);
  assert.equal(await socket.recv(), 'o');
  await says(all.broadcast, sessions[0], 'to all');
  for (const session of sessions) assert.equal(await poll(all.broadcast, session), 'a["to all"]\n');
  assert.equal(await socket.recv(), 'a["to all"]');
  socket.close();
});

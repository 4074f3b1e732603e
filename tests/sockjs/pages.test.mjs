// The public protocol suite, first part: static pages, preflights, HTTP. Each test has the name that it has there
// (sockjs-protocol 0.3.3, in the state in which it echoes origins and forbids transformation).
import { assert, fresh, is405, isCached, isCors, isNeverCached, opened, poll, says, services, test, type, wire } from './rig.mjs';
import { ask } from './wire/http.mjs';
import { Link } from './wire/link.mjs';

const all = services();
const GREETING = 'Welcome to SockJS!\n';

// ---- BaseUrlGreeting ----

wire('BaseUrlGreeting.test_greeting', async () => {
  for (const path of ['', '/']) {
    const answer = await all.echo.get(path);
    assert.equal(answer.status, 200);
    assert.equal(type(answer), 'text/plain;charset=UTF-8');
    assert.equal(answer.body, GREETING);
    assert.equal(answer.get('set-cookie'), undefined);
  }
});

wire('BaseUrlGreeting.test_notFound', async () => {
  for (const path of ['/a', '/a.html', '//', '///', '/a/a', '/a/a/', '/a/']) {
    assert.equal((await all.echo.get(path)).status, 404, path);
  }
});

// ---- IframePage ----

const IFRAME = new RegExp(`^<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="([^"]*)"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe\\(\\);
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>$`);

async function isIframe(path) {
  const answer = await all.echo.get(path);
  assert.equal(answer.status, 200, path);
  assert.equal(type(answer), 'text/html;charset=UTF-8');
  isCached(answer);
  assert.match(answer.get('etag'), /^"[^"]+"$/);
  assert.equal(answer.get('last-modified'), undefined);
  assert.equal(answer.get('set-cookie'), undefined);
  const [, url] = IFRAME.exec(answer.body.trim()) ?? assert.fail(answer.body);
  assert.match(url, /^(\/|http)/);
  return answer;
}

wire('IframePage.test_simpleUrl', () => isIframe('/iframe.html'));

wire('IframePage.test_versionedUrl', async () => {
  for (const name of ['-a', '-', '-0.1.2', '-0.1.2abc-dirty.2144']) await isIframe(`/iframe${name}.html`);
});

wire('IframePage.test_queriedUrl', async () => {
  for (const name of ['-a.html?t=1234', '-0.1.2.html?t=123414', '-0.1.2abc-dirty.2144.html?t=qweqweq123']) {
    await isIframe(`/iframe${name}`);
  }
});

wire('IframePage.test_invalidUrl', async () => {
  for (const path of ['/iframe.htm', '/iframe', '/IFRAME.HTML', '/IFRAME', '/iframe.HTML', '/iframe.xml', '/iframe-/.html']) {
    assert.equal((await all.echo.get(path)).status, 404, path);
  }
});

wire('IframePage.test_cacheability', async () => {
  const [one, other] = [await isIframe('/iframe.html'), await isIframe('/iframe.html')];
  assert.equal(one.get('etag'), other.get('etag'));
  const known = await all.echo.get('/iframe.html', { 'If-None-Match': one.get('etag') });
  assert.deepEqual([known.status, known.get('content-type'), known.body], [304, undefined, '']);
});

// ---- InfoTest, and the preflights of all others ----

const methodsOf = (answer) => answer.get('access-control-allow-methods').split(',').map((name) => name.trim());

async function isPreflight(service, path, methods) {
  for (const origin of ['test', 'null']) {
    const answer = await service.options(path, { Origin: origin, 'Access-Control-Request-Method': methods });
    assert.ok([200, 204].includes(answer.status), `status ${answer.status}`);
    isCached(answer);
    assert.ok(Number(answer.get('access-control-max-age')) > 1000000);
    for (const method of methods.split(', ')) assert.ok(methodsOf(answer).includes(method), method);
    assert.equal(answer.body, '');
    isCors(answer, origin);
  }
}

wire('InfoTest.test_basic', async () => {
  const answer = await all.echo.get('/info', { Origin: 'test' });
  assert.equal(answer.status, 200);
  assert.equal(type(answer), 'application/json;charset=UTF-8');
  assert.equal(answer.get('set-cookie'), undefined);
  isNeverCached(answer);
  isCors(answer, 'test');
  const { websocket, cookie_needed: cookies, origins, entropy } = JSON.parse(answer.body);
  assert.deepEqual([websocket, cookies, origins], [true, false, ['*:*']]);
  assert.ok(Number.isInteger(entropy) && entropy >= 0 && entropy < 2 ** 32, `${entropy}`);
});

wire('InfoTest.test_entropy', async () => {
  const numbers = await Promise.all([0, 1].map(async () => JSON.parse((await all.echo.get('/info')).body).entropy));
  assert.ok(numbers.every(Number.isInteger));
  assert.notEqual(...numbers);
});

wire('InfoTest.test_options', () => isPreflight(all.echo, '/info', 'OPTIONS, GET'));

wire('InfoTest.test_options_null_origin', async () => {
  const answer = await all.echo.options('/info', { Origin: 'null', 'Access-Control-Request-Method': 'POST' });
  assert.ok([200, 204].includes(answer.status));
  assert.deepEqual([answer.body, answer.get('access-control-allow-origin')], ['', 'null']);
});

wire('InfoTest.test_disabled_websocket', async () => {
  const answer = await all.disabled_websocket_echo.get('/info');
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.body).websocket, false);
});

wire('XhrPolling.test_options', async () => {
  for (const name of ['xhr', 'xhr_send']) await isPreflight(all.echo, `/abc/abc/${name}`, 'OPTIONS, POST');
});

wire('XhrStreaming.test_options', () => isPreflight(all.echo, '/abc/abc/xhr_streaming', 'OPTIONS, POST'));

wire('XhrPolling.test_request_headers_cors', async () => {
  const headers = { Origin: 'test', 'Access-Control-Request-Method': 'POST' };
  for (const [names, told] of [['a, b, c', 'a, b, c'], ['', undefined], [null, undefined]]) {
    const answer = await all.echo.options(`${fresh()}/xhr`, { ...headers, 'Access-Control-Request-Headers': names });
    assert.ok([200, 204].includes(answer.status));
    isCors(answer, 'test');
    assert.equal(answer.get('access-control-allow-headers') || undefined, told);
  }
});

// ---- SessionURLs ----

wire('SessionURLs.test_anyValue', async () => {
  const salt = Math.floor(Math.random() * 1e9);
  for (const path of ['/a/a', '/_/_', '/1/', '/abcdefgh_i-j%20/abcdefg_i-j%20']) await opened(all.echo, path + salt);
});

wire('SessionURLs.test_invalidPaths', async () => {
  for (const path of ['//', '/a./a', '/a/a.', '/./.', '/', '///']) {
    for (const method of ['GET', 'POST']) assert.equal((await all.echo.request(method, `${path}/xhr`)).status, 404, path);
  }
});

wire('SessionURLs.test_ignoringServerId', async () => {
  const session = await opened(all.echo, fresh('000'));
  await says(all.echo, session, 'a');
  assert.equal(await poll(all.echo, session.replace('/000/', '/999/')), 'a["a"]\n');
});

// ---- WebsocketHttpErrors ----

wire('WebsocketHttpErrors.test_httpMethod', async () => assert.equal((await all.echo.get('/0/0/websocket')).status, 400));

wire('WebsocketHttpErrors.test_invalidConnectionHeader', async () => {
  const answer = await all.echo.get('/0/0/websocket', { Upgrade: 'WebSocket', Connection: 'close' });
  assert.equal(answer.status, 400);
  assert.match(answer.body, /Not a valid websocket request/);
});

wire('WebsocketHttpErrors.test_invalidMethod', async () => {
  for (const headers of [{ Upgrade: 'WebSocket', Connection: 'Upgrade' }, {}]) {
    is405(await all.echo.request('POST', '/0/0/websocket', { headers }), ['GET']);
  }
});

// ---- JsessionidCookie ----

const cookieOf = (answer) => answer.get('set-cookie')?.split(';').map((part) => part.trim()).slice(0, 2)
  .map((part, at) => (at ? part.toLowerCase() : part)).join('; ');
const DUMMY = 'JSESSIONID=dummy; path=/';

wire('JsessionidCookie.test_basic', async () => {
  const answer = await all.cookie_needed_echo.get('/info');
  assert.deepEqual([answer.status, answer.get('set-cookie')], [200, undefined]);
  assert.equal(JSON.parse(answer.body).cookie_needed, true);
});

wire('JsessionidCookie.test_xhr', async () => {
  for (const [headers, cookie] of [[{}, DUMMY], [{ Cookie: 'JSESSIONID=abcdef' }, 'JSESSIONID=abcdef; path=/']]) {
    const answer = await all.cookie_needed_echo.post(`${fresh()}/xhr`, undefined, headers);
    assert.deepEqual([answer.status, answer.body, cookieOf(answer)], [200, 'o\n', cookie]);
  }
});

for (const [test_, method, leaf] of [['xhr_streaming', 'POST', 'xhr_streaming'], ['eventsource', 'GET', 'eventsource'],
  ['htmlfile', 'GET', 'htmlfile?c=%63allback']]) {
  wire(`JsessionidCookie.test_${test_}`, async () => {
    const answer = await all.cookie_needed_echo.open(method, `${fresh()}/${leaf}`);
    assert.deepEqual([answer.status, cookieOf(answer)], [200, DUMMY]);
    answer.close();
  });
}

wire('JsessionidCookie.test_jsonp', async () => {
  const session = fresh();
  const first = await all.cookie_needed_echo.get(`${session}/jsonp?c=%63allback`);
  assert.deepEqual([first.status, first.body, cookieOf(first)], [200, '/**/callback("o");\r\n', DUMMY]);
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const answer = await all.cookie_needed_echo.post(`${session}/jsonp_send`, 'd=%5B%22x%22%5D', form);
  assert.deepEqual([answer.status, answer.body, cookieOf(answer)], [200, 'ok', DUMMY]);
});

// ---- Http10, Http11 ----

const KEEP = { Connection: 'Keep-Alive' };

wire('Http10.test_synchronous', async () => {
  const link = await Link.to(all.echo.base);
  const answer = await ask(link, all.echo.base, 'GET', all.echo.path, { version: '1.0', headers: KEEP });
  assert.equal(answer.status, 200);
  assert.equal(answer.get('transfer-encoding'), undefined);
  const connection = answer.get('connection')?.toLowerCase() ?? '';
  if (!answer.get('content-length')) assert.equal(connection, 'close');
  assert.equal(await answer.text(), GREETING);
  if (connection === 'keep-alive') {
    assert.equal((await ask(link, all.echo.base, 'GET', all.echo.path, { version: '1.0', headers: KEEP })).status, 200);
    link.destroy();
  } else {
    await link.closed();
  }
});

wire('Http10.test_streaming', async () => {
  const answer = await all.close.open('POST', `${fresh()}/xhr_streaming`, { version: '1.0', headers: KEEP });
  assert.deepEqual([answer.status, answer.get('transfer-encoding'), answer.get('content-length')], [200, undefined, undefined]);
  assert.equal(String(await answer.link.take(2049)), `${'h'.repeat(2048)}\n`);
  assert.equal(String(await answer.link.take(21)), 'o\nc[3000,"Go away!"]\n');
  await answer.link.closed();
});

wire('Http11.test_synchronous', async () => {
  const link = await Link.to(all.echo.base);
  for (let time = 0; time < 2; time += 1) {
    const answer = await ask(link, all.echo.base, 'GET', all.echo.path, { headers: KEEP });
    assert.equal(answer.status, 200);
    assert.ok(['keep-alive', ''].includes(answer.get('connection')?.toLowerCase() ?? ''));
    if (!answer.isChunked) assert.equal(answer.get('content-length'), '19');
    assert.equal(await answer.text(), GREETING);
  }
  link.destroy();
});

wire('Http11.test_streaming', async () => {
  const answer = await all.close.open('POST', `${fresh()}/xhr_streaming`, { headers: KEEP });
  assert.deepEqual([answer.status, answer.isChunked, answer.get('content-length')], [200, true, undefined]);
  assert.equal((await answer.chunk())[0], 'h');
  for (const chunk of ['o\n', 'c[3000,"Go away!"]\n', null]) assert.equal(await answer.chunk(), chunk);
  // The connection takes the next request.
  assert.equal((await ask(answer.link, all.close.base, 'GET', all.close.path)).status, 200);
  answer.close();
});

test('WebsocketHixie76.test_haproxy', { skip: 'the handshake of 2010 with Key1 and Key2: no living browser makes it' });


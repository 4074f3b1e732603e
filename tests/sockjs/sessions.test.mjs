// The public protocol suite, second part: sessions by every transport. Each test has the name that it has there.
import {
  FORM, GO_AWAY, INTERRUPTED, STILL_OPEN, assert, fresh, isCors, isNeverCached, opened, poll, says, sent, services, streaming, type,
  until, waiting, wire,
} from './rig.mjs';
import { ACCEPT, Socket, upgrade } from './wire/websocket.mjs';

const all = services();
const jsonpSend = (session, body, headers = FORM) => all.echo.post(`${session}/jsonp_send`, body, headers);

async function is404(work) { assert.equal((await work).status, 404); }

// ---- Protocol ----

wire('Protocol.test_simpleSession', async () => {
  const session = await opened(all.echo);
  await sent(all.echo, session, '["a"]');
  assert.equal(await poll(all.echo, session), 'a["a"]\n');
  await is404(all.echo.post('/000/bad_session/xhr_send', '["a"]'));
  (await waiting(all.echo, session)).destroy();
});

wire('Protocol.test_closeSession', async () => {
  const session = await opened(all.close);
  for (let time = 0; time < 2; time += 1) assert.equal(await poll(all.close, session), `${GO_AWAY}\n`);
});

// ---- WebsocketHixie76 (by today's handshake, as its library makes it), WebsocketHybi10, RawWebsocket ----

const socket = (service, options) => Socket.open(service, `${fresh()}/websocket`, options);

async function echoes(link) {
  link.send('["a"]');
  assert.equal(await link.recv(), 'a["a"]');
}

async function isEnded(link) {
  const end = await link.recv();
  assert.equal(typeof end, 'object', `a message instead of the end: ${end}`);
  return end;
}

async function goesAway() {
  const link = await socket(all.close);
  assert.deepEqual([await link.recv(), await link.recv()], ['o', GO_AWAY]);
  await isEnded(link);
  link.close();
}

async function brokenJson() {
  const link = await socket(all.echo);
  assert.equal(await link.recv(), 'o');
  link.send('["a');
  assert.notEqual((await isEnded(link)).code, 1000);
  link.close();
}

wire('WebsocketHixie76.test_transport', async () => {
  const link = await socket(all.echo);
  assert.equal(await link.recv(), 'o');
  await echoes(link);
  link.close();
});

wire('WebsocketHixie76.test_close', goesAway);

wire('WebsocketHixie76.test_empty_frame', async () => {
  const link = await socket(all.echo);
  assert.equal(await link.recv(), 'o');
  for (const nothing of ['', '[]']) link.send(nothing);
  await echoes(link);
  link.close();
});

wire('WebsocketHixie76.test_reuseSessionId', async () => {
  const path = `${fresh()}/websocket`;
  const links = [await Socket.open(all.echo, path), await Socket.open(all.echo, path)];
  for (const link of links) assert.equal(await link.recv(), 'o');
  for (const [at, link] of links.entries()) {
    link.send(`["${at}"]`);
    assert.equal(await link.recv(), `a["${at}"]`);
  }
  for (const link of links) link.close();
  const again = await Socket.open(all.echo, path);
  assert.equal(await again.recv(), 'o');
  await echoes(again);
  again.close();
});

wire('WebsocketHixie76.test_broken_json', brokenJson);

wire('WebsocketHybi10.test_transport', async () => {
  const link = await socket(all.echo);
  assert.equal(await link.recv(), 'o');
  link.send('');
  await echoes(link);
  link.close();
});

wire('WebsocketHybi10.test_close', goesAway);

// The suite of 2012 asks for the drafts 7 and 8 as well, which no current library uses: see statements.test.mjs.
wire('WebsocketHybi10.test_headersSanity', async () => {
  const link = await socket(all.echo, { headers: upgrade('13', { 'Sec-WebSocket-Origin': 'http://asd' }) });
  const { answer } = link;
  assert.equal(answer.get('sec-websocket-accept'), ACCEPT);
  assert.deepEqual([answer.get('connection'), answer.get('upgrade')].map((value) => value.toLowerCase()), ['upgrade', 'websocket']);
  assert.deepEqual([answer.get('content-length'), answer.get('transfer-encoding')], [undefined, undefined]);
  link.close();
});

wire('WebsocketHybi10.test_broken_json', brokenJson);

wire('WebsocketHybi10.test_firefox_602_connection_header', async () => {
  const link = await socket(all.echo, { headers: upgrade('13', { Connection: 'keep-alive, Upgrade' }) });
  link.close();
});

wire('RawWebsocket.test_transport', async () => {
  const link = await Socket.open(all.echo, '/websocket');
  link.send('Hello world!\uffff');
  assert.equal(await link.recv(), 'Hello world!\uffff');
  link.close();
});

wire('RawWebsocket.test_close', async () => {
  const link = await Socket.open(all.close, '/websocket');
  assert.deepEqual(await link.recv(), { code: 3000, reason: 'Go away!' });
  link.close();
});

// ---- XhrPolling ----

wire('XhrPolling.test_transport', async () => {
  const session = fresh();
  const origin = { Origin: 'test' };
  const first = await all.echo.post(`${session}/xhr`, undefined, origin);
  assert.deepEqual([first.status, first.body, type(first)], [200, 'o\n', 'application/javascript;charset=UTF-8']);
  const send = await sent(all.echo, session, '["x"]', origin);
  assert.equal(type(send), 'text/plain;charset=UTF-8');
  for (const answer of [first, send]) {
    isCors(answer, 'test');
    isNeverCached(answer);
  }
  assert.equal(await poll(all.echo, session), 'a["x"]\n');
});

wire('XhrPolling.test_invalid_session', () => is404(all.echo.post(`${fresh()}/xhr_send`, '["x"]')));

wire('XhrPolling.test_invalid_json', async () => {
  const session = await opened(all.echo);
  for (const [body, words] of [['["x', 'Broken JSON encoding.'], ['', 'Payload expected.']]) {
    const answer = await all.echo.post(`${session}/xhr_send`, body);
    assert.equal(answer.status, 500);
    assert.ok(answer.body.includes(words), answer.body);
  }
  await says(all.echo, session, 'a');
  assert.equal(await poll(all.echo, session), 'a["a"]\n');
});

wire('XhrPolling.test_content_types', async () => {
  const session = await opened(all.echo);
  const types = ['text/plain', 'T', 'application/json', 'application/xml', '', 'application/json; charset=utf-8', 'text/xml; charset=utf-8', 'text/xml'];
  for (const kind of types) await sent(all.echo, session, '["a"]', { 'Content-Type': kind });
  assert.equal(await poll(all.echo, session), `a[${types.map(() => '"a"').join(',')}]\n`);
});

wire('XhrPolling.test_sending_empty_frame', async () => {
  const session = await opened(all.echo);
  for (const body of ['[]', '["a"]']) await sent(all.echo, session, body);
  assert.equal(await poll(all.echo, session), 'a["a"]\n');
});

// ---- XhrStreaming, EventSource, HtmlFile ----

wire('XhrStreaming.test_transport', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/xhr_streaming`, { headers: { Origin: 'test' } });
  assert.equal(type(stream), 'application/javascript;charset=UTF-8');
  isCors(stream, 'test');
  isNeverCached(stream);
  assert.equal(stream.prelude, `${'h'.repeat(2048)}\n`);
  assert.equal(await stream.chunk(), 'o\n');
  await says(all.echo, session, 'x');
  assert.equal(await stream.chunk(), 'a["x"]\n');
  stream.close();
});

wire('XhrStreaming.test_response_limit', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/xhr_streaming`);
  assert.equal(await stream.chunk(), 'o\n');
  const text = 'x'.repeat(128);
  for (let n = 0; n < 31; n += 1) {
    await says(all.echo, session, text);
    assert.equal(await stream.chunk(), `a["${text}"]\n`);
  }
  assert.equal(await stream.chunk(), null);
  stream.close();
});

wire('EventSource.test_transport', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/eventsource`);
  assert.equal(type(stream), 'text/event-stream');
  isNeverCached(stream);
  assert.equal(stream.prelude, '\r\n');
  assert.equal(await stream.chunk(), 'data: o\r\n\r\n');
  await says(all.echo, session, 'x');
  assert.equal(await stream.chunk(), 'data: a["x"]\r\n\r\n');
  await sent(all.echo, session, String.raw`["  \u0000\n\r "]`);
  assert.equal(await stream.chunk(), `data: ${String.raw`a["  \u0000\n\r "]`}\r\n\r\n`);
  stream.close();
});

/** One long message goes out whole, and ends the response. */
async function isLimited(leaf, carried) {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/${leaf}`);
  assert.equal(await stream.chunk(), carried('o'));
  const text = 'x'.repeat(4096);
  await says(all.echo, session, text);
  assert.equal(await stream.chunk(), carried(`a["${text}"]`));
  assert.equal(await stream.chunk(), null);
  stream.close();
}

wire('EventSource.test_response_limit', () => isLimited('eventsource', (frame) => `data: ${frame}\r\n\r\n`));

const script = (frame) => `<script>\np(${JSON.stringify(frame)});\n</script>\r\n`;
const HEAD = `<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.callback;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>`;

wire('HtmlFile.test_transport', async () => {
  const session = fresh();
  const stream = await streaming(all.echo, `${session}/htmlfile?c=%63allback`);
  assert.equal(type(stream), 'text/html;charset=UTF-8');
  isNeverCached(stream);
  assert.equal(stream.prelude.trim(), HEAD);
  assert.ok(stream.prelude.length > 1024 && stream.prelude.endsWith('\r\n\r\n'));
  assert.equal(await stream.chunk(), script('o'));
  await says(all.echo, session, 'x');
  assert.equal(await stream.chunk(), script('a["x"]'));
  stream.close();
});

wire('HtmlFile.test_response_limit', () => isLimited('htmlfile?c=callback', script));

async function isRefused(path, words) {
  const answer = await all.echo.get(path);
  assert.equal(answer.status, 500);
  assert.ok(answer.body.includes(words), answer.body);
}

for (const [name, leaf] of [['HtmlFile', 'htmlfile'], ['JsonPolling', 'jsonp']]) {
  wire(`${name}.test_no_callback`, () => isRefused(`/a/a/${leaf}`, '"callback" parameter required'));
  wire(`${name}.test_invalid_callback`, async () => {
    for (const bad of ['%20', '*', 'abc(', 'abc%28']) await isRefused(`/a/a/${leaf}?c=${bad}`, 'invalid "callback" parameter');
  });
}

// ---- JsonPolling ----

const call = (frame, name = 'x') => `/**/${name}(${JSON.stringify(frame)});\r\n`;

async function called(service, session, frame) {
  const answer = await service.get(`${session}/jsonp?c=x`);
  assert.deepEqual([answer.status, answer.body], [200, call(frame)]);
}

async function openedByJsonp(service = all.echo) {
  const session = fresh();
  await called(service, session, 'o');
  return session;
}

async function isOk(work) {
  const answer = await work;
  assert.deepEqual([answer.status, answer.body], [200, 'ok']);
  return answer;
}

wire('JsonPolling.test_transport', async () => {
  const session = fresh();
  const first = await all.echo.get(`${session}/jsonp?c=%63allback`);
  assert.deepEqual([first.status, first.body], [200, call('o', 'callback')]);
  assert.equal(type(first), 'application/javascript;charset=UTF-8');
  const send = await isOk(jsonpSend(session, 'd=%5B%22x%22%5D'));
  assert.equal(type(send), 'text/plain;charset=UTF-8');
  for (const answer of [first, send]) isNeverCached(answer);
  await called(all.echo, session, 'a["x"]');
});

wire('JsonPolling.test_invalid_json', async () => {
  const session = await openedByJsonp();
  for (const [body, words] of [['d=%5B%22x', 'Broken JSON encoding.'], ...['', 'd=', 'p=p'].map((text) => [text, 'Payload expected.'])]) {
    const answer = await jsonpSend(session, body);
    assert.equal(answer.status, 500, body);
    assert.ok(answer.body.includes(words), answer.body);
  }
  await isOk(jsonpSend(session, 'd=%5B%22b%22%5D'));
  await called(all.echo, session, 'a["b"]');
});

wire('JsonPolling.test_content_types', async () => {
  const session = await openedByJsonp();
  await isOk(jsonpSend(session, 'd=%5B%22abc%22%5D'));
  await isOk(jsonpSend(session, '["%61bc"]', { 'Content-Type': 'text/plain' }));
  await called(all.echo, session, 'a["abc","%61bc"]');
});

wire('JsonPolling.test_close', async () => {
  const session = await openedByJsonp(all.close);
  for (let time = 0; time < 2; time += 1) await called(all.close, session, GO_AWAY);
});

wire('JsonPolling.test_sending_empty_frame', async () => {
  const session = await openedByJsonp();
  await isOk(jsonpSend(session, 'd=%5B%5D'));
  await isOk(jsonpSend(session, 'd=%5B%22x%22%5D'));
  await called(all.echo, session, 'a["x"]');
});

// ---- JSONEncoding ----

const escaped = (code) => `\\u${code.toString(16).padStart(4, '0')}`;
const codes = (from, claim) => Array.from({ length: 65536 - from }, (_, at) => at + from).filter((code) => claim(String.fromCharCode(code)));

wire('JSONEncoding.test_xhr_server_encodes', async () => {
  const session = await opened(all.echo);
  // eslint-disable-next-line no-control-regex
  const kept = codes(255, (char) => /[\x00-\x1f\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff]/.test(char));
  await sent(all.echo, session, `["${String.fromCharCode(...kept)}"]`);
  assert.equal(await poll(all.echo, session), `a["${kept.map(escaped).join('')}"]\n`);
});

wire('JSONEncoding.test_xhr_server_decodes', async () => {
  const session = await opened(all.echo);
  // Everything that some client escapes is among these: all but the surrogates.
  const texts = codes(0, (char) => !/[\ud800-\udfff]/.test(char));
  await sent(all.echo, session, `["${texts.map(escaped).join('')}"]`);
  const [text] = JSON.parse((await poll(all.echo, session)).slice(1));
  assert.ok(text === String.fromCharCode(...texts), 'a character came back as another');
});

// ---- HandlingClose ----

wire('HandlingClose.test_close_frame', async () => {
  const path = `${fresh()}/xhr_streaming`;
  const one = await streaming(all.close, path);
  assert.deepEqual([await one.chunk(), await one.chunk()], ['o\n', `${GO_AWAY}\n`]);
  const other = await streaming(all.close, path);
  assert.equal(await other.chunk(), `${GO_AWAY}\n`);
  for (const stream of [one, other]) assert.equal(await stream.chunk(), null);
});

async function turnedAway(path) {
  const stream = await streaming(all.echo, path);
  assert.deepEqual([await stream.chunk(), await stream.chunk()], [`${STILL_OPEN}\n`, null]);
}

wire('HandlingClose.test_close_request', async () => {
  const path = `${fresh()}/xhr_streaming`;
  const one = await streaming(all.echo, path);
  assert.equal(await one.chunk(), 'o\n');
  await turnedAway(path);
  one.close();
});

wire('HandlingClose.test_abort_xhr_streaming', async () => {
  const path = `${fresh()}/xhr_streaming`;
  const one = await streaming(all.echo, path);
  assert.equal(await one.chunk(), 'o\n');
  await turnedAway(path);
  one.close();
  const next = async () => {
    const stream = await streaming(all.echo, path);
    const frame = await stream.chunk();
    stream.close();
    return frame;
  };
  await until('the stream that was cut', next, (frame) => ['o\n', `${INTERRUPTED}\n`].includes(frame));
});

wire('HandlingClose.test_abort_xhr_polling', async () => {
  const session = await opened(all.echo);
  (await waiting(all.echo, session)).destroy();
  await until('the poll that was cut', () => poll(all.echo, session), (frame) => ['o\n', `${INTERRUPTED}\n`].includes(frame));
});

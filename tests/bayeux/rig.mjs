// What the tests of Bayeux clients share: a server, a proxy that cuts, what came and waiting for it, backends.
import assert from 'node:assert/strict';
import http from 'node:http';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { Inbox } from './page/inbox.mjs';

const require = createRequire(import.meta.url);
const { EnckeNode } = require('../browser/lib/node.js');
const { Cutter } = require('../browser/lib/cutter.js');

const KEY = '0123456789abcdef0123456789abcdef';
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Polls are held a second, so that the advised time-out is seen to pass, and no test waits for long. */
const QUICK = { ENCKE_SHARDS: '2', ENCKE_POLL_HOLD: '1s' };

/**
 * Runs a test with a server. `own` registers what ends with the test: clients (`close`), proxies, backends.
 * @param {Record<string, string>} env
 * @param {(node: EnckeNode, own: <T>(thing: T) => T) => Promise<void>} work
 */
export async function withNode(env, work) {
  const node = new EnckeNode(process.env.ENCKE_BIN, { ...QUICK, ...env });
  const owned = [];
  try {
    await node.start();
    await work(node, (thing) => { owned.push(thing); return thing; });
  } catch (error) {
    // Some libraries' errors cannot be changed.
    throw new Error(`${error.stack ?? error}\nthe server's last words:\n${node.log.slice(-1500)}`, { cause: error });
  } finally {
    for (const thing of owned.reverse()) await thing.close();
    await node.end();
  }
}

/** A proxy before the server, that cuts on request. Resolves to it and its address. */
export async function cutter(node, own, pages) {
  const proxy = own(new Cutter(node.public, pages));
  return { proxy, at: await proxy.listen() };
}

/** A proxy that lets no cookie through to the client, as a browser keeps those of other sites from a page. Resolves to its address. */
export async function withholding(node, own, pages) {
  const proxy = own(new Cutter(node.public, pages));
  const pass = proxy.pass.bind(proxy);
  // As long as it was, so that nothing else of the answer changes.
  proxy.pass = (down, bytes) => pass(down, Buffer.from(bytes.toString('latin1').replace(/\r\nSet-Cookie:/gi, '\r\nX-Withheld:'), 'latin1'));
  // By a name, since the browser has cookies of the address, from other tests.
  return (await proxy.listen()).replace('127.0.0.1', 'localhost');
}

/** The settings of a server that wants tokens, and a token for it. */
export const SECURED = { ENCKE_TOKEN_KEY: KEY };
export function jwt(claims, key = KEY) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ channels: { '/**': 'rw' }, ...claims })}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

export const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** Publishes numbers from the backend, in order, each with text that is awkward to carry. */
export const publishNumbers = (node, channel, from, to) =>
  node.call('/publish', numbers(from, to).map((n) => ({ channel, data: { n, text: 'ü☄\u2028</script>\u0000' } })));

/** A server for the hooks: `answer(call)` gives what is answered as `{ status, body }`; `calls` holds what came. */
export async function backend(own, answer) {
  const calls = new Inbox('calls of the hook');
  const server = http.createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (more) => { text += more; }).on('end', () => {
      const call = JSON.parse(text);
      const { status = 200, body = {} } = answer(call);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      calls.push(call);
    });
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  own({ close() { server.close(); server.closeAllConnections(); } });
  return { calls, url: `http://127.0.0.1:${server.address().port}/hook` };
}

/** A native reader of a user's messages on a channel, by EventSource's own format. Resolves once it is open. */
export async function eventSource(node, own, user, channel) {
  const stop = new AbortController();
  const got = new Inbox(`events of ${user}`);
  own({ close: () => stop.abort() });
  const url = `http://${node.public}/u/${user}/sse?channels=${encodeURIComponent(channel)}`;
  const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: stop.signal });
  assert.equal(response.status, 200);
  const open = new Inbox('opening event');
  const read = async () => {
    let text = '';
    for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
      const parts = (text + bytes).split('\n\n');
      text = parts.pop();
      for (const event of parts) told(event, open, got);
    }
  };
  read().catch((error) => { if (!stop.signal.aborted) got.fail(error); });
  await open.count(1);
  return got;
}

function told(event, open, got) {
  const data = event.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim()).join('\n');
  if (!data) return;
  for (const message of [JSON.parse(data)].flat()) {
    if (message.channel) got.push(message); else open.push(message);
  }
}

/** A native WebSocket that has subscribed. */
export async function socket(node, own, user, channel) {
  const { WebSocket } = require('ws');
  const got = new Inbox(`socket of ${user}`);
  const open = new Inbox('answers');
  const link = new WebSocket(`ws://${node.public}/u/${user}/ws?channels=${encodeURIComponent(channel)}`, 'encke.v1');
  own({ close: () => link.terminate() });
  link.on('error', (error) => open.fail(error));
  link.on('message', (bytes) => {
    for (const message of [JSON.parse(String(bytes))].flat()) (message.channel ? got : open).push(message);
  });
  await open.count(1);
  return got;
}

/** One request of Bayeux messages by hand, as a client without cookies would send it. */
export async function byHand(node, messages, { path = '/bayeux', headers = {} } = {}) {
  const response = await fetch(`http://${node.public}${path}`, {
    method: 'POST', body: JSON.stringify(messages), headers: { 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(10000),
  });
  return { status: response.status, answers: response.ok ? await response.json() : [] };
}

export { assert, Inbox };

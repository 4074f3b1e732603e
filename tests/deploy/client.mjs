// A client of every transport, by Node's own HTTP: each comes to its first message after it was published, not at a response's end.
import http from 'node:http';
import https from 'node:https';
import { randomBytes } from 'node:crypto';

const HOST = 'encke.example.com';
/** How long anything may take; only failures wait for it. Milliseconds. */
const PATIENCE = 20000;

/** A response and the text that it has brought so far. */
class Answer {
  /** `head` has what came with the response's own head. */
  constructor(response, stream = response, head = '') {
    Object.assign(this, { status: response.statusCode, headers: response.headers, text: head.toString('latin1'), ended: false, stream });
    stream.setEncoding('latin1');
    stream.on('data', (part) => { this.text += part; this.wake?.(); });
    for (const end of ['end', 'error', 'close']) stream.on(end, () => { this.ended = true; this.wake?.(); });
  }

  /** Resolves once the text has the words. */
  async has(words) {
    while (!this.text.includes(words)) {
      if (this.ended) throw new Error(`ended with ${this.status} before ${words}: ${this.text.slice(-500)}`);
      await new Promise((ok) => { this.wake = ok; });
    }
    return this;
  }

  async whole() {
    while (!this.ended) await new Promise((ok) => { this.wake = ok; });
    return this;
  }

  close() { this.stream.destroy(); }
}

/** Asks the balancer on this machine, by a connection of its own. */
function ask(scheme, path, headers = {}, method = 'GET') {
  const { request } = scheme === 'https' ? https : http;
  return new Promise((ok, no) => {
    const asked = request({
      host: '127.0.0.1', path, method, agent: false, servername: HOST, rejectUnauthorized: false,
      headers: { Host: HOST, ...headers }, signal: AbortSignal.timeout(PATIENCE),
    });
    asked.on('response', (response) => ok(new Answer(response)));
    asked.on('upgrade', (response, socket, head) => ok(new Answer(response, socket, head)));
    asked.on('error', no).end();
  });
}

const status = (answer, wanted) => {
  if (answer.status !== wanted) throw new Error(`status ${answer.status} instead of ${wanted}: ${answer.text}`);
};

/** A response that stays open. */
const stream = (name, headers, { open = '"open"', method } = {}) => async (scheme, user, query, publish) => {
  const answer = await ask(scheme, `/u/${user}/${name}?${query}`, headers, method);
  status(answer, headers ? 101 : 200);
  await answer.has(open);
  await publish();
  await answer.has('the message');
  if (answer.ended) throw new Error('the stream has ended');
  answer.close();
};

/** Two requests of one session; the second is held where the transport holds. */
const polled = (name, held) => async (scheme, user, query, publish) => {
  const first = await (await ask(scheme, `/u/${user}/${name}?${query}`)).whole();
  status(first, 200);
  const more = `/u/${user}/${name}?${query}&session=${first.headers['encke-session']}&since=${first.headers['encke-position'] ?? ''}`;
  const next = held ? ask(scheme, more) : publish().then(() => ask(scheme, more));
  if (held) await publish();
  await (await next).has('the message');
};

/** Polls of one SockJS session: the first opens it, the second brings the first envelope, the third is held. */
const sockjsPolled = async (scheme, user, query, publish) => {
  const poll = () => ask(scheme, `/u/${user}/sockjs/000/${SESSION}/xhr?${query}`, {}, 'POST').then((answer) => answer.whole());
  for (const words of ['o\n', OPEN]) await (await poll()).has(words);
  const held = poll();
  await publish();
  await (await held).has('the message');
};

/** The name of a SockJS session, and what its first envelope has as part of a string. */
const SESSION = randomBytes(8).toString('hex');
const OPEN = '{\\"open\\":';
const UPGRADE = { 'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64') };

export const TRANSPORTS = {
  poll: polled('poll', false),
  longpoll: polled('longpoll', true),
  jsonp: polled('jsonp', true),
  stream: stream('stream'),
  sse: stream('sse'),
  frame: stream('frame'),
  htmlfile: stream('htmlfile'),
  multipart: stream('multipart'),
  ws: stream('ws', UPGRADE),
  'sockjs-xhr': sockjsPolled,
  'sockjs-xhr_streaming': stream(`sockjs/000/${SESSION}/xhr_streaming`, undefined, { open: OPEN, method: 'POST' }),
  'sockjs-websocket': stream(`sockjs/000/${SESSION}/websocket`, UPGRADE, { open: OPEN }),
};

/** Whether the balancer passes requests on already. */
export async function serves(scheme) {
  try {
    const answer = await (await ask(scheme, '/health')).whole();
    return answer.status === 200;
  } catch {
    return false;
  }
}

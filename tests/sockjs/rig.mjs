// What the tests of SockJS share: a server with the test services, and tests that know where sockjs-node differs.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { DIFFERENCES } from './reference/differences.mjs';
import { Service, answerOn } from './wire/http.mjs';

const require = createRequire(import.meta.url);
const { EnckeNode } = require('../browser/lib/node.js');

const { SOCKJS_URL, SOCKJS_REFERENCE } = process.env;

/** Whether the tests may end the server, or set it up in another way. */
export const isEncke = !SOCKJS_URL && !SOCKJS_REFERENCE;

/** What the protocol's test suite asks for, in milliseconds. */
const SLOW = { heartbeat: 25000, disconnect: 5000 };

/** What a test needs that waits for one of them. */
export const QUICK = { heartbeat: 1000, disconnect: 2000 };

/** sockjs-node as a child process. */
class Reference {
  async start({ heartbeat, disconnect, client }) {
    const path = fileURLToPath(new URL('reference/server.js', import.meta.url));
    this.child = spawn(process.execPath, ['--no-deprecation', path, heartbeat, disconnect, client], { stdio: ['ignore', 'pipe', 'inherit'] });
    const port = await new Promise((done, fail) => {
      this.child.on('exit', (code) => fail(new Error(`sockjs-node ended with ${code}`)));
      this.child.stdout.once('data', (text) => done(Number(text)));
    });
    this.url = `http://127.0.0.1:${port}`;
  }

  end() { this.child.kill(); }
}

class Encke {
  async start({ heartbeat, disconnect, client }) {
    this.node = new EnckeNode(process.env.ENCKE_BIN, {
      ENCKE_SOCKJS_TEST: '1', ENCKE_ORIGINS: '*', ENCKE_HEARTBEAT: `${heartbeat}ms`, ENCKE_SOCKJS_DISCONNECT: `${disconnect}ms`,
      ENCKE_SOCKJS_CLIENT: client, ENCKE_SHARDS: '2',
    });
    await this.node.start();
    this.url = `http://${this.node.public}`;
  }

  end() { return this.node.end(); }
}

/** A server that is there already. */
class Other {
  start() { this.url = SOCKJS_URL.replace(/\/$/, ''); }

  end() {}
}

/** Starts a server with the test services, whose hidden frames load a client from an address. */
export async function startServer({ client = '/sockjs.js', ...times } = {}) {
  const server = new (SOCKJS_URL ? Other : SOCKJS_REFERENCE ? Reference : Encke)();
  await server.start({ ...SLOW, ...times, client });
  return server;
}

/** The test services of a server of its own, started before a file's tests and ended after them. */
export function services(times = SLOW) {
  const all = {};
  let server;
  test.before(async () => {
    server = await startServer(times);
    for (const name of ['echo', 'disabled_websocket_echo', 'cookie_needed_echo', 'close', 'ticker', 'amplify', 'broadcast']) {
      all[name] = new Service(`${server.url}/${name}`);
    }
  });
  test.after(() => server?.end());
  return all;
}

/** A test by a name. Where sockjs-node is known to differ, it must. */
export function wire(name, work) {
  const why = SOCKJS_REFERENCE && (DIFFERENCES[name] ?? DIFFERENCES[name.split(': ').at(-1)]);
  if (!why) return test(name, work);
  return test(`${name} (sockjs-node: ${why})`, () => assert.rejects(async () => work(), `sockjs-node does not differ: ${name}`));
}

/** A session of its own: the beginning of its paths. */
export const fresh = (server = '000') => `/${server}/${crypto.randomUUID()}`;

/** Repeats work until a claim about its outcome holds. */
export async function until(what, work, claim) {
  for (const deadline = Date.now() + 20000; ;) {
    const got = await work();
    if (claim(got)) return got;
    if (Date.now() > deadline) assert.fail(`${what}: still ${JSON.stringify(got?.body ?? got)}`);
  }
}

export const STILL_OPEN = 'c[2010,"Another connection still open"]';
export const INTERRUPTED = 'c[1002,"Connection interrupted"]';
export const GO_AWAY = 'c[3000,"Go away!"]';

/** The type of a browser's form. */
export const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

/** `Content-Type` without blanks. */
export const type = (answer) => answer.get('content-type')?.replaceAll(' ', '');

export function isCors(answer, origin) {
  assert.equal(answer.get('access-control-allow-origin'), origin ?? '*');
  assert.equal(answer.get('access-control-allow-credentials'), origin ? 'true' : undefined);
}

export function isNeverCached(answer) {
  assert.equal(answer.get('cache-control'), 'no-store, no-cache, no-transform, must-revalidate, max-age=0');
  assert.equal(answer.get('expires'), undefined);
  assert.equal(answer.get('last-modified'), undefined);
}

export function isCached(answer) {
  assert.match(answer.get('cache-control'), /public/);
  assert.match(answer.get('cache-control'), /max-age=[1-9][0-9]{6}/);
  assert.ok(Date.parse(answer.get('expires')) > Date.now() + 300 * 86_400_000, 'Expires is a year ahead');
}

export function is405(answer, allow) {
  assert.equal(answer.status, 405);
  assert.equal(answer.get('content-type'), undefined);
  assert.equal(answer.body, '');
  assert.deepEqual(answer.get('allow')?.split(', ').sort(), allow);
}

/** A session that is open, by xhr. */
export async function opened(service, session = fresh()) {
  const first = await service.post(`${session}/xhr`);
  assert.deepEqual([first.status, first.body], [200, 'o\n']);
  return session;
}

/** A response that streams and whose prelude has come. */
export async function streaming(service, path = `${fresh()}/xhr_streaming`, options) {
  const method = path.includes('/xhr') ? 'POST' : 'GET';
  const answer = await service.open(method, path, options);
  assert.equal(answer.status, 200);
  answer.prelude = await answer.chunk();
  return answer;
}

export async function sent(service, session, body, headers) {
  const answer = await service.post(`${session}/xhr_send`, body, headers);
  assert.deepEqual([answer.status, answer.body], [204, '']);
  return answer;
}

/** Sends an array of strings. */
export const says = (service, session, ...texts) => sent(service, session, JSON.stringify(texts));

/** A whole poll. */
export const poll = async (service, session) => (await service.post(`${session}/xhr`)).body;

/**
 * Two polls of one session at once, of which the one that comes second must be turned away, whichever that is. Resolves to
 * the link of the other, which still waits.
 */
export async function waiting(service, session) {
  const polls = await Promise.all([0, 1].map(() => service.send('POST', `${session}/xhr`)));
  const [at, answer] = await Promise.race(polls.map(async (link, index) => [index, await answerOn(link)]));
  assert.equal(await answer.text(), `${STILL_OPEN}\n`);
  polls[at].destroy();
  return polls[1 - at];
}

export { assert, test };

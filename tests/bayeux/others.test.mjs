// Further clients: those of PyPI, Ruby's faye, and what Go's gobayeux does.
import test from 'node:test';
import fs from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Inbox, assert, cutter, publishNumbers, withNode } from './rig.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const REQUIREMENTS = fs.readFileSync(here('requirements.txt'), 'utf8');
const version = (name) => new RegExp(`^${name}==([\\d.]+)`, 'm').exec(REQUIREMENTS)[1];
const api = (node) => `http://${node.api}`;
const bayeux = (node, host = '127.0.0.1') => `http://${host}:${node.public.split(':')[1]}/u/alice/bayeux`;

/** Runs a program to its end, which must be a success. `onLine` gets its lines. */
async function play(own, command, args, onLine) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  own({ close: () => child.kill('SIGKILL') });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine?.(line, child);
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, errors.slice(-800));
}

for (const [name, kind] of [['aiocometd-noloop', 'long-polling'], ['aiocometd-noloop', 'websocket'], ['baiocas'], ['python-bayeux']]) {
  // aiohttp keeps no cookies for addresses.
  const host = kind ? 'localhost' : '127.0.0.1';
  test(`${name} ${version(name)}, ${kind ?? 'long-polling'}: subscribe, publish, events of the backend`, () => withNode({}, (node, own) =>
    play(own, process.env.BAYEUX_PYTHON, [here('others.py'), kind ? `${name}/${kind}` : name, bayeux(node, host), api(node)])));
}

const RUBY = spawnSync('ruby', ['-e', 'require "faye"']).status === 0;
/**
 * A proxy that lets a socket's opening through when a handshake has been answered, not before: the handshake cannot bring the
 * socket's cookie, nor the socket the handshake's. Without it, which comes first is chance. Resolves to the URL.
 */
async function socketsLater(node, own) {
  const { proxy, at } = await cutter(node, own);
  const pass = proxy.pass.bind(proxy);
  let held = [];
  proxy.pass = (down, bytes) => {
    const text = bytes.toString('latin1');
    if (held && text.startsWith('HTTP/1.1 101 ')) { held.push(() => pass(down, bytes)); return; }
    pass(down, bytes);
    if (!held || !text.includes('/meta/handshake')) return;
    for (const go of held) go();
    held = null;
  };
  return `http://${at}/u/alice/bayeux`;
}

for (const [kind, order, reach] of [
  ['long-polling', '', (node) => bayeux(node)], ['websocket', '', (node) => bayeux(node)], ['websocket', ' opened after the handshake', socketsLater],
]) {
  test(`ruby-faye, ${kind}${order}: subscribe, publish, events of the backend, disconnect`,
    { skip: RUBY ? false : 'there is no ruby with faye here (Debian: ruby-faye)' },
    () => withNode({}, async (node, own) => {
      const got = [];
      await play(own, 'ruby', [here('ruby.rb'), kind, await reach(node, own)], async (line, child) => {
        got.push(line);
        if (line === 'heard 1') await node.call('/publish', { channel: '/room/1', data: 2 });
        if (line === 'heard 2') child.stdin.write('end\n');
      });
      assert.deepEqual(got, ['subscribed', 'heard 1', 'heard 2', `by ${kind}`]);
      await node.hasSessions('alice', 0);
    }));
}

/**
 * What Go's gobayeux 1.0 does, written after its source (`client.go`, `bayeux_client.go`): of a connect's answer it hands on
 * each run of messages of one channel when the next run begins, so never the last; there are no ids; a channel that nobody
 * subscribed to ends it.
 */
class Gobayeux {
  constructor(url) { Object.assign(this, { url, cookies: '', handlers: new Map(), over: false }); }

  async request(message) {
    const headers = { 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'Go-http-client/1.1', cookie: this.cookies };
    const response = await fetch(this.url, { method: 'POST', headers, body: JSON.stringify([message]), signal: AbortSignal.timeout(10000) });
    assert.equal(response.status, 200);
    for (const cookie of response.headers.getSetCookie()) this.cookies = cookie.split(';')[0];
    const answers = await response.json();
    for (const { channel, successful, error } of answers) if (channel === message.channel && !successful) throw new Error(error);
    return answers;
  }

  async handshake() {
    const answers = await this.request({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['long-polling'] });
    assert.equal(answers.length, 1);
    this.clientId = answers[0].clientId;
    this.handlers.set('/meta/connect', () => {});
  }

  async subscribe(channel, hear) {
    await this.request({ channel: '/meta/subscribe', clientId: this.clientId, subscription: [channel] });
    this.handlers.set(channel, hear);
  }

  async poll() {
    const all = await this.request({ channel: '/meta/connect', clientId: this.clientId, connectionType: 'long-polling' });
    let run = [];
    for (const message of all) {
      if (run.length && run[0].channel !== message.channel) {
        const hear = this.handlers.get(run[0].channel);
        if (!hear) throw new Error(`no subscription to ${run[0].channel}`);
        hear(run);
        run = [];
      }
      run.push(message);
    }
  }

  async run() { while (!this.over) await this.poll(); }
  close() { this.over = true; }
}

test('gobayeux, as its source says, long-polling: gets all events', () => withNode({}, async (node, own) => {
  const one = own(new Gobayeux(bayeux(node)));
  await one.handshake();
  const got = new Inbox('events of gobayeux');
  for (const channel of ['/room/1', '/room/2']) await one.subscribe(channel, (run) => run.forEach((event) => got.push(event)));
  one.run().catch((error) => { if (!one.over) got.fail(error); });
  await publishNumbers(node, '/room/1', 0, 3);
  await got.count(3);
  await publishNumbers(node, '/room/2', 3, 5);
  assert.deepEqual((await got.count(5)).map(({ data }) => data.n), [0, 1, 2, 3, 4]);
}));

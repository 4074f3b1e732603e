// aiocometd-ng, from Python. It sends its handshake by a poll and then uses the transport of the test.
import test from 'node:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import fs from 'node:fs';
import { assert, withNode } from './rig.mjs';

const SCRIPT = fileURLToPath(new URL('aiocometd.py', import.meta.url));
const LOCKED = fs.readFileSync(new URL('requirements.txt', import.meta.url), 'utf8');
const NAME = `aiocometd-ng ${/^aiocometd-ng==([\d.]+)/m.exec(LOCKED)[1]}`;
const KINDS = ['long-polling', 'websocket'];

/** Runs a scene; `ready` is called when it says so, and the scene continues when that is done. */
async function play(own, args, ready) {
  const child = own(closing(spawn(process.env.BAYEUX_PYTHON, [SCRIPT, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })));
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text) => { output += text; });
  child.stdout.once('data', async () => { await ready?.(); child.stdin.write('\n'); });
  const [code] = await once(child, 'close');
  // The last words say why; before them come those of the libraries below.
  assert.equal(code, 0, output.slice(-800));
}

const closing = (child) => Object.assign(child, { close: () => child.kill('SIGKILL') });
const api = (node) => `http://${node.api}`;
/** Its HTTP library keeps no cookies for addresses, so that it has to be asked for by name. */
const byName = (node) => `http://localhost:${node.public.split(':')[1]}/bayeux`;
const byAddress = (node) => `http://${node.public}/bayeux`;

for (const kind of KINDS) {
  const scene = (title, env, work) => test(`${NAME}, ${kind}: ${title}`, () => withNode(env, work));
  scene('by name: subscribe, wildcard, publish, unsubscribe, close', {},
    (node, own) => play(own, ['talk', kind, byName(node), api(node)]));
  scene('by address, where the client id is trusted', { ENCKE_BAYEUX_TRUST: '1' },
    (node, own) => play(own, ['talk', kind, byAddress(node), api(node)]));
  if (kind === 'websocket') {
    scene('by address it has no cookie, and its socket is known by the handshake before it', {},
      (node, own) => play(own, ['talk', kind, byAddress(node), api(node)]));
  } else {
    scene('by address it has no cookie, and is refused', {}, (node, own) => play(own, ['refused', kind, byAddress(node)]));
  }
  scene('after a restart of the server it subscribes again', {},
    (node, own) => play(own, ['restart', kind, byName(node), api(node)], async () => { await node.kill(); await node.start(); }));
}

// Platforms that have locks, channels and storage and refuse them, as to a sandboxed frame: the page connects all the same, by itself.
import test from 'node:test';
import { assert, connect, listening, sessions, until, withNode } from './rig.mjs';
import { Locks } from './locks.mjs';

const denied = () => new DOMException('denied in this context', 'SecurityError');
const throws = () => { throw denied(); };
const rejects = () => Promise.reject(denied());
/** What throws at a mere look. */
const hidden = (name, rest = {}) => Object.defineProperty({ ...rest }, name, { get: throws, enumerable: true });

class Mute extends BroadcastChannel {
  postMessage() { throw denied(); }
}
const granting = new Locks();
/** Grants the lock that a tab holds as long as it lives, and not that of the leader, or the other way round. */
const half = (grants) => ({ request: (name, options, work) => (grants(name) ? granting.request(name, options, work) : rejects()) });
const isLeaders = (name) => name.endsWith('/u/alice');

const PLATFORMS = {
  'locks cannot be looked at': () => hidden('locks'),
  'locks throw': () => ({ locks: { request: throws } }),
  'locks reject': () => ({ locks: { request: rejects } }),
  'the lock of the leader alone is refused': () => ({ locks: half((name) => !isLeaders(name)) }),
  'the lock of the tab alone is refused': () => ({ locks: half(isLeaders) }),
  'the channel cannot be looked at': () => hidden('BroadcastChannel', { locks: new Locks() }),
  'the channel cannot be made': () => ({ locks: new Locks(), BroadcastChannel: class { constructor() { throws(); } } }),
  'the channel takes nothing': () => ({ locks: new Locks(), BroadcastChannel: Mute }),
  'storage cannot be looked at': () => hidden('storage'),
  'storage throws': () => ({ storage: { getItem: throws, setItem: throws } }),
};

for (const [name, platform] of Object.entries(PLATFORMS)) {
  test(`${name}: each tab leads itself`, () => withNode({}, async (node, signal) => {
    const tabs = [0, 1].map(() => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime: platform() }));
    for (const tab of tabs) {
      const { got } = await listening(tab, '/room/1');
      await tab.publish('/room/1', { n: 1 });
      await until(tab, () => got.includes(1));
      assert.ok(tab.leads);
    }
    assert.equal((await sessions(node, 'alice')).length, 2);
  }));
}

test('a page that may look at nothing connects all the same', () => withNode({}, async (node, signal) => {
  const names = ['localStorage', 'sessionStorage', 'BroadcastChannel', 'document'];
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  for (const name of names) Object.defineProperty(globalThis, name, { configurable: true, get: name === 'document' ? () => ({ addEventListener() {} }) : throws });
  let encke;
  try {
    encke = connect(`http://${node.public}/u/alice`, { signal });
  } finally {
    for (const [i, name] of names.entries()) {
      if (before[i]) Object.defineProperty(globalThis, name, before[i]);
      else delete globalThis[name];
    }
  }
  await until(encke, () => encke.state === 'live');
}));

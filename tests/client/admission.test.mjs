// A node that creates few sessions a second: who is told to come back does so by itself, at its time.
import test from 'node:test';
import { assert, connect, withNode } from './rig.mjs';

const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];

test('pages that are not admitted come back at their time, over each transport', () => withNode({ ENCKE_ADMIT: '2', ENCKE_SHARDS: '1' }, async (node, signal) => {
  const causes = [];
  const pages = [...KINDS, ...KINDS].map((kind, n) => {
    const encke = connect(`http://${node.public}/u/user${n}`, { transports: [kind], signal });
    encke.on('state', ({ cause }) => { if (cause) causes.push(cause.code); });
    return encke;
  });
  for (const encke of pages) await encke.subscribe('/room/1');
  assert.ok(causes.includes('busy'), `nobody was told to come back: ${causes}`);
  for (const encke of pages) encke.close();
}));

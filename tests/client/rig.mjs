// What the tests of the library share: a server, the library, and waiting for a claim to come true.
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';

const require = createRequire(import.meta.url);
const { EnckeNode } = require('../browser/lib/node.js');
export const { Cutter } = require('../browser/lib/cutter.js');
export const { connect, EnckeError } = await import('../../client/src/index.js');

/** Runs a test with a server and, if it fails, with the server's last words. */
export async function withNode(env, work) {
  const node = new EnckeNode(process.env.ENCKE_BIN, { ENCKE_SHARDS: '2', ...env });
  const stop = new AbortController();
  try {
    await node.start();
    await work(node, stop.signal);
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-1500)}`;
    throw error;
  } finally {
    stop.abort();
    await node.end();
  }
}

/** Resolves as soon as a claim is true; looks whenever the client has something to say. */
export function until(encke, claim) {
  return new Promise((done) => {
    const offs = [];
    const look = () => {
      if (!claim()) return;
      for (const off of offs) off();
      done();
    };
    for (const name of ['state', 'message', 'gap', 'error']) offs.push(encke.on(name, look));
    look();
  });
}

/** All states that a client shows, as they come. */
export function states(encke) {
  const seen = [];
  encke.on('state', (status) => seen.push(status));
  return seen;
}

/** Publishes numbers from a backend, in order. */
export const publishNumbers = (node, channel, from, to) =>
  node.call('/publish', Array.from({ length: to - from }, (_, i) => ({ channel, data: { n: from + i, text: 'ü\u2028</script>' } })));

export const numbers = (count) => Array.from({ length: count }, (_, i) => i);

/** Sessions that a user has at the server. */
export async function sessions(node, user) {
  const response = await fetch(`http://${node.api}/u/${user}`);
  return (await response.json()).sessions;
}

/** A subscription and what came by it. */
export async function listening(encke, channel, options) {
  const got = [];
  const subscription = encke.subscribe(channel, ({ data }) => got.push(data.n ?? data), options);
  await subscription;
  return { got, subscription };
}

export { assert };

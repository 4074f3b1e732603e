// Clients on each transport through each balancer: a user's connections reach one node, and messages come as they are published.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { balance, programs } from './balancer.mjs';
import { serves, TRANSPORTS } from './client.mjs';

const { EnckeNode } = createRequire(import.meta.url)('../browser/lib/node');

const KEYS = { ENCKE_TOKEN_KEY: 'a secret of thirty-two bytes, only for tests', ENCKE_API_KEY: 'an-api-key-only-for-tests' };
const ADDRESSES = ['10.0.0.11', '10.0.0.12'];

/** Users over whom both nodes must come to have some. */
const USERS = 24;

const BALANCERS = [
  programs.nginx('nginx.conf', { name: 'nginx' }),
  programs.haproxy('haproxy-http.cfg', { name: 'HAProxy by HTTP' }),
  programs.haproxy('haproxy-tcp.cfg', { name: 'HAProxy by TCP', env: { ENCKE_PROXY_PROTOCOL: '10.0.0.0/8' } }),
  { name: 'Caddy', program: '/usr/bin/caddy', args: (file) => ['run', '--adapter', 'caddyfile', '--config', file], file: 'Caddyfile' },
];

const token = (user) => execFileSync(process.env.ENCKE_BIN, ['token', '--user', user], { env: KEYS, encoding: 'utf8' }).trim();

/** A call of a backend to one node. Resolves to the answer. */
async function api(address, url, options = {}) {
  const response = await fetch(`http://${address}:8081${url}`, { ...options, headers: { 'X-Api-Key': KEYS.ENCKE_API_KEY, 'Content-Type': 'application/json' } });
  assert.equal(response.status, 200);
  return response.json();
}

/** Publishes to a user at every node, and says at which they had a session. */
async function publish(user) {
  const answers = await Promise.all(ADDRESSES.map((address) => api(address, `/u/${user}/publish`, { method: 'POST', body: '"the message"' })));
  return ADDRESSES.filter((_, index) => answers[index].sessions > 0);
}

async function started(balancer, t) {
  const nodes = ADDRESSES.map((address) => Object.assign(new EnckeNode(process.env.ENCKE_BIN, { ...KEYS, ENCKE_SHARDS: '2', ...balancer.env }), { public: `${address}:8080`, api: `${address}:8081` }));
  await Promise.all(nodes.map((node) => node.start()));
  await balance(balancer, nodes, t, async () => await serves('http') && serves('https'));
}

for (const balancer of BALANCERS) {
  const skip = spawnSync('test', ['-x', balancer.program]).status === 0 ? false : `${balancer.program} is not on this machine`;
  test(`${balancer.name} as examples/deploy/${balancer.file} has it`, { skip }, async (t) => {
    await started(balancer, t);
    for (const scheme of ['http', 'https']) {
      for (const [name, transport] of Object.entries(TRANSPORTS)) {
        await t.test(`${scheme} ${name}`, async () => {
          const user = `${name}-${scheme}`;
          const callback = name === 'jsonp' ? 'callback=f&' : '';
          await transport(scheme, user, `${callback}token=${token(user)}`, () => publish(user));
        });
      }
    }
    await t.test('all connections of a user reach one node, and users are spread', async () => {
      const homes = await Promise.all(Array.from({ length: USERS }, async (_, n) => {
        const user = `user${n}`;
        const query = `token=${token(user)}`;
        let at = [];
        for (const scheme of ['http', 'https']) {
          await TRANSPORTS.sse(scheme, user, query, async () => { at = [...at, ...await publish(user)]; });
        }
        assert.equal(new Set(at).size, 1, `${user} has sessions at ${at}`);
        return at[0];
      }));
      assert.equal(new Set(homes).size, 2, 'one node has all users');
    });
  });
}

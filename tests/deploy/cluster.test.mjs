// Three nodes with places behind each balancer that knows them, under load: a node dies, comes back, drains and comes back again. What
// a client misses it is told, and users of the other nodes notice nothing.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { EXAMPLES, balance, programs, until } from './balancer.mjs';
import { serves } from './client.mjs';

const { EnckeNode } = createRequire(import.meta.url)('../browser/lib/node');
const { connect } = await import('../../client/src/index.js');

const ADDRESSES = { n1: '10.0.0.11', n2: '10.0.0.12', n3: '10.0.0.13' };
const NAMES = Object.keys(ADDRESSES);
/** Guests go home soon, and a node leaves soon: the times of the configurations, by a tenth. */
const SETTINGS = {
  ENCKE_AUTH: 'none', ENCKE_API_KEY: 'an-api-key-only-for-tests', ENCKE_SHARDS: '1', ENCKE_ORIGINS: '*', ENCKE_HOSTS: '*',
  ENCKE_NODES: NAMES.map((name) => `${name}=http://${ADDRESSES[name]}:8080`).join(','),
  ENCKE_GUEST_STAY: '4s', ENCKE_LAME_DUCK: '2s', ENCKE_DRAIN: '2s', ENCKE_SESSION_GRACE: '30s',
};

const BALANCERS = [
  programs.haproxy('haproxy-places.cfg', { name: 'HAProxy by TCP' }),
  programs.haproxy('haproxy-places-http.cfg', { name: 'HAProxy by HTTP' }),
  programs.haproxy('haproxy-hosts.cfg', { name: 'HAProxy by host names', byHost: true }),
  programs.nginx('nginx-places.conf', { name: 'nginx', module: '/usr/lib/nginx/modules/ngx_http_js_module.so' }),
];

/** Ids as people have them, each to be decoded before it is hashed. */
const AWKWARD = ['a/b', 'ein Benutzer', 'grüße', 'a+b%', '用户', 'ada@example.com'];
const USERS = [...AWKWARD, ...Array.from({ length: 18 }, (_, n) => `user${n}`)];
const KINDS = ['ws', 'stream', 'sse', 'longpoll'];

const encke = (...args) => execFileSync(process.env.ENCKE_BIN, args, { env: SETTINGS, encoding: 'utf8' });

/** What the table says, by user. */
function placed(user) {
  const [slot, home, deputy] = encke('place', user).trim().split('\n').map((line) => line.split(/\s+/)[1]);
  return { user, slot, home, deputy };
}

async function api(name, url, body) {
  const headers = { 'X-Api-Key': SETTINGS.ENCKE_API_KEY, 'Content-Type': 'application/json' };
  const response = await fetch(`http://${ADDRESSES[name]}:8081${url}`, { method: body === undefined ? 'GET' : 'POST', body, headers, signal: AbortSignal.timeout(10_000) });
  return response.json();
}

/** Publishes as the document says: at home; if that is away or has no session of the user, at the deputy, too. */
async function publish({ user, home, deputy }, n) {
  const url = `/u/${encodeURIComponent(user)}/publish`;
  const at = (name) => api(name, url, JSON.stringify({ n })).catch(() => undefined);
  const first = await at(home);
  if (!first?.sessions) await at(deputy);
}

/** A user's page: what it gets, in order, with the gaps that it is told. */
class Page {
  constructor(place, at, byHost, published, signal) {
    const kind = KINDS[at % KINDS.length];
    Object.assign(this, { place, kind, story: [], sessions: new Set() });
    // Each name is this machine. A page has connections of its own, which requests to one name would share.
    const host = `${byHost ? `s${place.slot}` : `p${at}`}.encke.example.com`;
    this.encke = connect(`http://${host}/u/${encodeURIComponent(place.user)}`, { transports: [kind], share: false, signal });
    this.encke.on('message', ({ data }) => this.story.push(data.n));
    this.encke.on('gap', () => this.story.push({ upTo: published.n }));
    this.encke.on('state', () => this.sessions.add(this.encke.session));
  }

  get numbers() { return this.story.filter((one) => typeof one === 'number'); }

  get gaps() { return this.story.length - this.numbers.length; }

  /**
   * Fails if anything is missing, twice or out of order that no gap covers. A gap covers all that was published before it: what the
   * node has kept of that follows, of which the page may have had a part from another node.
   */
  check(upTo) {
    let [last, told] = [-1, -1];
    for (const one of this.story) {
      if (typeof one !== 'number') [last, told] = [-1, one.upTo];
      else {
        assert.ok(one > last && one <= Math.max(last, told) + 1, `${this.place.user} by ${this.kind}: ${one} after ${last}: ${JSON.stringify(this.story)}`);
        last = one;
      }
    }
    assert.equal(last, upTo, `${this.place.user} by ${this.kind} got all to the end: ${JSON.stringify(this.story)}`);
  }
}

async function started(balancer, t) {
  const start = (name) => Object.assign(new EnckeNode(process.env.ENCKE_BIN, { ...SETTINGS, ENCKE_NODE: name }), { public: `${ADDRESSES[name]}:8080`, api: `${ADDRESSES[name]}:8081` });
  const nodes = Object.fromEntries(NAMES.map((name) => [name, start(name)]));
  await Promise.all(Object.values(nodes).map((node) => node.start()));
  for (const column of ['home', 'deputy']) {
    fs.writeFileSync(`/etc/haproxy/encke-${column}.map`, encke('places', `haproxy-${column}`));
    fs.writeFileSync(`/etc/nginx/encke-${column}.map`, encke('places', `nginx-${column}`));
  }
  fs.copyFileSync(path.join(EXAMPLES, 'nginx-places.js'), '/etc/nginx/encke-places.js');
  await balance(balancer, Object.values(nodes), t, () => serves('http'));
  return nodes;
}

/** Publishes the next number to everybody, over and over, until it is stopped; `published.n` is the present one. */
function load(places, published) {
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      published.n += 1;
      await Promise.all(places.map((place) => publish(place, published.n)));
    }
    return published.n;
  })();
  return () => { stopped = true; return done; };
}

for (const balancer of BALANCERS) {
  const missing = [balancer.program, balancer.module].find((file) => file && !fs.existsSync(file));
  const skip = missing ? `${missing} is not on this machine` : false;
  test(`${balancer.name} as examples/deploy/${balancer.file} has it: death, return and drain of a node`, { skip }, async (t) => {
    const nodes = await started(balancer, t);
    const places = USERS.map(placed);
    assert.equal(new Set(places.map(({ home }) => home)).size, 3, 'every node has users');
    const stop = new AbortController();
    t.after(() => stop.abort());
    const published = { n: -1 };
    const pages = places.map((place, at) => new Page(place, at, balancer.byHost, published, stop.signal));
    const live = async () => pages.every(({ encke: { state } }) => state === 'live');
    const told = () => pages.filter(({ encke: { state } }) => state !== 'live').map(({ place: { user }, encke: { state, cause } }) => `${user} ${state} ${JSON.stringify(cause)}`).join('; ');
    await until(live, told);
    const sessionsAt = async (name, user) => (await api(name, `/u/${encodeURIComponent(user)}`)).sessions?.length ?? 0;
    const misplaced = async () => {
      const found = await Promise.all(places.map(async ({ user, home }) => (await sessionsAt(home, user)) ? '' : user));
      return found.filter(Boolean);
    };
    assert.deepEqual(await misplaced(), [], 'each user is at home');
    const misrouted = async (name) => {
      const text = await (await fetch(`http://${ADDRESSES[name]}:8081/metrics`, { headers: { 'X-Api-Key': SETTINGS.ENCKE_API_KEY } })).text();
      return Number(/^encke_refusals_total\{cause="elsewhere"\} (\d+)$/m.exec(text)?.[1] ?? 0);
    };
    assert.deepEqual(await Promise.all(NAMES.map(misrouted)), [0, 0, 0], 'no request came to a wrong node');
    const others = pages.filter(({ place: { home } }) => home !== 'n2');
    const before = others.map(({ encke: { session } }) => session);

    const stopPublishing = load(places, published);
    /** Numbers that come after now reach everybody. */
    const flows = async () => {
      const from = published.n + 1;
      await until(async () => pages.every(({ numbers }) => numbers.at(-1) >= from), told);
    };
    await flows();
    await t.test('kill -9', async () => {
      await nodes.n2.kill();
      await flows();
      for (const { place: { user, deputy, home } } of pages) if (home === 'n2') assert.ok(await sessionsAt(deputy, user), `${user} is at the deputy`);
    });
    await t.test('back again: the guests go home', async () => {
      await nodes.n2.start();
      await until(async () => !(await misplaced()).length, misplaced);
      await flows();
    });
    await t.test('users of the other nodes have their sessions still, and no gap', () => {
      assert.deepEqual(others.map(({ encke: { session } }) => session), before);
      for (const { gaps, place: { user } } of others) assert.equal(gaps, 0, user);
    });
    await t.test('a drain, and back again', async () => {
      assert.equal(await nodes.n3.term(), 0);
      await flows();
      await nodes.n3.start();
      await until(async () => !(await misplaced()).length, misplaced);
      await flows();
      for (const [at, page] of others.entries()) if (page.place.home === 'n1') assert.equal(page.encke.session, before[at]);
    });
    const last = await stopPublishing();
    await until(async () => pages.every(({ numbers }) => numbers.at(-1) === last), told);
    for (const page of pages) page.check(last);
  });
}

'use strict';
// The library where something is in its way: pages of other origins, tokens, no network, a server that goes and comes back.
const assert = require('node:assert/strict');
const { createHmac } = require('node:crypto');
const { withSite, begin, until, isState, hasSeen, sawAll, stands, numbers } = require('./lib/site');
const { offline } = require('./lib/offline');
const { changesHost } = require('./lib/rehost');

const CHANNEL = '/room/1';
const KEY = '0123456789abcdef0123456789abcdef';

function jwt(claims, key = KEY) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'alice', channels: { '/**': 'rw' }, ...claims })}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

/** States as they came, each with the kind of its cause: `retrying network`. */
const course = (page, name) => page.evaluate((one) => window.seen[one].states
  .map(({ state, kind }) => (kind ? `${state} ${kind}` : state)).filter((word, i, all) => word !== all[i - 1]), name);

const listed = ({ pages }) => ({ ENCKE_ORIGINS: pages.origin });

/** A page of a listed origin, with a token in a header or in a cookie, by each transport. */
const crossOrigin = withSite({ ENCKE_TOKEN_KEY: KEY }, async (site, browser) => {
  const page = await site.page(browser, { origin: site.pages.origin, from: site.origin });
  const ways = ['ws', 'stream', 'sse', 'longpoll'].flatMap((kind) => [{ kind, tokens: [jwt({})] }, { kind, cookie: jwt({}) }]);
  for (const { kind, tokens, cookie } of ways) {
    const name = `${kind}-${cookie ? 'cookie' : 'token'}`;
    // Cookies know no ports: the one of the page's host is sent to the server, if credentials are.
    await page.evaluate((text) => { document.cookie = text; }, cookie ? `encke_token=${cookie}; path=/` : 'encke_token=; path=/; max-age=0');
    const options = { transports: [kind], ...(cookie && { credentials: 'include' }) };
    await begin(page, name, '/u/alice', { channel: `/of/${name}`, tokens, options });
    await site.publish(`/of/${name}`, 0, 20);
    await hasSeen(page, name, 20);
    await page.evaluate((one) => window.say(one, `/of/${one}`, ['up']), name);
    await until(page, name, (one) => window.seen[one].said.length === 1 && window.seen[one].outcomes.length === 1);
    const saw = await sawAll(page, name, 20);
    assert.deepEqual([saw.said, saw.outcomes], [['up'], ['ok']]);
    await page.evaluate((one) => window.clients[one].close(), name);
  }
  // The first start, with nothing known: from one transport to the next without being taken for another client.
  for (let n = 0; n < 3; n += 1) {
    const name = `any-${n}`;
    await begin(page, name, '/u/alice', { channel: `/of/${name}`, tokens: [jwt({})], options: { share: false } });
    await until(page, name, (one) => window.clients[one].transport === 'ws');
    await site.publish(`/of/${name}`, 0, 20);
    await hasSeen(page, name, 20);
    const { states } = await sawAll(page, name, 20);
    assert.deepEqual(states.filter(({ code, state }) => code || state === 'retrying'), [], 'nothing was the matter');
    await page.evaluate((one) => {
      window.clients[one].close();
      localStorage.clear();
    }, name);
  }
  await page.evaluate(() => { document.cookie = 'encke_token=; path=/; max-age=0'; });
}, listed);

/** A page of an origin that is not listed gets that reason, with the variable, and not that there is no network. */
const foreignOrigin = withSite({}, async (site, browser) => {
  const page = await site.page(browser, { origin: site.pages.origin, from: site.origin });
  const kinds = ['ws', 'stream', 'sse', 'longpoll'];
  for (const kind of kinds) {
    await page.evaluate((one) => {
      void window.begin(one, '/u/alice', { channel: '/x', options: { transports: [one] } });
      setTimeout(() => window.say(one, '/x', [1]));
    }, kind);
  }
  for (const kind of kinds) {
    await isState(page, kind, 'refused');
    const { cause } = await stands(page, kind);
    assert.deepEqual([cause.kind, cause.code], ['server', 'origin-refused'], kind);
    assert.match(cause.reason, /ENCKE_ORIGINS/);
    await until(page, kind, (one) => window.seen[one].outcomes.length === 2);
    assert.deepEqual((await page.evaluate((one) => window.seen[one], kind)).outcomes, ['origin-refused', 'origin-refused'], 'nobody is kept waiting');
  }
  await site.node.hasSessions('alice', 0);
  await site.node.kill();
  await page.evaluate(() => window.clients.longpoll.reconnect());
  await until(page, 'longpoll', () => window.clients.longpoll.cause?.code === 'unreachable');
});

/**
 * Behind a proxy that changes `Host` a page's own server takes it for a foreign one, or its sockets alone. The page gets that reason. Firefox
 * says of sockets, too, that the page is the server's own: there they work.
 */
const changedHost = withSite({}, async (site, browser) => {
  const proxy = await changesHost(site.node.public, site.pages.at);
  try {
    const page = await site.page(browser, { origin: proxy.origin });
    await page.evaluate((...all) => void window.begin(...all), 'one', '/u/alice', { channel: '/x' });
    await until(page, 'one', (name) => {
      const { cause, transport, tried } = window.clients[name];
      return transport === 'ws' || cause?.code === 'origin-refused' || tried.some(({ transport, outcome }) => transport === 'ws' && outcome === 'origin-refused');
    });
    const { tried, why } = await page.evaluate(() => ({ tried: window.clients.one.tried, why: window.clients.one.why }));
    assert.ok(tried.every(({ outcome }) => outcome !== 'blocked'), JSON.stringify(tried));
    assert.doesNotMatch(why, /blocked/);
  } finally {
    proxy.close();
  }
});

/** No network, by the browser's own switch where the driver has one; what is published meanwhile is published once. */
const offlineAndBack = withSite({}, async (site, browser) => {
  const page = await site.page(browser);
  for (const kind of ['ws', 'stream', 'longpoll']) {
    const channel = `/offline/${kind}`;
    await begin(page, kind, `/u/${kind}`, { channel, options: { transports: [kind] } });
    await site.publish(channel, 0, 10);
    await hasSeen(page, kind, 10);
  }
  const network = await offline(browser, page, site.cutter);
  await network.off();
  for (const kind of ['ws', 'stream', 'longpoll']) {
    await isState(page, kind, 'offline');
    assert.equal((await stands(page, kind)).cause.kind, 'network', kind);
    await page.evaluate((...all) => window.say(...all), kind, `/offline/${kind}`, numbers(20));
    await site.publish(`/offline/${kind}`, 10, 60);
    assert.equal((await stands(page, kind)).count, 10, 'nothing comes without a network');
  }
  await network.on();
  for (const kind of ['ws', 'stream', 'longpoll']) {
    await hasSeen(page, kind, 60);
    await until(page, kind, (one) => window.seen[one].said.length >= 20 && window.seen[one].outcomes.length >= 20);
    await isState(page, kind, 'live');
    const { said, outcomes } = await sawAll(page, kind, 60);
    assert.deepEqual([said, outcomes], [numbers(20), Array(20).fill('ok')], `${kind}: what was said offline`);
  }
  console.log(`  without a network (${network.how}): ${(await course(page, 'ws')).join(', ')}`);
});

/** The server is killed and started again: the page shows its state, and continues. */
const restart = withSite({}, async (site, browser) => {
  const page = await site.page(browser);
  await begin(page, 'one', '/u/alice', { channel: CHANNEL });
  await until(page, 'one', () => window.clients.one.transport === 'ws');
  await site.publish(CHANNEL, 0, 10);
  await hasSeen(page, 'one', 10);
  await site.node.kill();
  await isState(page, 'one', 'retrying');
  assert.equal((await stands(page, 'one')).cause.kind, 'network');
  await page.evaluate((...all) => window.say(...all), 'one', '/room/2', [1, 2, 3]);
  await site.node.start();
  await isState(page, 'one', 'live');
  await until(page, 'one', () => window.seen.one.outcomes.length === 3 && window.seen.one.gaps.length > 0);
  await site.publish(CHANNEL, 10, 20);
  await hasSeen(page, 'one', 20);
  const { gaps } = await page.evaluate(() => window.seen.one);
  const { outcomes } = await sawAll(page, 'one', 20, { gaps });
  assert.deepEqual(outcomes, ['ok', 'ok', 'ok']);
});

/** A refused token is requested again; if there is no better one, the page gets the reason and may try again. */
const tokens = withSite({ ENCKE_TOKEN_KEY: KEY }, async (site, browser) => {
  const page = await site.page(browser);
  const wrong = () => jwt({}, 'another key of thirty-two bytes!');
  for (const kind of ['ws', 'stream', 'sse', 'longpoll']) {
    await begin(page, kind, '/u/alice', { channel: CHANNEL, tokens: [wrong(), jwt({})], options: { transports: [kind], share: false } });
    assert.deepEqual(await course(page, kind), ['connecting auth', 'live'], kind);
  }
  await page.evaluate((...all) => void window.begin(...all), 'out', '/u/alice', { channel: CHANNEL, tokens: [wrong(), wrong(), wrong(), jwt({})], options: { share: false } });
  await isState(page, 'out', 'refused');
  const { cause } = await stands(page, 'out');
  assert.deepEqual([cause.kind, cause.status], ['auth', 401]);
  await page.evaluate(() => window.clients.out.reconnect());
  await isState(page, 'out', 'live');
  await site.publish(CHANNEL, 0, 10);
  for (const name of ['ws', 'stream', 'sse', 'longpoll', 'out']) {
    await hasSeen(page, name, 10);
    await sawAll(page, name, 10);
  }
});

const NETWORK = [
  { name: 'library: a page of another origin, by token and by cookie', run: crossOrigin },
  { name: 'library: a page of an origin that may not connect', run: foreignOrigin },
  { name: 'library: a proxy that changes Host', run: changedHost },
  { name: 'library: offline and back', run: offlineAndBack },
  { name: 'library: the server is killed and started again', run: restart },
  { name: 'library: tokens that are refused', run: tokens },
];

module.exports = { NETWORK };

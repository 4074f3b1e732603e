'use strict';
// What becomes of a page with the library in it: left and come back to, asleep and awake; and what it shows a person.
const assert = require('node:assert/strict');
const { openBrowser } = require('./driver');
const { openSleeper } = require('./lib/sleeper');
const { withSite, begin, until, hasSeen, sawAll, stands } = require('./lib/site');

const CHANNEL = '/page/1';

/** Goes to another page of the same site. */
const leave = (site, page) => page.goto(`${site.origin}/page/awkward.mjs`);

/** Back to where it was; says whether the page was kept as it was, or has been reloaded. */
async function comeBack(page) {
  await page.back();
  await page.waitFor(() => location.pathname.endsWith('library.html') && !!window.library && window.loading.shown.length > 0);
  await page.waitFor(() => document.readyState === 'complete');
  return (await page.evaluate(() => window.loading.shown.at(-1))) ? 'kept' : 'reloaded';
}

/** A page that was kept misses nothing. One that was reloaded begins as any page does, with what comes from then on. */
async function goesOn(site, tab, how, count) {
  const { page, name } = tab;
  if (how !== 'kept') {
    tab.from = count;
    await begin(page, name, '/u/alice', { channel: CHANNEL });
  }
  await site.publish(CHANNEL, count, count + 10);
  await hasSeen(page, name, count + 10 - tab.from);
  await sawAll(page, name, count + 10, { from: tab.from });
}

const back = withSite({}, async (site, browser) => {
  // Its driver otherwise turns the cache of pages off.
  const own = browser.engine === 'chromium' ? await openBrowser('chromium', { bfcache: true }) : browser;
  try {
    const one = { name: 'one', page: await site.page(own), from: 0 };
    await begin(one.page, 'one', '/u/alice', { channel: CHANNEL });
    await until(one.page, 'one', () => window.clients.one.transport === 'ws');
    await site.publish(CHANNEL, 0, 10);
    await hasSeen(one.page, 'one', 10);
    const { session } = await stands(one.page, 'one');
    await leave(site, one.page);
    await site.publish(CHANNEL, 10, 30);
    const hows = [await comeBack(one.page)];
    await goesOn(site, one, hows[0], 30);
    if (hows[0] === 'kept') assert.equal((await stands(one.page, 'one')).session, session, 'the session goes on');
    // With a second tab, first the one that follows goes and comes back, then the one that leads.
    const two = { name: 'two', page: await site.page(own), from: 40 };
    await begin(two.page, 'two', '/u/alice', { channel: CHANNEL });
    let count = 40;
    for (const [goes, stays] of [[two, one], [one, two]]) {
      assert.equal((await stands(goes.page, goes.name)).leads, goes === one);
      await leave(site, goes.page);
      await until(stays.page, stays.name, (name) => window.clients[name].leads && window.clients[name].state === 'live');
      await site.publish(CHANNEL, count, count + 20);
      await hasSeen(stays.page, stays.name, count + 20 - stays.from);
      hows.push(await comeBack(goes.page));
      await goesOn(site, goes, hows.at(-1), count + 20);
      count += 30;
      await hasSeen(stays.page, stays.name, count - stays.from);
      await sawAll(stays.page, stays.name, count, { from: stays.from });
      await site.node.hasSessions('alice', 1);
    }
    console.log(`  after history.back() the page was ${hows.join(', ')}`);
  } finally {
    for (const page of site.open.splice(0)) await page.close();
    if (own !== browser) await own.close();
  }
});

/** Ways to sleep and to wake. */
const SLEEPS = {
  // The clock jumps, as it does when a machine has slept. Here it is the page's own that is put forward.
  clock: { query: { clock: 'ahead' }, wake: (page) => page.evaluate(() => window.putForward(3_600_000)) },
  // A hidden page is shown. The drivers show all pages but Firefox's in the background, so the event is made.
  shown: { wake: (page) => page.evaluate(() => void document.dispatchEvent(new Event('visibilitychange'))) },
  // Frozen by the browser itself, which ends its sockets. Only Chromium can do so on request, in a browser of its own.
  frozen: { only: 'chromium', found: 'cut', sleep: (page) => page.freeze(), wake: (page) => page.thaw() },
};

/** While pages sleep their connections die without a word: they find that out on waking, and not a heartbeat later. */
const sleep = withSite({}, async (site, browser) => {
  const sleepers = [];
  const pages = [];
  try {
    for (const [name, way] of Object.entries(SLEEPS).filter(([, { only = browser.engine }]) => only === browser.engine)) {
      const own = way.only ? await openSleeper() : undefined;
      if (own) sleepers.push(own);
      const page = await site.page(own ?? browser, way.query);
      await begin(page, name, `/u/${name}`, { channel: CHANNEL });
      await until(page, name, (one) => window.clients[one].transport === 'ws');
      pages.push({ name, page, ...way });
    }
    await site.publish(CHANNEL, 0, 10);
    for (const { name, page } of pages) await hasSeen(page, name, 10);
    for (const { page, sleep: fall } of pages) await fall?.(page);
    site.cutter.fallSilent();
    await site.publish(CHANNEL, 10, 60);
    site.cutter.speak();
    for (const { page, wake } of pages) await wake(page);
    for (const { name, page, found = 'silent' } of pages) {
      await hasSeen(page, name, 60);
      const { states } = await sawAll(page, name, 60);
      assert.ok(states.some(({ kind, code }) => kind === 'network' && code === found), `${name}: ${JSON.stringify(states)}`);
    }
  } finally {
    for (const own of sleepers) await own.close();
  }
});

const cause = (kind, reason) => ({ kind, code: 'x', reason });

/** What a person reads, by state. */
const SHOWN = [
  [{ state: 'connecting', transport: null, cause: null }, 'Connecting'],
  [{ state: 'live', transport: 'ws', cause: null }, 'Live', 'ws'],
  [{ state: 'degraded', transport: 'longpoll', cause: cause('middlebox', 'ws is blocked') },
    'Connected, but slow', 'longpoll', 'a proxy: ws is blocked'],
  [{ state: 'retrying', transport: null, cause: cause('network', 'the server cannot be reached'), inMs: 7600 },
    'Retrying in 8 s', 'the network: the server cannot be reached'],
  [{ state: 'offline', transport: null, cause: cause('network', 'there is no network') }, 'Offline', 'the network: there is no network'],
  [{ state: 'refused', transport: null, cause: cause('auth', 'the token has expired') }, 'Refused', 'the sign-in: the token has expired'],
  [{ state: 'closed', transport: null, cause: null }, 'Closed'],
];

/** One `<encke-status>` for each state, below one another, each with a stand-in for a client. */
const gallery = (statuses) => {
  for (const { inMs, ...status } of statuses) {
    const element = document.createElement('encke-status');
    const at = inMs && Date.now() + inMs;
    element.client = { on: () => () => {}, status: { why: 'a reason', tried: [], ...status, at } };
    const line = document.createElement('p');
    line.append(element);
    document.body.append(line);
  }
};

const read = () => [...document.querySelectorAll('encke-status')].map((element) => [...element.shadowRoot.querySelectorAll('span')]
  .filter((span) => span.getBoundingClientRect().width > 0).map((span) => span.textContent));

const status = withSite({}, async (site, browser) => {
  const page = await site.page(browser);
  await page.evaluate(gallery, SHOWN.map(([one]) => one));
  assert.deepEqual(await page.evaluate(read), SHOWN.map(([, ...words]) => words));
  const looks = await page.evaluate(() => [...document.querySelectorAll('encke-status')].map((element) => {
    const dot = element.shadowRoot.querySelector('[part=dot]');
    return { dot: dot.getBoundingClientRect().width > 4, tone: getComputedStyle(dot).backgroundColor, role: element.getAttribute('role'), title: element.title };
  }));
  assert.ok(looks.every(({ dot, role, title }) => dot && role === 'status' && title === 'a reason'), JSON.stringify(looks));
  assert.equal(new Set([1, 3, 5, 6].map((i) => looks[i].tone)).size, 4, 'good, uncertain, bad and over look different');
  if (process.env.PICTURES) await page.screenshot(`${process.env.PICTURES}/status-${browser.engine}.png`);
  // And a real one, placed before there is a client, or after, and moved: it shows the client that was connected last.
  await page.evaluate(() => document.body.replaceChildren());
  for (const name of ['one', 'two']) {
    await page.evaluate(() => document.body.append(document.createElement('encke-status')));
    await begin(page, name, '/u/alice', { channel: CHANNEL, options: { share: false } });
    await until(page, name, (client) => window.clients[client].transport === 'ws');
    await page.evaluate(() => document.body.prepend(document.querySelector('encke-status:last-child')));
  }
  await page.evaluate(() => window.clients.one.close());
  const all = () => [...document.querySelectorAll('encke-status')].map((element) => [element.getAttribute('state'), element.client === window.clients.two]);
  assert.deepEqual(await page.evaluate(all), [['live', true], ['live', true]]);
  const says = (word) => page.waitFor((wanted) => document.querySelector('encke-status').shadowRoot.textContent.includes(wanted), { args: [word] });
  await says('Livews');
  await site.node.kill();
  await says('Retrying');
  await says('the network: the server cannot be reached');
  await page.evaluate(() => window.clients.two.close());
  await says('Closed');
});

const PAGE = [
  { name: 'library: away and back by history', run: back },
  { name: 'library: asleep and awake', run: sleep },
  { name: 'library: what a person is shown', run: status },
];

module.exports = { PAGE };

'use strict';
// Tabs of one profile share a connection; the one that has it is closed or goes elsewhere, and another one continues.
const assert = require('node:assert/strict');
const { openSleeper } = require('./lib/sleeper');
const { withSite, begin, until, hasSeen, sawAll, stands, numbers } = require('./lib/site');

const CHANNEL = '/tabs/down';
const UP = '/tabs/up';

const leads = (page, name) => until(page, name, (one) => window.clients[one].leads);

/** When a client led first. Milliseconds since 1970, of the one clock of this machine. */
const ledAt = (page, name) => page.evaluate((one) => window.seen[one].states.find((status) => status.leads)?.at, name);

/** Messages continue while the leader goes; the remaining tabs get all of them, and what they publish meanwhile is published once. */
async function handsOver(site, tabs, from, go) {
  const [, ...left] = tabs;
  const { session } = await stands(left[0].page, left[0].name);
  const published = site.publish(CHANNEL, from, from + 100, 10);
  const began = Date.now();
  await go();
  await left[0].page.evaluate((...all) => window.say(...all), left[0].name, UP, numbers(10, from).map((n) => `said ${n}`));
  await leads(left[0].page, left[0].name);
  await published;
  await site.publish(CHANNEL, from + 100, from + 200);
  for (const { page, name } of left) {
    await page.bringToFront();
    await hasSeen(page, name, from + 200);
    await sawAll(page, name, from + 200);
    await until(page, name, (one, count) => window.seen[one].said.length >= count, (from / 200) * 10 + 10);
  }
  const now = await stands(left[0].page, left[0].name);
  assert.equal(now.session, session, 'the session goes on');
  for (const { page, name } of left.slice(1)) assert.equal((await stands(page, name)).leads, false);
  await site.node.hasSessions('alice', 1);
  return (await ledAt(left[0].page, left[0].name)) - began;
}

const handOver = withSite({}, async (site, browser) => {
  const tabs = [];
  for (const name of ['first', 'second', 'third']) {
    const page = await site.page(browser);
    await begin(page, name, '/u/alice', { channel: '/tabs/*' });
    tabs.push({ name, page });
  }
  const [first, second, third] = tabs;
  assert.equal((await stands(first.page, 'first')).leads, true);
  await until(third.page, 'third', () => window.clients.third.transport === 'ws');
  await site.node.hasSessions('alice', 1);
  const closed = await handsOver(site, tabs, 0, () => first.page.close());
  // Another page of the same site, in the same tab.
  const gone = await handsOver(site, [second, third], 200, () => second.page.goto(`${site.origin}/page/awkward.mjs`));
  const { said, outcomes } = await third.page.evaluate(() => window.seen.third);
  assert.deepEqual(said, numbers(2).flatMap((n) => numbers(10, n * 200).map((i) => `said ${i}`)), 'what tabs said, once each');
  assert.deepEqual(outcomes, Array(10).fill('ok'));
  console.log(`  another tab led ${closed} ms after the leader was told to close, ${gone} ms after it was told to go elsewhere`);
});

/** The browser freezes the tab that leads, as it does with tabs that have long been hidden: another leads while it is frozen, and afterwards. */
const frozen = withSite({ ENCKE_HEARTBEAT: '2s' }, async (site) => {
  const own = await openSleeper();
  try {
    const tabs = [];
    for (const name of ['first', 'second', 'third']) {
      const page = await site.page(own);
      await begin(page, name, '/u/alice', { channel: '/tabs/*' });
      tabs.push({ name, page });
    }
    const [first, ...others] = tabs;
    await until(first.page, 'first', () => window.clients.first.transport === 'ws' && window.clients.first.leads);
    await site.publish(CHANNEL, 0, 10);
    for (const { page, name } of tabs) await hasSeen(page, name, 10);
    await first.page.freeze();
    await site.publish(CHANNEL, 10, 60);
    for (const { page, name } of others) await hasSeen(page, name, 60);
    await first.page.thaw();
    await until(first.page, 'first', () => !window.clients.first.leads);
    await site.publish(CHANNEL, 60, 80);
    for (const { page, name } of tabs) {
      await hasSeen(page, name, 80);
      await sawAll(page, name, 80);
    }
    const leaders = [];
    for (const { page, name } of tabs) if ((await stands(page, name)).leads) leaders.push(name);
    assert.equal(leaders.length, 1, leaders.join());
  } finally {
    await own.close();
  }
});

const only = { firefox: 'no driver freezes its tabs', webkit: 'no driver freezes its tabs' };

module.exports = { TABS: [
  { name: 'library: the leading tab closes, or goes elsewhere', run: handOver },
  { name: 'library: the leading tab is frozen', run: frozen, not: only },
] };

'use strict';
// The client library as the server gives it to pages: each transport by itself across cuts, both builds, and what the browser
// shows meanwhile.
const assert = require('node:assert/strict');
const { TABS } = require('./library-tabs');
const { NETWORK } = require('./library-network');
const { PAGE } = require('./library-page');
const { STREAMS } = require('./library-streams');
const { withSite, begin, until, hasSeen, sawAll, stands } = require('./lib/site');

const CHANNEL = '/numbers/all';
const KINDS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];
const ROUNDS = 4;
const EACH = 250;
/** Where the cuts fall: so many bytes into a round. Odd on purpose, to split characters and frames. */
const CUT_AT = [4099, 15013, 777];
/** What the platform must have for a transport. */
const NEEDS = { ws: 'WebSocket', sse: 'EventSource' };

/** A thousand awkward messages by one transport alone, over connections that break three times. */
const exactAcrossCuts = (kind) => withSite({ ENCKE_POLL_MAX: '500ms' }, async (site, browser) => {
  const page = await site.page(browser);
  const need = NEEDS[kind];
  if (need && await page.evaluate((name) => typeof window[name] === 'undefined', need)) return refusesClearly(page, kind);
  await begin(page, 'one', '/u/alice', { channel: CHANNEL, options: { transports: [kind] } });
  const { session } = await stands(page, 'one');
  for (let round = 0; round < ROUNDS; round += 1) {
    if (round < CUT_AT.length) site.cutter.cutAfter(CUT_AT[round]);
    await site.publish(CHANNEL, round * EACH, (round + 1) * EACH);
    await hasSeen(page, 'one', (round + 1) * EACH);
  }
  assert.equal(site.cutter.cuts, CUT_AT.length, 'cuts made');
  const { states } = await sawAll(page, 'one', ROUNDS * EACH);
  const now = await stands(page, 'one');
  assert.deepEqual([now.transport, now.session], [kind, session]);
  assert.match(now.why, /only one allowed/);
  const kinds = new Set(states.filter(({ transport }) => transport).map(({ transport }) => transport));
  assert.deepEqual([...kinds], [kind], 'transports used');
  for (const { state, kind: cause } of states) {
    if (state === 'retrying') assert.equal(cause, 'network', 'a cut is the matter of the network');
  }
  return undefined;
});

/** A transport that the platform has not is named when it is all that is allowed. */
async function refusesClearly(page, kind) {
  await page.evaluate((way) => window.begin('none', '/u/alice', { channel: '/x', options: { transports: [way] } }), kind);
  const { refused } = await page.evaluate(() => window.seen.none);
  assert.equal(refused, `TypeError: none of the transports ${kind} can be used here`);
}

/** All three engines have all transports, so each is taken away once. */
const lacking = withSite({}, async (site, browser) => {
  const page = await site.page(browser);
  for (const [kind, need] of Object.entries(NEEDS)) {
    await page.evaluate((name) => { delete window[name]; }, need);
    await refusesClearly(page, kind);
  }
  // What is left is used without a word.
  await begin(page, 'rest', '/u/alice', { channel: CHANNEL });
  await until(page, 'rest', (name) => window.clients[name].transport === 'stream');
  await site.publish(CHANNEL, 0, 10);
  await hasSeen(page, 'rest', 10);
  await sawAll(page, 'rest', 10);
});

/** The script that makes a global does the same, and chooses by itself. */
const classicBuild = withSite({}, async (site, browser) => {
  const page = await site.page(browser, { build: 'classic' });
  assert.equal(await page.evaluate(() => window.library === window.Encke), true);
  await begin(page, 'one', '/u/alice', { channel: CHANNEL });
  await until(page, 'one', (name) => window.clients[name].transport === 'ws');
  site.cutter.cutAfter(777);
  await site.publish(CHANNEL, 0, 250);
  await hasSeen(page, 'one', 250);
  await sawAll(page, 'one', 250);
  const tried = await page.evaluate(() => window.clients.one.tried.map(({ transport, outcome }) => `${transport} ${outcome}`));
  assert.deepEqual([...new Set(tried)], ['longpoll ok', 'ws ok']);
});

/**
 * Two tabs that connect while they are loading, and a hundred messages: the pages are loaded and stay so. What is looked at:
 * `load` fired once, `readyState` went to complete and no further, and no element was added that could load. No driver shows
 * the browser's own sign of loading, which follows these.
 */
const quiet = withSite({}, async (site, browser) => {
  for (const kind of KINDS) {
    const channel = `/quiet/${kind}`;
    const how = { channel, options: { transports: [kind], share: false } };
    const pages = [];
    for (const name of ['left', 'right']) pages.push([name, await site.page(browser, { begin: [name, `/u/${kind}`, how] })]);
    for (const [name, page] of pages) await until(page, name, (one) => window.seen[one].subscribed);
    await site.publish(channel, 0, 100);
    for (const [name, page] of pages) {
      await page.bringToFront();
      await hasSeen(page, name, 100);
      await sawAll(page, name, 100);
      const { states, loads } = await page.evaluate(() => window.loading);
      assert.deepEqual([states.at(-1), loads], ['complete', 1], `${kind}: ${states}`);
      assert.deepEqual(states.filter((state) => state === 'complete'), ['complete']);
      assert.equal(await page.evaluate(() => document.querySelectorAll('iframe, script[src*="/u/"], img').length), 0);
      await page.close();
    }
  }
});

const LIBRARY = [
  ...KINDS.map((kind) => ({ name: `library: ${kind} alone, 1,000 messages across three cuts`, run: exactAcrossCuts(kind) })),
  { name: 'library: a transport that the platform lacks is refused clearly', run: lacking },
  { name: 'library: the classic build', run: classicBuild },
  { name: 'library: two tabs and a hundred messages leave the page loaded', run: quiet },
  ...TABS,
  ...NETWORK,
  ...PAGE,
  ...STREAMS,
];

module.exports = { LIBRARY };

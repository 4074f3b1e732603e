'use strict';
// The demos on the real server: each with two pages, each does what it says, and none writes an error to the console.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');

/** A person who leaves is gone soon, and not only after a minute. */
const ENV = { ENCKE_HEARTBEAT: '2s', ENCKE_SESSION_GRACE: '3s' };
const LONG = { timeout: 30000 };

/** Opens a demo; gives a name where one is asked for. */
async function open(browser, node, path, name) {
  const page = await browser.newPage();
  // WebKit has one console for all pages.
  page.heardBefore = page.errors().length;
  await page.goto(`http://${node.public}/demo/${path}`);
  if (!name) return page;
  await page.waitFor(() => document.querySelector('dialog[open]') !== null, LONG);
  await page.evaluate((mine) => {
    document.querySelector('#your-name').value = mine;
    document.querySelector('dialog form').requestSubmit();
  }, name);
  await page.waitFor(() => document.querySelector('encke-status')?.getAttribute('state') === 'live', LONG);
  return page;
}

const text = (page, selector) => page.evaluate((one) => document.querySelector(one).textContent, selector);

/** Waits until an element says just this. */
const says = (page, selector, wanted) => page.waitFor(
  (one, words) => [...document.querySelectorAll(one)].some((element) => element.textContent === words), { ...LONG, args: [selector, wanted] });

const press = (page, selector) => page.evaluate((one) => document.querySelector(one).click(), selector);

/** Writes as a user would: the page gets the events. */
const write = (page, selector, words) => page.evaluate((one, value) => {
  const field = document.querySelector(one);
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}, selector, words);

/** Ends with pages that had nothing to complain about. */
async function close(...pages) {
  for (const page of pages) {
    assert.equal(await page.evaluate('document.readyState'), 'complete');
    // Pages that were closed before may still complain there, of a server that is gone.
    const host = await page.evaluate('location.host');
    const ofOthers = (line) => /127\.0\.0\.1:\d+/.test(line) && !line.includes(host);
    const own = page.errors().slice(page.heardBefore).filter((line) => !ofOthers(line));
    assert.deepEqual(own, [], 'console errors');
    await page.close();
  }
}

async function chat(browser, node) {
  const alice = await open(browser, node, 'chat#team', 'Alice');
  const bob = await open(browser, node, 'chat#team', 'Bob');
  await Promise.all([alice, bob].map((page) => says(page, '#count', '2 people here')));
  await write(bob, '#message', 'hello <b>Alice</b>');
  await says(alice, '#typing', 'Bob is typing…');
  await press(bob, '#composer button');
  await says(alice, '.line .text', 'hello <b>Alice</b>');
  await says(alice, '#typing', '');
  await bob.waitFor(() => document.querySelector('.line:not(.waiting) .text') !== null, LONG);
  assert.equal(await alice.evaluate(() => document.querySelectorAll('.text b').length), 0, 'text became markup');
  assert.equal(await alice.evaluate(() => document.querySelectorAll('.line').length), 1, 'it was said once');
  await close(bob);
  await says(alice, '#count', 'One person here');
  await close(alice);
}

/** Changes one paragraph. */
const change = (page, block, words, why) => page.evaluate((id, changed, reason) => {
  document.querySelector(`#block-${id} .tools button`).click();
  const form = document.querySelector(`#block-${id} form`);
  form.querySelector('textarea').value = changed;
  form.querySelector('input').value = reason;
  form.requestSubmit();
}, block, words, why);

const paragraphs = (page) => page.evaluate(() => [...document.querySelectorAll('.block .text')].map((one) => one.textContent));

async function notes(browser, node) {
  const alice = await open(browser, node, 'notes', 'Alice');
  await alice.waitFor(() => document.querySelector('#block-when') !== null, LONG);
  const bob = await open(browser, node, 'notes', 'Bob');
  await bob.waitFor(() => document.querySelector('#block-when') !== null, LONG);
  await change(alice, 'when', 'On Sunday <i>at ten</i>', 'It will rain');
  await says(bob, '#block-when .text', 'On Sunday <i>at ten</i>');
  assert.equal(await text(bob, '#block-when .name'), 'Alice');
  assert.equal(await text(bob, '#block-when .why'), 'It will rain');
  assert.equal(await text(bob, '.change .why'), 'It will rain');
  // While Alice writes, Bob changes the same paragraph: she gets a notice, and hers stands.
  await press(alice, '#block-when .tools button');
  await change(bob, 'when', 'On Monday', 'No, then');
  await alice.waitFor(() => document.querySelector('.clash:not([hidden])')?.textContent.includes('On Monday'), LONG);
  await write(alice, '#block-when textarea', 'On Tuesday');
  await press(alice, '.editor .main');
  await says(bob, '#block-when .text', 'On Tuesday');
  const late = await open(browser, node, 'notes', 'Carol');
  await says(late, '#block-when .text', 'On Tuesday');
  assert.deepEqual(await paragraphs(late), await paragraphs(alice));
  await close(late, bob, alice);
}

const number = (page, selector) => page.evaluate((one) => Number(document.querySelector(one).textContent), selector);
const isAbove = (page, selector, least) => page.waitFor(
  (one, value) => Number(document.querySelector(one).textContent) > value, { ...LONG, args: [selector, least] });

async function ticker(browser, node) {
  const first = await open(browser, node, 'ticker');
  await isAbove(first, '#published', 20);
  const second = await open(browser, node, 'ticker');
  await isAbove(second, '#published', 20);
  assert.match(await text(second, '#exchange'), /open in another page/);
  await write(second, '#rate', '0');
  await isAbove(second, '#received', 20);
  await write(second, '#rate', '4');
  await isAbove(second, '#overtaken', 70);
  // A slower reader is sent less.
  await second.waitFor(() => Number(document.querySelector('#received').textContent) < 20, LONG);
  assert.equal(await second.evaluate(() => document.querySelectorAll('.price').length), 12);
  await close(first);
  await second.waitFor(() => /open in this page/.test(document.querySelector('#exchange').textContent), LONG);
  await isAbove(second, '#published', 20);
  await close(second);
}

async function transports(browser, node) {
  const page = await open(browser, node, 'transports');
  const came = (least) => page.waitFor((count) => [...document.querySelectorAll('.card')]
    .filter((card) => card.dataset.state !== 'resting' && card.dataset.state !== 'unable')
    .every((card) => Number(card.querySelector('[data-fact="received"]').textContent) >= count), { ...LONG, args: [least] });
  // All places are taken; from then on the pages do not take turns.
  const placed = browser.engine === 'webkit' ? 5 : 6; // In WebKit the WebSocket takes a place, too.
  await page.waitFor((least) => document.querySelectorAll('.card:not([data-state="resting"])').length >= least, { ...LONG, args: [placed] });
  await press(page, '#turns');
  await came(3);
  await page.evaluate(() => document.querySelectorAll('.card[data-state="resting"] button').forEach((button) => button.click()));
  await page.waitFor(() => [...document.querySelectorAll('.card')]
    .every((card) => card.dataset.state === 'unable' || Number(card.querySelector('[data-fact="received"]').textContent) >= 3), LONG);
  const cards = await page.evaluate(() => [...document.querySelectorAll('.card')].map((card) => {
    const fact = (name) => Number(card.querySelector(`[data-fact="${name}"]`).textContent);
    return { name: card.id, state: card.dataset.state, received: fact('received'), faults: fact('missing') + fact('twice') };
  }));
  assert.equal(cards.length, 9);
  for (const { name, state, received, faults } of cards) {
    // WebKit hands the parts of such a response to images alone.
    const able = name !== 'multipart' || browser.engine !== 'webkit';
    assert.ok(able ? received >= 3 : state === 'unable', `${name} (${state}) received ${received}`);
    assert.equal(faults, 0, `${name}: missing or twice`);
  }
  await close(page);
}

/** What a side shows, oldest first. */
const lines = (page, side) => page.evaluate((one) => [...document.querySelectorAll(`#${one} .line:not(.waiting) .text`)].map((line) => line.textContent), side);

const say = (page, side, words) => page.evaluate((one, said) => {
  document.querySelector(`#${one} input`).value = said;
  document.querySelector(`#${one} form`).requestSubmit();
}, side, words);

/**
 * Another library and ours in one room: what either sends comes to both, by each of the other's transports, and across a change
 * of it.
 */
const bridge = (path, ...types) => async (browser, node) => {
  const page = await open(browser, node, path);
  const isLive = () => page.waitFor(() => document.querySelector('.link').dataset.state === 'live'
    && document.querySelector('encke-status').getAttribute('state') === 'live', LONG);
  const all = [];
  const both = async (...said) => {
    for (const [side, words] of said) await say(page, side, words);
    all.push(...said.map(([, words]) => words));
    const come = (count) => ['#ada', '#ben'].every((one) => document.querySelectorAll(`${one} .line:not(.waiting)`).length >= count);
    await page.waitFor(come, { ...LONG, args: [all.length] });
  };
  await isLive();
  for (const type of types) {
    await press(page, `.kinds button[value="${type}"]`);
    // While one transport takes over from the other, too.
    await both(['ben', `at once, ${type}`]);
    await isLive();
    await both(['ada', `<b>Ada</b> by ${type}`]);
    await both(['ben', `Ben to ${type}`]);
  }
  await node.call('/publish', { channel: '/demo/chat/bridge', data: { text: 'from a backend' } });
  all.push('from a backend');
  for (const side of ['ada', 'ben']) {
    await says(page, `#${side} .text`, 'from a backend');
    assert.deepEqual(await lines(page, side), all, `${side} has all of it, in order, once`);
    assert.equal(await text(page, `#${side} [data-fact="faults"]`), '0 / 0');
  }
  assert.equal(await page.evaluate(() => document.querySelectorAll('.text b').length), 0, 'text became markup');
  await close(page);
};

const bayeux = bridge('bayeux', 'websocket', 'long-polling', 'callback-polling');
const sockjs = bridge('sockjs', 'websocket', 'xhr-streaming', 'xhr-polling');

/** Without an IRC server the page says how to have one, before it asks for a name. */
async function irc(browser, node) {
  const page = await open(browser, node, 'irc');
  await page.waitFor(() => document.querySelector('#setup').hidden === false, LONG);
  await says(page, '#others', 'It has no targets now.');
  assert.match(await text(page, '#setup pre'), /ENCKE_TCP_TARGETS="irc=127\.0\.0\.1:6667"/);
  assert.equal(await page.evaluate(() => document.querySelector('dialog, #client:not([hidden])')), null, 'nothing else is offered');
  await page.evaluate(() => { document.querySelector('#others').textContent = ''; });
  await press(page, '#look-again');
  await says(page, '#others', 'It has no targets now.');
  await close(page);
}

/** What each page shows that lives: a number that grows, or what comes when something is said. */
const ALIVE = {
  chat: async (page, _, n) => {
    await write(page, '#message', `still here ${n}`);
    await press(page, '#composer button');
    await page.waitFor((words) => [...document.querySelectorAll('.line:not(.waiting) .text')].some(({ textContent }) => textContent === words), { ...LONG, args: [`still here ${n}`] });
  },
  notes: async (page, _, n) => {
    await page.waitFor(() => document.querySelector('#block-when') !== null, LONG);
    await change(page, 'when', `At ${n}`, `change ${n}`);
    await says(page, '#block-when .text', `At ${n}`);
  },
  ticker: async (page) => {
    await page.evaluate(() => { window.before = document.querySelector('#rows').textContent; });
    await page.waitFor(() => document.querySelector('#rows').textContent !== window.before, LONG);
  },
  transports: async (page) => {
    const before = await number(page, '#received');
    await isAbove(page, '#received', before);
    // Those that hold a connection get their turns, too.
    await page.waitFor(() => document.querySelector('.card[data-state="live"]:not(#ws, #poll)') !== null, LONG);
  },
  bayeux: async (page, _, n) => {
    await say(page, 'ada', `Ada ${n}`);
    await says(page, '#ben .text', `Ada ${n}`);
  },
  '': async (page, _, n) => {
    await say(page, 'alice', `line ${n}`);
    await says(page, '#bob .messages .text', `line ${n}`);
  },
};

/** Four pages side by side, which share the six connections of a browser to one host: each loads and lives, also with the others. */
const sideBySide = (...paths) => async (browser, node) => {
  const pages = [];
  for (const [i, path] of paths.entries()) {
    const page = await browser.newPage();
    page.heardBefore = page.errors().length;
    await page.bringToFront();
    // The start page is not below the demos.
    await page.goto(`http://${node.public}/${path && `demo/${path}`}`);
    if (path === 'chat' || path === 'notes') {
      await page.waitFor(() => document.querySelector('dialog[open]') !== null, LONG);
      await page.evaluate((mine) => {
        document.querySelector('#your-name').value = mine;
        document.querySelector('dialog form').requestSubmit();
      }, `Somebody ${i}`);
    }
    pages.push([path, page]);
  }
  // Twice: the first round could be served before all connections are taken.
  for (const round of [1, 2]) {
    for (const [i, [path, page]] of pages.entries()) {
      await page.bringToFront();
      await ALIVE[path](page, node, round * 10 + i).catch((error) => { throw new Error(`${path || 'the start page'}, the ${i + 1}. tab: ${error.message}`); });
    }
  }
  // Not asked for console errors: Firefox complains of sockets that a hidden page closes.
  for (const [, page] of pages) await page.close();
};

/** Pages of which any four live side by side. */
const FOURS = [
  ['chat', 'notes', 'ticker', 'bayeux'],
  ['transports', '', 'chat', 'ticker'],
  ['', '', '', 'notes'],
  ['transports', 'transports', 'transports', 'chat'],
];

/** After a restart the page says once that something may be missing; and prices are there before any is published. */
async function restart(browser, node) {
  const page = await open(browser, node, 'chat#team', 'Alice');
  const quotes = await open(browser, node, 'ticker');
  assert.ok(await quotes.evaluate(() => [...document.querySelectorAll('.price')].every(({ textContent }) => /^\d+\.\d\d$/.test(textContent))), 'prices at once');
  // WebKitGTK counts sockets among the six connections of a browser to one host, which three live pages exceed.
  await quotes.close();
  const lanes = await open(browser, node, 'transports');
  await isAbove(lanes, '#received', 20);
  await page.bringToFront();
  await write(page, '#message', 'before');
  await press(page, '#composer button');
  await says(page, '.line:not(.waiting) .text', 'before');
  const place = (selector) => page.evaluate((one) => {
    const { left, top, height } = document.querySelector(one).getBoundingClientRect();
    return [left, top, height];
  }, selector);
  const where = async () => [await place('.bar'), await place('.bar nav'), await place('.me'), await place('main')];
  const stood = await where();
  await node.kill();
  await page.waitFor(() => document.querySelector('encke-status').getAttribute('state') === 'retrying', LONG);
  assert.deepEqual(await where(), stood, 'nothing moves while it is tried again');
  await write(page, '#message', 'meanwhile');
  await press(page, '#composer button');
  await node.start();
  await says(page, '.line:not(.waiting) .text', 'meanwhile');
  const told = await page.evaluate(() => [...document.querySelectorAll('.event.gap')].map(({ textContent }) => textContent));
  assert.equal(told.length, 1, told.join(' | '));
  assert.match(told[0], /restarted/);
  assert.doesNotMatch(told[0], /\d/);
  await page.close();
  await lanes.bringToFront();
  const received = await number(lanes, '#received');
  await isAbove(lanes, '#received', received + 20);
  assert.equal(await text(lanes, '#faults'), '0 / 0', 'what a restart took is told and not counted as a loss');
  await lanes.close();
}

const demo = (work) => async (browser, binary) => {
  const node = await new EnckeNode(binary, ENV).start();
  try {
    await work(browser, node);
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    await node.end();
  }
};

/** One test a demo. */
const DEMOS = [
  ...Object.entries({ chat, notes, ticker, transports, bayeux, sockjs, irc, restart }).map(([name, work]) => ({ name: `demo: ${name}`, run: demo(work) })),
  ...FOURS.map((paths) => ({ name: `demo: side by side: ${paths.map((path) => path || 'start').join(', ')}`, run: demo(sideBySide(...paths)) })),
];

module.exports = { DEMOS };

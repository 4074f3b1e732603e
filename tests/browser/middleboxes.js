#!/usr/bin/env node
'use strict';
// The library's automatic choice behind real middleboxes, in real browsers: node middleboxes.js [--write] [engine...]
//
// Behind each a page loads /encke.js, connects, and gets numbered messages over whatever moves the library makes, through a
// silence, and on a second visit. Transport and exactness are judged; times are printed, and with --write (or UPDATE=1) they
// become the table of docs/TRANSPORTS.md. ENCKE_BIN names the server's binary; ONLY=text picks middleboxes by name,
// TRACE=1 shows how each page ended.
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { openBrowser, ENGINES } = require('./driver');
const { EnckeNode } = require('./lib/node');
const { Middlebox } = require('./lib/middlebox');
const { serverBinary } = require('../lib/runner');
const { Tally } = require('./lib/tally');

const PAGE = path.join(__dirname, '..', '..', 'docs', 'TRANSPORTS.md');

/** What cuts after five seconds of silence cuts four times in it: the first connection had messages, the others none. Milliseconds. */
const SILENCE = 23000;

/**
 * `ends`: the transport that it must come to, `except` in some engines. `config`: what is started, in front of the server, or for `forward` as the
 * browser's proxy.
 */
const BOXES = [
  { title: 'none', ends: 'ws' },
  { title: 'nginx that buffers', config: 'nginx-buffering', ends: 'stream' },
  { title: 'the same, with HTTP/2', config: 'nginx-http2', ends: 'stream', scheme: 'https' },
  { title: 'nginx that passes WebSockets and cuts after 5 s of silence', config: 'nginx-cuts', ends: 'ws', silence: SILENCE },
  { title: 'nginx that passes none and cuts after 5 s of silence', config: 'nginx-cuts-streams', ends: 'longpoll', silence: SILENCE },
  { title: 'HAProxy', config: 'haproxy-plain', ends: 'ws' },
  { title: 'HAProxy that strips `Upgrade`', config: 'haproxy-strips', ends: 'stream' },
  { title: 'HAProxy that holds whole responses', config: 'haproxy-holds', ends: 'ws' },
  { title: 'nginx that holds whole responses', config: 'nginx-holds', ends: 'longpoll' },
  // WebKit asks a forward proxy for a WebSocket with a plain request instead of CONNECT.
  { title: 'tinyproxy, a forward proxy', config: 'tinyproxy', ends: 'ws', except: { webkit: 'stream' }, forward: true },
  { title: 'squid, a forward proxy: `CONNECT` to 443 alone', config: 'squid', ends: 'stream', forward: true },
];

/** Messages while the library chooses, at least; and after the silence. */
const MOVING = 60;
const AFTER = 40;
/** Messages whose way is timed, one at a time. */
const TIMED = 9;
/** Between two messages. Milliseconds. */
const PACE = 100;
const TIMED_PACE = 250;
const LONG = { timeout: 30000 };

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** Begins a visit. Runs in the page, which is the library's own file: a document of the right origin that does nothing. */
async function visit(user, channel) {
  const { connect } = await import('/encke.js');
  const seen = window.seen = { got: [], ways: [], gaps: [], states: [], errors: [], first: null };
  const begun = performance.now();
  const encke = window.encke = connect(`/u/${user}`);
  const ms = () => Math.round(performance.now() - begun);
  encke.on('state', ({ state, transport, cause }) => seen.states.push(`${ms()} ${state} ${transport} ${cause?.code ?? ''}`));
  encke.on('gap', (gap) => seen.gaps.push(gap));
  encke.on('error', (error) => seen.errors.push(String(error)));
  encke.subscribe(channel, ({ data }) => {
    seen.first ??= { ms: ms(), transport: encke.transport };
    seen.got.push(data.n);
    seen.ways.push(Date.now() - data.at);
  }, { last: 1 });
}

/** Whether there is nothing left to be tried. Runs in the page. */
function hasChosen() {
  const { state, transport, tried } = window.encke.status;
  const all = ['ws', 'stream', 'sse', 'longpoll'];
  const better = all.slice(0, all.indexOf(transport));
  const failed = (one) => !['ok', undefined].includes(tried.findLast(({ transport: name }) => name === one)?.outcome);
  return ['live', 'degraded'].includes(state) && better.every(failed);
}

const shows = (page) => page.evaluate(() => ({ ...window.encke.status, ...window.seen, got: window.seen.got.length, ways: [] }));

/** Waits in the page; says how it stands there if it takes too long. */
async function awaits(page, what, claim, ...args) {
  await page.waitFor(claim, { ...LONG, args }).catch(async (error) => {
    error.message = `${what}: ${error.message}: ${JSON.stringify(await shows(page))}; console: ${page.errors().slice(-5)}`;
    throw error;
  });
}

/** Lets one after the other do what is measured, however many want to. */
class Turnstile {
  #last = Promise.resolve();

  pass(work) {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => {});
    return mine;
  }
}

/** One page behind one middlebox. */
class Visitor {
  constructor(node, engine, box, turnstile) {
    Object.assign(this, { node, box, turnstile, published: 0 });
    this.ends = box.except?.[engine] ?? box.ends;
    this.user = `${box.config ?? 'nobody'}-${engine}`;
    this.channel = `/middlebox/${this.user}`;
  }

  async publish(count = 1) {
    const from = this.published;
    this.published += count;
    await this.node.call('/publish', numbers(from, this.published).map((n) => ({ channel: this.channel, data: { n, at: Date.now() } })));
  }

  /** Loads the page and resolves to its first message, which was published before. */
  opens(page, base, n) {
    return this.turnstile.pass(async () => {
      await page.bringToFront();
      await page.goto(`${base}/encke.js?visit=${n}`);
      await page.evaluate(visit, this.user, this.channel);
      await awaits(page, 'the first message', () => window.seen.first !== null);
      return page.evaluate(() => window.seen.first);
    });
  }

  async passesBy(page) {
    const named = await page.evaluate(() => fetch('/encke.js', { cache: 'no-store' }).then(({ headers }) => `${headers.get('X-Middlebox')} ${headers.get('Via')}`));
    if (this.box.config) assert.ok(named.includes(this.box.config), `the page's requests do not pass by ${this.box.config}: ${named}`);
  }

  /** Resolves when the library has chosen, with messages all the while. */
  async choosing(page) {
    while (this.published < MOVING || !(await page.evaluate(hasChosen))) {
      await this.publish();
      await pause(PACE);
      if (this.published > LONG.timeout / PACE) throw new Error(`it comes to no choice: ${JSON.stringify(await shows(page))}`);
    }
    await awaits(page, `${this.published} messages`, (count) => window.seen.got.length >= count, this.published);
  }

  /** Resolves to the time that a message takes from backend to page, a clock of one machine at both ends: the median, in milliseconds. */
  async timed(page) {
    for (const _ of numbers(0, TIMED)) {
      await this.publish();
      await pause(TIMED_PACE);
    }
    await awaits(page, `${this.published} messages`, (count) => window.seen.got.length >= count, this.published);
    const ways = await page.evaluate((count) => window.seen.ways.slice(-count), TIMED);
    return ways.sort((a, b) => a - b)[(TIMED - 1) / 2];
  }

  async judges(page, from) {
    await awaits(page, `${this.published} messages`, (count) => window.seen.got.at(-1) >= count - 1, this.published);
    const { got, gaps, errors } = await page.evaluate(() => window.seen);
    assert.deepEqual({ got, gaps, errors }, { got: numbers(from, this.published), gaps: [], errors: [] });
    await awaits(page, `the transport ${this.ends}`, (name) => window.encke.transport === name, this.ends);
  }

  async run(browser, base) {
    const page = await browser.newPage();
    await this.publish();
    const first = await this.opens(page, base, 1);
    await this.passesBy(page);
    await this.choosing(page);
    await pause(this.box.silence ?? 0);
    const way = await this.timed(page);
    await this.publish(AFTER);
    await this.judges(page, 0);
    const { why } = await shows(page);
    if (process.env.TRACE) console.log(this.user, await shows(page));
    const again = await this.opens(page, base, 2);
    assert.equal(again.transport, this.ends, 'what the second visit begins with');
    await this.publish(AFTER);
    await this.judges(page, this.published - AFTER - 1);
    await page.close();
    return { first: first.ms, again: again.ms, way, why, ends: this.ends };
  }
}

/** Visits by all middleboxes that one browser can reach, at once; a forward proxy has a browser of its own. */
async function runBrowser(engine, boxes, options, { node, tally, turnstile, results }) {
  const browser = await openBrowser(engine, { insecure: true, prefs: UNTHROTTLED, ...options });
  try {
    // Stays open: WebKit ends with its last window.
    await browser.newPage();
    await Promise.all(boxes.map((box) => tally.run(`${engine} ${box.title}`, async () => {
      const base = `${box.scheme ?? 'http'}://${box.program && !box.forward ? box.program.address : node.public}`;
      results.push({ engine, box, ...await new Visitor(node, engine, box, turnstile).run(browser, base) });
    })));
  } finally {
    await browser.close();
  }
}

/** In Firefox a page behind others has slow timers; these pages stand for one in front each. */
const UNTHROTTLED = {
  'dom.min_background_timeout_value': 4,
  'dom.min_background_timeout_value_without_budget_throttling': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
};

async function runEngine(engine, boxes, context) {
  const direct = boxes.filter(({ forward }) => !forward);
  const alone = boxes.filter(({ forward }) => forward);
  const runs = [direct, ...alone.map((box) => [box])].filter((some) => some.length);
  await Promise.all(runs.map((some) => context.tally.run(`${engine} starts, and closes, ${some[0].forward ? `behind ${some[0].config}` : 'with no proxy'}`,
    () => runBrowser(engine, some, some[0].forward ? { proxy: some[0].program.address } : {}, context))));
}

// ---- the table ----

const NAMES = { chromium: 'Chromium', firefox: 'Firefox', webkit: 'WebKit' };

/** What most engines have; behind it what others have. */
function same(rows, value) {
  const count = (one) => rows.filter((row) => value(row) === one).length;
  const usual = rows.map(value).sort((a, b) => count(b) - count(a))[0];
  const others = rows.filter((row) => value(row) !== usual).map((row) => `${NAMES[row.engine]}: ${value(row)}`);
  return others.length ? `${usual} (${others.join('; ')})` : usual;
}

function table(results) {
  const lines = [
    '| middlebox | final transport | why | first message | first, second visit | a message then |',
    '|---|---|---|---:|---:|---:|'];
  for (const box of BOXES) {
    const rows = ENGINES.map((engine) => results.find((one) => one.engine === engine && one.box === box)).filter(Boolean);
    if (!rows.length) continue;
    const times = ['first', 'again', 'way'].map((which) => rows.map((row) => row[which]).join(' / ')).join(' | ');
    lines.push(`| ${box.title} | ${same(rows, ({ ends }) => `\`${ends}\``)} | ${same(rows, ({ why }) => why)} | ${times} |`);
  }
  return lines.join('\n');
}

function write(text) {
  const page = fs.readFileSync(PAGE, 'utf8');
  const place = /(<!-- middleboxes: begin -->\n)[^]*?(<!-- middleboxes: end -->)/;
  assert.match(page, place);
  fs.writeFileSync(PAGE, page.replace(place, (_, begin, end) => `${begin}\n${text}\n\n${end}`));
}

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return console.log(/^\/\/ ([^]*?)\n(?!\/\/)/m.exec(fs.readFileSync(__filename, 'utf8'))[1].replace(/^\/\/ ?/gm, ''));
  const writes = args.includes('--write') || process.env.UPDATE === '1';
  const engines = args.filter((arg) => !arg.startsWith('-'));
  const node = new EnckeNode(serverBinary());
  const boxes = BOXES.filter(({ title, config = '' }) => `${title} ${config}`.includes(process.env.ONLY ?? ''));
  const context = { node, tally: new Tally(), turnstile: new Turnstile(), results: [] };
  try {
    await node.start();
    await Promise.all(boxes.filter(({ config }) => config).map(async (box) => {
      box.program = new Middlebox(box.config, node.public);
      await box.program.start();
    }));
    await Promise.all((engines.length ? engines : ENGINES).map((engine) => runEngine(engine, boxes, context)));
  } finally {
    await Promise.all(boxes.map(({ program }) => program?.end()));
    await node.end();
  }
  const text = table(context.results);
  console.log(`\n${text}\n`);
  const whole = context.results.length === BOXES.length * ENGINES.length;
  if (writes && whole && !context.tally.failed) write(text);
  else if (writes) console.log('not written: the page holds all middleboxes in all engines, without a failure');
  return context.tally.close();
}

main().catch((error) => { console.error(error); process.exit(1); });

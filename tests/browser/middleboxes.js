#!/usr/bin/env node
'use strict';
// The library's automatic choice behind real middleboxes, in real browsers: node middleboxes.js [--write] [engine...]
//
// Behind each a page loads /encke.js, connects, and gets numbered messages over whatever moves the library makes, through a
// silence, and on a second visit. Transport and exactness are judged; times are printed, and with --write (or UPDATE=1) they
// become the table of docs/TRANSPORTS.md. ENCKE_BIN names the server's binary; ONLY=text picks middleboxes by name.
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { openBrowser, ENGINES } = require('./driver');
const { EnckeNode } = require('./lib/node');
const { Middlebox } = require('./lib/middlebox');
const { Tally, serverBinary } = require('./lib/tally');

const PAGE = path.join(__dirname, '..', '..', 'docs', 'TRANSPORTS.md');

/**
 * `ends`: the transport that it must come to. `config`: what is started, in front of the server, or for `forward` as the
 * browser's proxy.
 */
const BOXES = [
  { title: 'none', ends: 'ws' },
  { title: 'nginx that buffers', config: 'nginx-buffering', ends: 'stream' },
  { title: 'the same, with HTTP/2', config: 'nginx-http2', ends: 'stream', scheme: 'https' },
  { title: 'nginx that passes WebSockets and cuts after 5 s of silence', config: 'nginx-cuts', ends: 'ws' },
  { title: 'nginx that passes none and cuts after 5 s of silence', config: 'nginx-cuts-streams', ends: 'longpoll' },
  { title: 'HAProxy', config: 'haproxy-plain', ends: 'ws' },
  { title: 'HAProxy that strips `Upgrade`', config: 'haproxy-strips', ends: 'stream' },
  { title: 'HAProxy that holds whole responses', config: 'haproxy-holds', ends: 'ws' },
  { title: 'nginx that holds whole responses', config: 'nginx-holds', ends: 'longpoll' },
  { title: 'tinyproxy, a forward proxy', config: 'tinyproxy', ends: 'ws', forward: true },
  { title: 'squid, a forward proxy: `CONNECT` to 443 alone', config: 'squid', ends: 'stream', forward: true },
];

/** Messages while the library chooses, at least; and after the silence. */
const MOVING = 60;
const AFTER = 40;
/** Between two messages while it chooses, and the silence: two cuts of a middlebox that cuts after five seconds. Milliseconds. */
const PACE = 100;
const SILENCE = 11000;
const LONG = { timeout: 30000 };

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** Begins a visit. Runs in the page, which is the library's own file: a document of the right origin that does nothing. */
async function visit(user, channel) {
  const { connect } = await import('/encke.js');
  const seen = window.seen = { got: [], gaps: [], states: [], errors: [], first: null };
  const begun = performance.now();
  const encke = window.encke = connect(`/u/${user}`);
  const ms = () => Math.round(performance.now() - begun);
  encke.on('state', ({ state, transport, cause }) => seen.states.push(`${ms()} ${state} ${transport} ${cause?.code ?? ''}`));
  encke.on('gap', (gap) => seen.gaps.push(gap));
  encke.on('error', (error) => seen.errors.push(String(error)));
  encke.subscribe(channel, ({ data }) => {
    seen.first ??= { ms: ms(), transport: encke.transport };
    seen.got.push(data.n);
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

const shows = (page) => page.evaluate(() => ({ ...window.encke.status, ...window.seen, got: window.seen.got.length }));

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
    this.user = `${box.config ?? 'nobody'}-${engine}`;
    this.channel = `/middlebox/${this.user}`;
  }

  async publish(count = 1) {
    const from = this.published;
    this.published += count;
    await this.node.call('/publish', numbers(from, this.published).map((n) => ({ channel: this.channel, data: { n } })));
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

  async judges(page, from, ends) {
    await awaits(page, `${this.published} messages`, (count) => window.seen.got.at(-1) >= count - 1, this.published);
    const { got, gaps, errors } = await page.evaluate(() => window.seen);
    assert.deepEqual({ got, gaps, errors }, { got: numbers(from, this.published), gaps: [], errors: [] });
    await awaits(page, `the transport ${ends}`, (name) => window.encke.transport === name, ends);
  }

  async run(browser, base) {
    const page = await browser.newPage();
    const { ends } = this.box;
    await this.publish();
    const first = await this.opens(page, base, 1);
    await this.passesBy(page);
    await this.choosing(page);
    await pause(SILENCE);
    await this.publish(AFTER);
    await this.judges(page, 0, ends);
    const { why, states, tried } = await shows(page);
    if (process.env.TRACE) console.log(this.user, first, why, states, JSON.stringify(tried));
    const again = await this.opens(page, base, 2);
    assert.equal(again.transport, ends, 'what the second visit begins with');
    await this.publish(AFTER);
    await this.judges(page, this.published - AFTER - 1, ends);
    await page.close();
    return { first, again, why };
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
  await Promise.all(runs.map((some) => context.tally.run(`${engine} for ${some.length}`,
    () => runBrowser(engine, some, some[0].forward ? { proxy: some[0].program.address } : {}, context))));
}

// ---- the table ----

const NAMES = { chromium: 'Chromium', firefox: 'Firefox', webkit: 'WebKit' };

/** One value if all engines have the same, else each with its engine. */
function same(rows, value) {
  const all = [...new Set(rows.map(value))];
  return all.length === 1 ? all[0] : rows.map((row) => `${value(row)} (${NAMES[row.engine]})`).join('; ');
}

function table(results) {
  const lines = [
    '| middlebox | first message, ms: Chromium / Firefox / WebKit | final transport | why | first message of the second visit |',
    '|---|---:|---|---|---:|'];
  for (const box of BOXES) {
    const rows = ENGINES.map((engine) => results.find((one) => one.engine === engine && one.box === box)).filter(Boolean);
    if (!rows.length) continue;
    const times = (which) => rows.map((row) => row[which].ms).join(' / ');
    lines.push(`| ${box.title} | ${times('first')} | \`${box.ends}\` | ${same(rows, ({ why }) => why)} | ${times('again')} |`);
  }
  return lines.join('\n');
}

function write(text) {
  const page = fs.readFileSync(PAGE, 'utf8');
  const place = /(<!-- middleboxes: begin -->\n)[^]*?(\n<!-- middleboxes: end -->)/;
  assert.match(page, place);
  fs.writeFileSync(PAGE, page.replace(place, (_, begin, end) => `${begin}\n${text}\n${end}`));
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
  if (writes && !context.tally.failed) write(text);
  return context.tally.close();
}

main().catch((error) => { console.error(error); process.exit(1); });

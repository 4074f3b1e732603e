'use strict';
// What the tests of the client library share: a server behind a proxy that can spoil connections, pages that use the
// library, and judging what they saw.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./node');
const { Cutter } = require('./cutter');
const { servePages } = require('./pages');

const numbers = (count, from = 0) => Array.from({ length: count }, (_, n) => from + n);

/** A server, the proxy in front of it, and the pages, which are of the proxy's origin and, besides, of one of their own. */
class Site {
  constructor(binary, env) {
    this.node = new EnckeNode(binary, { ENCKE_SHARDS: '2', ...env });
    this.open = [];
  }

  async start(env) {
    this.awkward = (await import('../page/awkward.mjs')).awkward;
    this.pages = await servePages();
    Object.assign(this.node.env, env?.(this));
    await this.node.start();
    this.cutter = new Cutter(this.node.public, this.pages.at);
    this.origin = `http://${await this.cutter.listen()}`;
    return this;
  }

  /** A tab with the library in it; `begin` has it connect while the page loads. */
  async page(browser, { origin = this.origin, begin, ...query } = {}) {
    const page = await browser.newPage();
    this.open.push(page);
    await page.bringToFront();
    const all = new URLSearchParams({ ...query, ...(begin && { begin: JSON.stringify(begin) }) });
    page.url = `${origin}/page/library.html?${all}`;
    await page.goto(page.url);
    await page.waitFor(() => !!window.library);
    return page;
  }

  /** Publishes numbered awkward texts from a backend, in order, some at a time. */
  async publish(channel, from, to, each = 50) {
    for (let n = from; n < to; n += each) {
      const batch = numbers(Math.min(each, to - n), n).map((i) => ({ channel, data: { n: i, text: this.awkward(i) } }));
      for (const answer of await this.node.call('/publish', batch)) assert.ok(answer.id, JSON.stringify(answer));
    }
  }

  async end() {
    for (const page of this.open) await Promise.resolve(page.close()).catch(() => {});
    this.cutter?.close();
    this.pages?.close();
    await this.node.end();
  }
}

/** Runs a test with a site; a failure tells the server's last words. @param {(site: Site) => object} [late] env that needs the site's addresses */
const withSite = (env, work, late) => async (browser, binary) => {
  const site = new Site(binary, env);
  try {
    await site.start(late);
    await work(site, browser);
  } catch (error) {
    error.message += `\nthe server's last words:\n${site.node.log.slice(-1500)}`;
    throw error;
  } finally {
    await site.end();
  }
};

/** Connects in a page and waits until it is subscribed. */
async function begin(page, name, url, how) {
  await page.evaluate((...all) => void window.begin(...all), name, url, how);
  await until(page, name, (one) => window.seen[one].subscribed === true);
}

/** Waits until a claim about a client holds in its page; a failure tells how the client stood. */
async function until(page, name, claim, ...args) {
  return page.waitFor(claim, { timeout: 20000, args: [name, ...args] }).catch(async (error) => {
    const saw = await page.evaluate((one) => ({ ...window.seen[one], seq: window.seen[one]?.seq.length, now: window.clients[one]?.status }), name)
      .catch((inner) => String(inner));
    error.message += ` for ${claim}(${args}) of ${name}: ${JSON.stringify(saw)}`;
    throw error;
  });
}

const isState = (page, name, state) => until(page, name, (one, wanted) => window.clients[one]?.state === wanted, state);

const hasSeen = (page, name, count) => until(page, name, (one, least) => window.seen[one].seq.length >= least, count);

/** All of it, once, in order, as it was, and nothing else to complain about. */
async function sawAll(page, name, count, { from = 0, gaps = [] } = {}) {
  const saw = await page.evaluate((one) => window.seen[one], name);
  assert.deepEqual(saw.seq, numbers(count - from, from), 'numbers of messages');
  assert.deepEqual(saw.wrong, []);
  assert.deepEqual(saw.gaps, gaps);
  return saw;
}

const stands = (page, name) => page.evaluate((one) => window.stands(one), name);

module.exports = { withSite, begin, until, isState, hasSeen, sawAll, stands, numbers };

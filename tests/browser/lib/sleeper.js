'use strict';
// A Chromium whose background tabs are hidden and can be frozen. The usual driver shows all of them, and what is shown
// cannot be frozen.
const puppeteer = require('../driver/node_modules/puppeteer-core');
const { PageBase, withTimeout } = require('../driver/lib/page-base');

class Page extends PageBase {
  constructor(raw) { super(); this.raw = raw; }
  goto(url) { return this.raw.goto(url, { waitUntil: 'load', timeout: 15000 }); }
  evaluate(fn, ...args) {
    const text = typeof fn === 'function' ? `(${fn})(...${JSON.stringify(args)})` : fn;
    return withTimeout(this.raw.evaluate(text), 30000, 'evaluate');
  }
  bringToFront() { return this.raw.bringToFront(); }
  close() { return this.raw.close(); }

  /** No timer and no event runs in it any more, until it is thawed. */
  async freeze() {
    const front = await this.raw.browser().newPage();
    await front.bringToFront();
    await this.waitFor(() => document.visibilityState === 'hidden');
    this.session = await this.raw.createCDPSession();
    await this.session.send('Page.setWebLifecycleState', { state: 'frozen' });
  }

  thaw() { return this.session.send('Page.setWebLifecycleState', { state: 'active' }); }
}

async function openSleeper() {
  const raw = await puppeteer.launch({
    executablePath: '/usr/bin/chromium', headless: true, timeout: 30000,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  return { engine: 'chromium', newPage: async () => new Page(await raw.newPage()), close: () => raw.close() };
}

module.exports = { openSleeper };

'use strict';
// Pictures that are pushed into an <img>, each in the place of the one before.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');
const { servePages } = require('./lib/pages');
const { png } = require('./lib/png');

const WIDTHS = [40, 50, 60, 70, 80];
const STYLES = ['after', 'before'];

/** Resolves once the picture is at least so wide. */
const shows = (page, id, width) => page.waitFor((of, wanted) => document.getElementById(of).naturalWidth >= wanted, { args: [id, width] })
  .catch(async (error) => {
    const is = await page.evaluate((of) => document.getElementById(of).naturalWidth, id);
    error.message += `: the picture ${id} is ${is} wide instead of ${width}`;
    throw error;
  });

async function picturesChange(browser, binary) {
  const pages = await servePages();
  const node = new EnckeNode(binary, { ENCKE_ORIGINS: pages.origin });
  try {
    await node.start();
    const page = await browser.newPage();
    await page.bringToFront();
    await page.goto(`${pages.origin}/`);
    await page.evaluate((styles, base) => {
      for (const id of styles) document.body.append(Object.assign(new Image(), { id, src: `${base}?style=${id}&type=image/png` }));
    }, STYLES, `http://${node.public}/u/alice/multipart`);
    await node.hasSessions('alice', STYLES.length);
    // What is no picture is passed over.
    await node.call('/u/alice/publish', { text: 'no picture' });
    for (const [i, width] of WIDTHS.entries()) {
      await node.post('/u/alice/publish', png(width, 100), 'application/octet-stream');
      // Chromium and WebKit show a picture when the next one's headers have come, not before.
      if (i > 0) await Promise.all(STYLES.map((style) => shows(page, style, WIDTHS[i - 1])));
    }
    // The end is behind the last picture, so that one is shown as well.
    await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
    await shows(page, 'before', WIDTHS.at(-1));
    await page.close();
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    pages.close();
    await node.end();
  }
}

module.exports = { picturesChange };

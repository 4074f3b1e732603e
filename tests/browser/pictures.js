'use strict';
// Pictures that are pushed into an <img>, each in the place of the one before.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');
const { servePages } = require('./lib/pages');
const { png } = require('./lib/png');

const WIDTHS = [40, 50, 60, 70, 80];

const shows = (page, id, width) => page.waitFor((of, wanted) => document.getElementById(of).naturalWidth === wanted, { args: [id, width] })
  .catch(async (error) => {
    const is = await page.evaluate((of) => document.getElementById(of).naturalWidth, id);
    error.message += `: the picture ${id} is ${is} wide instead of ${width}`;
    throw error;
  });

async function picturesChange(browser, binary) {
  const pages = await servePages();
  const node = new EnckeNode(binary, { ENCKE_ORIGINS: pages.origin });
  const publish = (width) => node.post('/u/alice/publish', png(width, 100), 'application/octet-stream');
  const styles = ['after', 'before'];
  const all = (page, width) => Promise.all(styles.map((style) => shows(page, style, width)));
  try {
    await node.start();
    const page = await browser.newPage();
    await page.bringToFront();
    await page.goto(`${pages.origin}/`);
    await publish(30);
    for (const style of styles) {
      await page.evaluate((id, src) => {
        const picture = Object.assign(document.createElement('img'), { id, src });
        document.body.append(picture);
      }, style, `http://${node.public}/u/alice/multipart?style=${style}&type=image/png&last=1`);
    }
    // What is no picture is passed over.
    await node.call('/u/alice/publish', { text: 'no picture' });
    for (const width of WIDTHS) {
      const { sessions } = await publish(width);
      assert.ok(sessions <= styles.length, `${sessions} sessions`);
      await all(page, width);
    }
    // The end of the stream takes no picture away.
    await fetch(`http://${node.api}/u/alice`, { method: 'DELETE' });
    await page.waitFor((ids) => ids.every((id) => document.getElementById(id).complete), { args: [styles] });
    await all(page, WIDTHS.at(-1));
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

'use strict';
// A thousand awkward messages over connections that break, on each transport: none lost, none doubled, in order.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');
const { Cutter } = require('./lib/cutter');
const { servePages } = require('./lib/pages');

const ROUNDS = 4;
const PER_ROUND = 250;
const CHANNEL = '/numbers/all';
/** Where the cuts fall: so many bytes into a round. Odd on purpose, to split characters and frames. */
const CUT_AT = [4099, 20011, 777];

async function publishRound(node, round, awkward) {
  for (let n = round * PER_ROUND; n < (round + 1) * PER_ROUND; n += 25) {
    const batch = Array.from({ length: 25 }, (_, i) => ({ channel: CHANNEL, data: { n: n + i, text: awkward(n + i) } }));
    const answers = await node.call('/publish', batch);
    assert.equal(answers.length, batch.length);
    for (const answer of answers) assert.ok(answer.id, JSON.stringify(answer));
  }
}

async function exactAcrossCuts(kind, browser, binary) {
  const { awkward } = await import('./page/awkward.mjs');
  const pages = await servePages();
  const node = await new EnckeNode(binary, { ENCKE_ORIGINS: pages.origin }).start().catch((error) => { pages.close(); throw error; });
  const cutter = new Cutter(node.public);
  try {
    const base = `http://${await cutter.listen()}`;
    const page = await browser.newPage();
    await page.bringToFront();
    await page.goto(`${pages.origin}/`);
    await page.waitFor(() => typeof window.read === 'function');
    await page.evaluate((...at) => window.read(...at), kind, base, `${kind}-reader`, CHANNEL);
    await page.waitFor(() => window.got.opens.length > 0);
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round < CUT_AT.length) cutter.cutAfter(CUT_AT[round]);
      await publishRound(node, round, awkward);
      const most = (round + 1) * PER_ROUND;
      await page.waitFor((wanted) => window.got.seq.length >= wanted, { timeout: 30000, args: [most] }).catch(async (error) => {
        error.message += ` in round ${round}: ${JSON.stringify(await page.evaluate(() => ({ ...window.got, seq: window.got.seq.length })))}`;
        throw error;
      });
    }
    const got = await page.evaluate(() => window.got);
    assert.deepEqual(got.wrong, []);
    assert.deepEqual(got.gaps, []);
    assert.deepEqual(got.seq, Array.from({ length: ROUNDS * PER_ROUND }, (_, n) => n));
    assert.equal(cutter.cuts, CUT_AT.length, 'cuts made');
    assert.ok(got.broken >= 1, 'the page noticed no cut');
    await page.close();
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    cutter.close();
    pages.close();
    await node.end();
  }
}

module.exports = { exactAcrossCuts };

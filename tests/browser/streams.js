'use strict';
// A thousand awkward messages over connections that break, on each transport: none lost, none doubled, in order; and between
// them payloads of bytes.
const assert = require('node:assert/strict');
const { EnckeNode } = require('./lib/node');
const { Cutter } = require('./lib/cutter');
const { servePages } = require('./lib/pages');

const ROUNDS = 4;
const BATCHES = 10;
const TEXTS = 25;
const BYTES = 5;
const CHANNEL = '/numbers/all';
/** Where the cuts fall: so many bytes into a round. Odd on purpose, to split characters and frames. */
const CUT_AT = [4099, 15013, 777];

const FOREIGN = { page: 'foreign' };
/** A frame can call only pages of its own origin. */
const OWN = { page: 'own', framed: true };
const MULTIPART = { page: 'foreign', not: { webkit: 'it gives a script no body of several parts' } };

/** The readers (`page/reader.mjs`), where their page comes from, and what else is true of them. */
const KINDS = {
  ws: { ...FOREIGN, answers: true },
  'ws-binary': { ...FOREIGN, answers: true, raw: true },
  stream: FOREIGN,
  'stream-xhr': FOREIGN,
  'stream-binary': { ...FOREIGN, raw: true },
  sse: FOREIGN,
  opera: FOREIGN,
  frame: OWN,
  'frame-domain': { page: 'sibling', framed: true },
  'frame-posts': { page: 'foreign', framed: true },
  htmlfile: OWN,
  jsonp: { ...FOREIGN, answers: true },
  'multipart-after': MULTIPART,
  'multipart-before': MULTIPART,
  longpoll: FOREIGN,
  poll: FOREIGN,
};

/** Console lines about a Content-Security-Policy, in the words of the three engines. */
const POLICY = /content.security.policy|refused to (load|execute|apply|run|evaluate)/i;

const numbers = (count) => Array.from({ length: count }, (_, n) => n);

async function publishRound(node, round, user, { awkward, awkwardBytes }) {
  for (let batch = round * BATCHES; batch < (round + 1) * BATCHES; batch += 1) {
    const texts = numbers(TEXTS).map((i) => batch * TEXTS + i);
    const answers = await node.call('/publish', texts.map((n) => ({ channel: CHANNEL, data: { n, text: awkward(n) } })));
    assert.equal(answers.length, texts.length);
    for (const answer of answers) assert.ok(answer.id, JSON.stringify(answer));
    for (const i of numbers(BYTES)) {
      const { id } = await node.post(`/u/${user}/publish`, awkwardBytes(batch * BYTES + i), 'application/octet-stream');
      assert.ok(id);
    }
  }
}

/** Where the reader's page is, and what it reads from. */
function places(wanted, pages, cutter) {
  const port = (at) => at.split(':')[1];
  return {
    own: { base: `http://${cutter}`, from: `http://${cutter}` },
    foreign: { base: `http://${cutter}`, from: pages.origin },
    sibling: { base: `http://push.encke.localhost:${port(cutter)}`, from: `http://www.encke.localhost:${port(pages.at)}` },
  }[wanted];
}

async function receives(page, round) {
  const most = { texts: (round + 1) * BATCHES * TEXTS, bytes: (round + 1) * BATCHES * BYTES };
  const all = ({ texts, bytes }) => window.got.seq.length >= texts && window.got.bytes.length >= bytes;
  await page.waitFor(all, { timeout: 20000, args: [most] }).catch(async (error) => {
    const got = await page.evaluate(() => window.got);
    error.message += ` in round ${round}: ${JSON.stringify({ ...got, seq: got.seq.length, bytes: got.bytes.length })}`;
    throw error;
  });
}

async function judge(page, kind) {
  const { raw, answers, framed } = KINDS[kind];
  const got = await page.evaluate(() => window.got);
  const [texts, bytes] = [ROUNDS * BATCHES * TEXTS, ROUNDS * BATCHES * BYTES];
  assert.deepEqual(got.wrong, []);
  assert.deepEqual(got.gaps, []);
  assert.deepEqual(got.seq, numbers(texts));
  assert.deepEqual(got.bytes, numbers(bytes));
  assert.equal(got.raw, raw ? bytes : 0, 'payloads that came as they are');
  assert.ok(got.broken >= 1, 'the page noticed no cut');
  const transport = kind === 'opera' ? 'sse' : kind.split('-')[0];
  for (const open of got.opens) assert.equal(open.transport, transport);
  if (answers) assert.ok(got.answers.length > 0 && got.answers.every(({ ok }) => ok?.ping), `answers: ${JSON.stringify(got.answers)}`);
  if (!framed) return;
  assert.deepEqual(got.states, ['complete'], 'states of the page while messages came');
  assert.ok(got.scripts <= 3, `${got.scripts} scripts in the frame`);
  assert.deepEqual(got.violations, [], 'violations of the policy');
  assert.deepEqual(page.errors().filter((text) => POLICY.test(text)), [], 'violations of the policy');
}

async function exactAcrossCuts(kind, browser, binary) {
  const awkward = await import('./page/awkward.mjs');
  const pages = await servePages();
  const origins = [pages.origin, pages.origin.replace('127.0.0.1', 'www.encke.localhost')];
  const env = KINDS[kind].framed ? { ENCKE_HEARTBEAT: '500ms' } : {};
  const node = new EnckeNode(binary, { ENCKE_ORIGINS: origins.join(','), ...env });
  const user = `${kind}-reader`;
  let cutter;
  try {
    await node.start();
    cutter = new Cutter(node.public, pages.at);
    const { base, from } = places(KINDS[kind].page, pages, await cutter.listen());
    const page = await browser.newPage();
    await page.bringToFront();
    await page.goto(`${from}/page/reader.html`);
    await page.waitFor(() => typeof window.read === 'function');
    await page.evaluate((...at) => window.read(...at), kind, { base, user, channel: CHANNEL });
    await page.waitFor(() => window.got.opens.length > 0).catch(async (error) => {
      error.message += `: ${JSON.stringify(await page.evaluate(() => window.got))}; console: ${page.errors()}`;
      throw error;
    });
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round < CUT_AT.length) cutter.cutAfter(CUT_AT[round]);
      await publishRound(node, round, user, awkward);
      await receives(page, round);
    }
    assert.equal(cutter.cuts, CUT_AT.length, 'cuts made');
    await judge(page, kind);
    await page.close();
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    cutter?.close();
    pages.close();
    await node.end();
  }
}

/** One test for each reader that an engine has. */
const streamTests = Object.keys(KINDS).map((kind) => ({
  name: `${kind}: 1,000 messages across three cuts`,
  not: KINDS[kind].not,
  run: (browser, binary) => exactAcrossCuts(kind, browser, binary),
}));

module.exports = { streamTests };

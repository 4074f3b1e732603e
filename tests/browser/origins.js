'use strict';
// Pages of other origins: the one on the list may do everything, any other may do nothing, not even blindly.
const assert = require('node:assert/strict');
const { withOrigins } = require('./lib/origins');

const CHANNEL = '/origins/room';

/** In the page: what came of a request, in one word or as JSON. */
const attempt = (page, url, init) => page.evaluate((...[at, options]) => fetch(at, options).then(
  (response) => (response.type === 'opaque' ? 'opaque' : response.text().then((body) => ({ status: response.status, body }))),
  () => 'refused'), url, init);

const eventSource = (page, url) => page.evaluate((at) => new Promise((done) => {
  const source = new EventSource(at);
  const end = (word) => { source.close(); done(word); };
  source.onmessage = () => end('open');
  source.onerror = () => end('refused');
}), url);

const publish = (text) => JSON.stringify({ publish: CHANNEL, data: text });

const foreignPagesAreKeptOut = withOrigins(async (browser, { node, known, foreign }) => {
  const user = `http://${node.public}/u/alice`;
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, credentials: 'include' };

  const foreignPage = await browser.newPage();
  await foreignPage.goto(`${foreign.origin}/`);
  assert.equal(await attempt(foreignPage, `${user}/poll`, {}), 'refused', 'a foreign page polls');
  assert.equal(await attempt(foreignPage, `${user}/send`, { ...json, body: publish('preflighted') }), 'refused');
  // A request that needs no preflight reaches the server; it must have no effect there.
  await attempt(foreignPage, `${user}/send`, { method: 'POST', mode: 'no-cors', body: publish('blind') });
  assert.equal(await eventSource(foreignPage, `${user}/sse?channels=${CHANNEL}`), 'refused', 'a foreign page listens');
  await foreignPage.close();

  const friend = await browser.newPage();
  await friend.goto(`${known.origin}/`);
  assert.equal(await eventSource(friend, `${user}/sse?channels=${CHANNEL}`), 'open');
  assert.equal((await attempt(friend, `${user}/send`, { ...json, body: publish('known') })).status, 200);
  const polled = await attempt(friend, `${user}/poll?channels=${CHANNEL}&last=20`, { credentials: 'include' });
  assert.equal(polled.status, 200);
  const texts = JSON.parse(polled.body).filter((envelope) => envelope.id).map((envelope) => envelope.data);
  assert.deepEqual(texts, ['known'], 'what reached the channel');
  await friend.close();
});

module.exports = { foreignPagesAreKeptOut };

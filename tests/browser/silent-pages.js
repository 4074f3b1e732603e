'use strict';
// Over plain http a browser does not say where a request to a host with a name comes from, and a page can have the Referer left out: then
// a foreign page's script looks like a program. It must get nothing and do nothing, and the server's own page must get all.
const assert = require('node:assert/strict');
const { openBrowser } = require('./driver');
const { EnckeNode } = require('./lib/node');
const { Names } = require('./lib/names');

const SECRET = '/silent/room';
const bayeux = encodeURIComponent(JSON.stringify([{ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['callback-polling'] }]));
const published = encodeURIComponent(JSON.stringify({ publish: SECRET, data: 'forged' }));

/** Each kind of element that can ask the server for something. */
const ELEMENTS = {
  jsonp: ['script', `/u/alice/jsonp?callback=took&channels=${SECRET}&last=9`],
  publish: ['script', `/u/alice/jsonp?callback=took&message=${published}`],
  bayeux: ['script', `/bayeux?jsonp=took&message=${bayeux}`],
  frame: ['iframe', `/u/alice/frame?callback=took&channels=${SECRET}&last=9`],
  htmlfile: ['iframe', `/u/alice/htmlfile?callback=took&channels=${SECRET}&last=9`],
  multipart: ['img', `/u/alice/multipart?channels=${SECRET}&last=9`],
  poll: ['img', '/u/alice/poll'],
  sse: ['img', '/u/alice/sse'],
};

const page = (server) => `<!doctype html><title>page</title><script>
  window.heard = [];
  window.took = (answers) => heard.push(answers);
  window.embed = ([kind, path]) => new Promise((done) => {
    const element = document.createElement(kind);
    element.onload = () => done('load');
    element.onerror = () => done('error');
    element.src = ${JSON.stringify(server)} + path;
    document.body.append(element);
  });
</script><body>`;

async function silentPagesGetNothing(_, binary, engine) {
  // One shard: recent messages of a channel at another one would come behind the first answer.
  const node = new EnckeNode(binary, { ENCKE_HOSTS: 'push.test', ENCKE_SHARDS: '1' });
  let names, browser;
  try {
    await node.start();
    names = await new Names({
      'push.test': { server: node.public, '/own.html': { body: page('http://push.test') } },
      'evil.test': { '/': { body: page('http://push.test'), headers: { 'referrer-policy': 'no-referrer' } } },
      'rebound.test': { server: node.public, '/': { body: page('http://rebound.test') } },
    }).listen();
    await node.call('/publish', { channel: SECRET, data: 'secret' });
    browser = await openBrowser(engine, { proxy: names.at });
    // Stays open: WebKit ends with its last window.
    await browser.newPage();

    const foreignPage = await browser.newPage();
    await foreignPage.goto('http://evil.test/');
    for (const [name, element] of Object.entries(ELEMENTS)) {
      // A frame that is refused loads its refusal; a picture that is none fails.
      await foreignPage.evaluate((what) => window.embed(what), element);
      const last = names.asked.at(-1);
      assert.equal(`${last.path}?`, `${element[1].split('?')[0]}?`, `${name} was asked for`);
      const says = [last.origin, last.referer, last.site].filter((sign) => sign !== undefined);
      assert.deepEqual(says, [], `${name}: nothing says whose page it is`);
    }
    const heard = JSON.stringify(await foreignPage.evaluate(() => window.heard));
    assert.ok(!heard.includes('secret') && !heard.includes('"open"') && !heard.includes('clientId'), heard);
    assert.ok(heard.includes('origin-refused') && heard.includes('Referer'), `the page is told why: ${heard}`);
    await foreignPage.close();

    const rebound = await browser.newPage();
    await rebound.goto('http://rebound.test/');
    const answer = await rebound.evaluate(() => fetch('/u/alice/send', { method: 'POST', body: '{"publish":"/silent/room","data":"forged"}' })
      .then((response) => response.text()));
    assert.ok(answer.includes('host-refused') && answer.includes('ENCKE_HOSTS=rebound.test'), answer);
    await rebound.close();

    const own = await browser.newPage();
    await own.goto('http://push.test/own.html');
    for (const name of ['jsonp', 'bayeux']) await own.evaluate((what) => window.embed(what), ELEMENTS[name]);
    const got = JSON.stringify(await own.evaluate(() => window.heard));
    assert.ok(got.includes('secret') && got.includes('clientId'), `the server's own page gets all: ${got}`);
    await own.close();

    const room = await (await fetch(`http://${node.api}/channel?name=${SECRET}`)).json();
    assert.deepEqual(room.messages.map((message) => message.data), ['secret'], 'nobody published but the backend');
  } catch (error) {
    error.message += `\nthe server's last words:\n${node.log.slice(-2000)}`;
    throw error;
  } finally {
    await browser?.close();
    names?.close();
    await node.end();
  }
}

module.exports = { silentPagesGetNothing };

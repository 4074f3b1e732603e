// The libraries in real browsers, in pages of the server's origin and of another. Session and cookie are checked, as by default.
import test, { after, before, describe } from 'node:test';
import { createRequire } from 'node:module';
import { faye, version } from './libraries.mjs';
import { remote, servePages } from './remote.mjs';
import { SECURED, assert, cutter, eventSource, jwt, numbers, publishNumbers, withNode } from './rig.mjs';
import { acknowledged, at, opened, restart, withheld } from './suite.mjs';

const { openBrowser, ENGINES } = createRequire(import.meta.url)('../browser/driver');
const CHOSEN = process.env.ENGINES?.split(' ') ?? ENGINES;
const COMETD = `cometd ${version('cometd-9')}`;
const FAYE = `faye ${version('faye')}`;
const fayeInNode = faye();

/** Everything that an application does, with a client in Node at the other end. */
async function conversation(node, own, make, type, address) {
  const page = await opened(own, make, at(address, 'alice'), type);
  const bob = await opened(own, fayeInNode, at(node.public, 'bob'), 'long-polling');
  const events = await eventSource(node, own, 'carol', '/room/*');
  const [room, deep, heard] = [await page.subscribe('/room/*'), await page.subscribe('/deep/**'), await bob.subscribe('/room/1')];
  await bob.publish('/room/1', { text: 'ü☄\u2028</script>' });
  const [first] = await room.count(1);
  assert.deepEqual([first.channel, first.data], ['/room/1', { text: 'ü☄\u2028</script>' }]);
  // No more than Faye sends in one request: it goes by 2,048 characters, and several requests have no order among them.
  await page.batch(numbers(0, 10).map((n) => [n % 2 ? '/room/1' : '/deep/a/b', n]));
  const odd = numbers(0, 10).filter((n) => n % 2);
  for (const got of [room, heard, events]) assert.deepEqual((await got.count(6)).slice(1).map(({ data }) => data), odd);
  assert.deepEqual((await deep.count(5)).map(({ data }) => data), numbers(0, 10).filter((n) => n % 2 === 0));
  await publishNumbers(node, '/room/2', 0, 3);
  assert.deepEqual((await room.count(9)).slice(6).map(({ data }) => data.n), [0, 1, 2]);
  await page.unsubscribe('/room/*');
  await bob.publish('/room/1', 'unheard in the page');
  await bob.publish('/deep/end', 'heard');
  await deep.count(6);
  assert.equal((await room.count(9)).length, 9);
  await node.hasSessions('alice', 1);
  await page.disconnect();
  await node.hasSessions('alice', 0);
}

/** From another origin, with a token, since a browser may keep foreign cookies to itself. The page is loaded again: the new one continues the session, and gets what was published meanwhile. */
async function reloaded(node, own, make, type, address) {
  const page = await opened(own, make, `${at(address, 'alice')}?token=${jwt({ sub: 'alice' })}`, type, { extensions: ['Reload', 'Ack'] });
  const got = await page.subscribe('/room/1');
  await publishNumbers(node, '/room/1', 0, 2);
  await got.count(2);
  const before = page.clientId;
  await page.reload();
  // What is published while there is no page waits for the next one, and is of the same session.
  await publishNumbers(node, '/room/1', 2, 4);
  const answer = await page.open(['/room/1']);
  assert.equal(answer.ext.reload, true, 'the handshake was replayed');
  assert.equal(page.clientId, before);
  const [again] = page.early;
  await again.numbered(3);
  await publishNumbers(node, '/room/1', 4, 6);
  // The library forgets how far it had acknowledged: what the first page had not yet confirmed may come to the second as well.
  const all = (await again.numbered(5)).map(({ data }) => data.n);
  assert.ok([6, 4].includes(all.length), JSON.stringify(all));
  assert.deepEqual(all.slice(-4), [2, 3, 4, 5]);
  await node.hasSessions('alice', 1);
}

for (const engine of CHOSEN) {
  describe(engine, () => {
    let browser;
    let pages;
    before(async () => {
      [browser, pages] = [await openBrowser(engine), await servePages()];
      // Stays open: WebKit ends with its last window.
      await browser.newPage();
    });
    after(async () => { await browser?.close(); pages?.close(); });

    const scene = (name, library, type, title, work) => test(`${name}, ${engine}, ${type}: ${title}`,
      () => withNode({}, async (node, own) => work(node, own, remote(browser, library), type, (await cutter(node, own, pages.at)).at)));

    for (const type of ['long-polling', 'callback-polling', 'websocket']) {
      scene(COMETD, 'cometd', type, 'handshake, subscribe, wildcards, publish, batch, unsubscribe, disconnect', conversation);
      scene(COMETD, 'cometd', type, 'after a restart of the server it sends a handshake and subscribes again', restart);
      test(`${COMETD}, ${engine}, ${type}: acknowledged, 400 messages across three cuts`,
        () => withNode({}, (node, own) => acknowledged(node, own, remote(browser, 'cometd'), type, { pages: pages.at })));
      scene(FAYE, 'faye', type, 'handshake, subscribe, wildcards, publish, batch, unsubscribe, disconnect', conversation);
    }
    for (const type of ['long-polling', 'callback-polling']) {
      test(`${COMETD}, ${engine}, ${type}: a page whose cookies are withheld gets the reason, and stops`,
        () => withNode({}, (node, own) => withheld(node, own, remote(browser, 'cometd'), type, { pages: pages.at })));
    }
    const foreign = (name, library, type, title, work) => test(`${name}, ${engine}, ${type}: ${title}`,
      () => withNode({ ENCKE_ORIGINS: `http://${pages.at}`, ...(work === reloaded && SECURED) },
        (node, own) => work(node, own, remote(browser, library, { host: pages.at }), type, node.public)));
    foreign(FAYE, 'faye', 'cross-origin-long-polling', 'from a page of another origin', conversation);
    foreign(COMETD, 'cometd', 'long-polling', 'from a page of another origin', conversation);
    for (const type of ['long-polling', 'websocket']) foreign(COMETD, 'cometd', type, 'the page is reloaded, the session goes on', reloaded);
  });
}

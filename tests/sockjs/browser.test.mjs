// npm's sockjs-client in real browsers, with every transport forced, in pages of the server's origin and of another.
import { after, before, describe } from 'node:test';
import { createRequire } from 'node:module';
import { CLIENTS, scriptOf, servePages, versionOf } from './pages.mjs';
import { assert, startServer, wire } from './rig.mjs';

const require = createRequire(import.meta.url);
const { openBrowser, ENGINES } = require('../browser/driver');
const { Cutter } = require('../browser/lib/cutter.js');
// Another server's hidden frames load a client that is not the page's.
const CHOSEN = process.env.SOCKJS_URL ? [] : process.env.ENGINES?.split(' ').filter(Boolean) ?? ENGINES;

/** The transports that a page of the server's own origin has, and those that one of another has. */
const EVERYWHERE = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling', 'jsonp-polling'];
const TRANSPORTS = {
  'of its own origin': [...EVERYWHERE, 'htmlfile'],
  'of another origin': [...EVERYWHERE, 'iframe-eventsource', 'iframe-htmlfile', 'iframe-xhr-polling'],
};

const TEXTS = ['a', '"\\', '\u0000\b\f\n\r\t\u001f\u007f', '%41%80%', 'é☄\u2028\u2029\u200c\ufeff\uffff', '\u{1f600}',
  '\r\n\r\ndata: x', 'x'.repeat(5000), ...Array.from({ length: 50 }, (_, n) => `${n}`)];

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

    /** Runs work in a page of a client, with a server whose hidden frames load the same one. */
    const scene = (name, client, place, work) => wire(name, async () => {
      const server = await startServer({ client: scriptOf(client) });
      const proxy = new Cutter(new URL(server.url).host, pages.at);
      const origin = `http://${await proxy.listen()}`;
      const page = await browser.newPage();
      try {
        await page.bringToFront();
        await page.goto(`${place === 'of another origin' ? `http://${pages.at}` : origin}/page/${client}.html`);
        await page.waitFor(() => window.isReady === true, { timeout: 10000 });
        await work(page, origin, proxy);
      } finally {
        await Promise.resolve(page.close()).catch(() => {});
        proxy.close();
        await server.end();
      }
    });

    for (const client of Object.keys(CLIENTS)) {
      for (const [place, transports] of Object.entries(TRANSPORTS)) {
        const title = `sockjs-client ${versionOf(client)}, ${engine}, in a page ${place}`;
        for (const transport of transports) {
          scene(`${title}: ${transport}`, client, place, async (page, origin) => {
            const wanted = { transport, got: TEXTS, code: 1000, reason: 'Normal closure', wasClean: true };
            const saw = await page.evaluate((...asked) => window.converse(...asked), `${origin}/echo`, transport, TEXTS);
            assert.deepEqual(saw, wanted);
            const closed = await page.evaluate((...asked) => window.listen(...asked), `${origin}/close`, transport);
            assert.deepEqual(closed, { got: [], code: 3000, reason: 'Go away!', wasClean: true });
          });
        }
        const framed = transports.find((transport) => transport.endsWith('htmlfile'));
        scene(`${title}: a script in a message by htmlfile stays text`, client, place, async (page, origin) => {
          const texts = ['</script><!--<script>', '<script>alert(1)</script>', 'after'];
          const saw = await page.evaluate((...asked) => window.converse(...asked), `${origin}/echo`, framed, texts);
          assert.deepEqual(saw.got, texts);
        });
        scene(`${title}: it chooses a transport by itself`, client, place, async (page, origin) => {
          for (const [service, transport] of [['echo', 'websocket'], ['disabled_websocket_echo', 'xhr-streaming']]) {
            const saw = await page.evaluate((...asked) => window.converse(...asked), `${origin}/${service}`, null, TEXTS);
            assert.deepEqual([saw.transport, saw.got.length, saw.code], [transport, TEXTS.length, 1000]);
          }
        });
      }
    }
  });
}

// TigerVNC: noVNC in a page of each browser shows a remote desktop, by the stream's address alone, and by the client library's
// WebSocket over other transports.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { LIMIT, addressOf, freePort, inPlace, program, startEncke } from './rig.mjs';

const { openBrowser, ENGINES } = createRequire(import.meta.url)('../browser/driver');
const CHOSEN = process.env.ENGINES?.split(' ').filter(Boolean) ?? ENGINES;
const NOVNC = fileURLToPath(new URL('node_modules/@novnc/novnc/', import.meta.url));

/** Where pictures are kept. */
const PICTURES = process.env.PICTURES ?? os.tmpdir();

const BLUE = '32 64 128';
const GOLD = '224 160 48';

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>VNC</title>
<div id="screen" style="width: 400px; height: 300px"></div>
<script type="module">
  import RFB from '/novnc/core/rfb.js';
  const { encke, address, transport } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  let channel = address;
  if (transport) {
    const [{ connect }, { webSocket }] = await Promise.all([import(encke + '/encke.js'), import(encke + '/encke.tcp.js')]);
    channel = webSocket(connect(encke + '/u/ada', { transports: [transport] }), 'vnc');
  }
  const rfb = new RFB(document.querySelector('#screen'), channel);
  window.events = [];
  for (const name of ['connect', 'disconnect', 'securityfailure']) {
    rfb.addEventListener(name, (event) => window.events.push(name + ' ' + JSON.stringify(event.detail)));
  }
  window.desktop = rfb;
</script>`;

/** Serves the page and the library, from an origin of their own. */
async function servePage(place) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://page');
    const file = path.join(NOVNC, pathname.replace(/^\/novnc\//, ''));
    if (pathname === '/') return response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
    if (!file.startsWith(NOVNC) || !file.endsWith('.js') || !fs.existsSync(file)) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': 'text/javascript' }).end(fs.readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  place.defer(() => { server.close(); server.closeAllConnections(); });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Starts a desktop. Answers its port and how to paint it. */
async function startDesktop(place) {
  const port = await freePort();
  const desktop = await place.serve(program('Xtigervnc', 'tigervnc-standalone-server'), [
    '-displayfd', '1', '-rfbport', port, '-localhost', '-SecurityTypes', 'None', '-geometry', '400x300', '-depth', '24', '-nolisten', 'tcp',
  ], /^(\d+)\n/m);
  const paint = program('xsetroot', 'x11-xserver-utils');
  return { port, paint: (...how) => place.run(paint, how, { DISPLAY: `:${desktop.ready[1]}` }) };
}

/** The colours of the page's picture, and how many pixels have each. */
function colours() {
  const canvas = document.querySelector('#screen canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const counts = {};
  for (let at = 0; at < data.length; at += 4) {
    const colour = `${data[at]} ${data[at + 1]} ${data[at + 2]}`;
    counts[colour] = (counts[colour] ?? 0) + 1;
  }
  return counts;
}

/** Waits until these colours fill this part of the picture. */
async function shows(page, wanted, part) {
  const source = `(${colours})()`;
  for (const deadline = Date.now() + LIMIT; ;) {
    const counts = await page.evaluate(`document.querySelector('#screen canvas') ? ${source} : {}`);
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const own = wanted.map((colour) => counts[colour] ?? 0);
    if (all && own.every((count) => count > all / 50) && own.reduce((sum, count) => sum + count, 0) >= all * part) return counts;
    if (Date.now() > deadline) assert.fail(`${wanted} do not show: ${JSON.stringify(counts).slice(0, 500)}; ${await page.evaluate('JSON.stringify(window.events)')}`);
  }
}

/** What of Encke is between: its plain WebSocket, or the library's over one transport. */
const WAYS = { address: undefined, 'the library over ws': 'ws', 'the library over longpoll': 'longpoll' };

for (const engine of CHOSEN) {
  test(`TigerVNC: noVNC in ${engine} shows the desktop`, inPlace(async (place, context) => {
    const [origin, desktop] = await Promise.all([servePage(place), startDesktop(place)]);
    const node = await startEncke(place, { vnc: `127.0.0.1:${desktop.port}` }, { ENCKE_ORIGINS: origin });
    const browser = await openBrowser(engine);
    try {
      // Stays open: WebKit ends with its last window.
      await browser.newPage();
      for (const [way, transport] of Object.entries(WAYS)) {
        await desktop.paint('-solid', '#204080');
        const page = await browser.newPage();
        const how = { encke: `http://${node.public}`, address: addressOf(node, 'vnc'), transport };
        await page.goto(`${origin}/#${encodeURIComponent(JSON.stringify(how))}`);
        await page.waitFor(() => window.events?.some((name) => name.startsWith('connect')), { timeout: LIMIT });
        await shows(page, [BLUE], 0.9);
        // What changes there changes here.
        await desktop.paint('-mod', '8', '8', '-bg', '#204080', '-fg', '#e0a030');
        await shows(page, [BLUE, GOLD], 0.9);
        const picture = path.join(PICTURES, `encke-vnc-${engine}.png`);
        await page.screenshot(picture);
        context.diagnostic(`${way}: the picture: ${picture}`);
        await page.evaluate(() => window.desktop.disconnect());
        await page.waitFor(() => window.events.some((name) => name.startsWith('disconnect')), { timeout: LIMIT });
        assert.deepEqual(await page.evaluate(() => window.events), ['connect {}', 'disconnect {"clean":true}'], way);
        await page.close();
      }
    } finally {
      await browser.close();
    }
  }));
}
